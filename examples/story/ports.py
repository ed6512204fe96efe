"""Free ports of this machine that stay free until they are used."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class Ports:
    """Lends port numbers; a context manager.

    A port that was only seen to be free may be taken a moment later. So each is kept bound, without listening, as long
    as it is lent: on Linux a server can still listen on it if it sets ``SO_REUSEADDR`` as we do, and nobody else is
    given it by the system.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def lend(self) -> int:
        """Return a port of 127.0.0.1."""
        reserved = socket.socket()
        self._sockets.append(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reserved in self._sockets:
            reserved.close()
