"""POST to one URL again and again: connections are kept, and each post has one deadline for all of it.

The time limit of a socket, and so that of the usual HTTP client, begins anew with every byte: a receiver that drips its
answer would hold its sender for hours. Here whatever waits, waits for what is left until the deadline. Only the look-up
of a host's name keeps to the limits of the system.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, cast
from urllib.parse import SplitResult

#: An answer is read up to this size so that its connection can be used again; nobody looks at it.
MAX_ANSWER_BYTES: Final = 1024


class Deadline:
    """When something must be over, by a clock that nobody sets."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: there are none.
        """
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class Poster:
    """Posts from several threads at once, each on a connection of its own."""

    def __init__(self, url: SplitResult, target: str, *, seconds: float) -> None:
        """
        :param url: where to; http or https. Certificates are verified.
        :param target: its path and query, encoded.
        :param seconds: how long a post may take, from the connection to the answer.
        """
        self._host, self._port = url.hostname or "", url.port
        self._target = target
        self._seconds = seconds
        self._context = ssl.create_default_context() if url.scheme == "https" else None
        #: Connections at rest.
        self._kept: deque[_Connection] = deque()

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Post and return the status of the answer; redirects are not followed.

        :raises OSError: there was no connection, no answer, or not in time, which is a TimeoutError.
        :raises HTTPException: the answer is not HTTP.
        :raises ValueError: the host or a header cannot be written as HTTP wants it.
        """
        connection = self._take()
        try:
            status = connection.post(self._target, body, headers, Deadline(self._seconds))
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._kept.append(connection)
        return status

    def close(self) -> None:
        """Close the connections that are at rest."""
        while self._kept:
            self._kept.pop().close()

    def _take(self) -> _Connection:
        with suppress(IndexError):
            while True:
                connection = self._kept.pop()
                if connection.is_quiet():
                    return connection
                connection.close()
        return _Connection(self._host, self._port, self._context)


class _Connection(HTTPConnection):
    """A connection whose deadline is set with each post."""

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext | None) -> None:
        self.default_port = 80 if context is None else 443
        # Without a port it would look for one in the host, and find one in ::1.
        super().__init__(host, port or self.default_port)
        self._context = context
        self._unsent = b""

    def post(self, target: str, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> int:
        self._unsent = b""
        self.request("POST", target, body, headers)
        if self.sock is None:
            self.sock = self._connected(deadline)
        self.sock.settimeout(deadline.left())
        # Who closes early may have answered before.
        with suppress(BrokenPipeError):
            self.sock.sendall(self._unsent)
        self.response_class = cast("type[HTTPResponse]", partial(_Answer, deadline=deadline))
        answer = self.getresponse()
        self._finish(answer)
        return answer.status

    def send(self, data: Any) -> None:
        """Keep the head of the request until its body is there: one packet wakes the other side once."""
        self._unsent += data

    def is_quiet(self) -> bool:
        """Tell whether nothing came since the last answer: the other side would close, or say what nobody asked for."""
        ready = select.poll()  # select fails in a process with more than 1024 open files
        ready.register(self.sock, select.POLLIN)
        return not ready.poll(0)

    def _connected(self, deadline: Deadline) -> socket.socket:
        reason: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(deadline.left())
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.settimeout(deadline.left())
                return made if self._context is None else self._context.wrap_socket(made, server_hostname=self.host)
            except OSError as error:
                made.close()
                reason = error
        raise reason or OSError("the host has no address")

    def _finish(self, answer: HTTPResponse) -> None:
        """Read a short answer to its end; the event is taken or not by its status alone, whatever happens here."""
        if answer.length is not None and answer.length <= MAX_ANSWER_BYTES and self.sock is not None:
            with suppress(OSError, ValueError, HTTPException):
                answer.read()
                return
        answer.close()
        self.close()


class _Answer(HTTPResponse):
    """An answer that is read until a deadline."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Patient(sock, deadline))


class _Patient(io.RawIOBase):
    """What a socket receives until a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)
