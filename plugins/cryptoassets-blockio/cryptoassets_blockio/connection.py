"""A websocket on which nobody can keep us waiting.

Its library bounds the time of each read, which begins anew with every byte: neither that of a handshake nor that of a
message, nor the size of either.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Final

from websocket import WebSocket, WebSocketException

#: How long all of an opening may take, and all of a message from its first byte on.
CONNECT_SECONDS: Final = 10.0
MESSAGE_SECONDS: Final = 10.0

#: Far more than any notification has.
MAX_MESSAGE_BYTES: Final = 1024 * 1024

#: How soon silence is seen, and a request to stop.
TICK_SECONDS: Final = 0.5


class Endless(WebSocketException):
    """What comes has no end in sight, so the connection is good for nothing; the text says what it is."""


class Connection(WebSocket):
    """A websocket that opens in time or not at all, and whose messages end in time and are not too large."""

    def __init__(self, stopping: threading.Event) -> None:
        """
        :param stopping: when it is set, what is under way is given up.
        """
        # What is no text is passed over like other nonsense; it is no reason to hang up.
        super().__init__(skip_utf8_validation=True)
        self._stopping = stopping
        self._given_up = False
        self._message_bytes = 0
        self._message_until = 0.0

    def open(self, url: str) -> None:
        """Connect and shake hands.

        :raises WebSocketException: who is there speaks otherwise, or does not come to an end.
        :raises OSError: nobody is there.
        """
        opened = threading.Event()
        watch = threading.Thread(target=self._watch, args=(opened,), name="websocket opening", daemon=True)
        watch.start()
        try:
            # A redirect could take the key, which is sent next, to somebody else.
            self.connect(url, timeout=CONNECT_SECONDS, redirect_limit=0)  # type: ignore[no-untyped-call]  # no types
        except WebSocketException:
            if self._given_up:
                raise Endless("the handshake does not come to an end") from None
            raise
        finally:
            opened.set()
            watch.join()
        self.settimeout(TICK_SECONDS)

    def _watch(self, opened: threading.Event) -> None:
        """End an opening that takes too long: the time limit of a socket begins anew with every byte."""
        until = time.monotonic() + CONNECT_SECONDS
        while not opened.wait(TICK_SECONDS):
            connected = self.sock
            if connected is not None and (self._stopping.is_set() or time.monotonic() > until):
                self._given_up = True
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)

    def receive(self) -> tuple[int, Any]:
        """Wait a tick for a frame, and return its kind and itself.

        :raises WebSocketTimeoutException: none came.
        :raises Endless: it is too large, or takes too long.
        """
        kind, frame = self.recv_data_frame(control_frame=True)
        if self.cont_frame.cont_data is None:  # else it came in the middle of a message
            self._message_bytes = 0
        return kind, frame

    def _recv(self, bufsize: int) -> bytes:
        """Read bytes of a message; the library reads all of them here."""
        data: bytes = super()._recv(bufsize)  # type: ignore[no-untyped-call]  # this method has no types
        if self._message_bytes == 0:
            self._message_until = time.monotonic() + MESSAGE_SECONDS
        self._message_bytes += len(data)
        if self._message_bytes > MAX_MESSAGE_BYTES:
            raise Endless(f"a message has more than {MAX_MESSAGE_BYTES} bytes")
        if self._stopping.is_set() or time.monotonic() > self._message_until:
            raise Endless("a message does not come to an end")
        return data
