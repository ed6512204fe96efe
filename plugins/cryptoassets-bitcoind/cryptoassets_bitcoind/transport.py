"""One HTTP connection as python-bitcoinrpc uses it, without the surprises.

The library accepts a ready-made connection. Ours adds the credentials, so that the library never sees them; knows how
long it has been idle; takes JSON with any charset parameter; and names what is not JSON instead of leaving the
connection in a state in which every later call fails.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, IncompleteRead

from cryptoassets_bitcoind.answerfile import AnswerFile
from cryptoassets_bitcoind.endpoint import Endpoint

#: Daemons close a connection after 30 seconds without a request (``-rpcservertimeout``); we are done with it earlier.
IDLE_SECONDS = 10.0


class NotJsonError(Exception):
    """The answer is not JSON: an error page of the daemon, of a proxy, or of something else on that port."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.work_queue_full = b"work queue" in body[:1000].lower()
        super().__init__(f"HTTP status {status}")


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A complete answer in the shape of ``http.client.HTTPResponse`` as far as the library looks at it."""

    status: int
    reason: str
    body: bytes

    def getheader(self, name: str) -> str:
        """Answer the one question the library asks, for the content type, as it wants to hear it."""
        return "application/json"

    def read(self) -> bytes:
        """Return the whole body."""
        return self.body


class Connection:
    """A kept-alive connection of one thread to the daemon."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        kind = HTTPSConnection if endpoint.scheme == "https" else HTTPConnection
        self._http = kind(endpoint.host, endpoint.port, timeout=timeout)
        self._authorization = endpoint.authorization
        self._pid = os.getpid()
        self._last_used_at = time.monotonic()
        #: Whether a call has succeeded on it: a failure may then only mean that the daemon closed it meanwhile.
        self.reused = False

    def __del__(self) -> None:
        # Threads end without saying goodbye to their connection.
        if hasattr(self, "_http"):
            self.close()

    def open(self) -> None:
        """Connect now, so that a failure to connect is told apart from a failure of the call."""
        self._http.connect()

    @property
    def usable(self) -> bool:
        """Whether the next request can go over it: open, ours, fresh, and with nothing waiting to be read.

        Something to read between two calls is the daemon's goodbye or a late answer that must not be taken for
        another one's. After a fork the socket belongs to two processes.
        """
        if self._http.sock is None or self._pid != os.getpid():
            return False
        if time.monotonic() - self._last_used_at > IDLE_SECONDS:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(self._http.sock, selectors.EVENT_READ)
            return not selector.select(timeout=0)

    def mark_used(self) -> None:
        """Note that a call was answered completely."""
        self.reused = True
        self._last_used_at = time.monotonic()

    @property
    def sock(self) -> socket.socket:
        """The open socket; the library sets the time limit of the answer on it."""
        if self._http.sock is None:
            raise ConnectionResetError("the connection is closed")
        return self._http.sock

    def request(self, method: str, path: str, body: str, headers: Mapping[str, str | bytes]) -> None:
        """Send a request as us, whoever the library thinks we are."""
        self._http.request(method, path, body, {**headers, "Authorization": self._authorization})

    def getresponse(self) -> JsonResponse:
        """Read the answer to its end.

        :raises NotJsonError: it is something else, whatever its status; daemons report errors as JSON with status 500.
        """
        response = self._json_response()
        return JsonResponse(response.status, response.reason, response.read())

    def receive(self, file: AnswerFile) -> None:
        """Read the answer to its end into a file, however long it is.

        :raises NotJsonError: as :py:meth:`getresponse`.
        """
        response = self._json_response()
        shutil.copyfileobj(response, file)
        if response.length:  # read piece by piece, an answer that is cut short looks like one that ends
            raise IncompleteRead(b"", response.length)

    def _json_response(self) -> HTTPResponse:
        response = self._http.getresponse()
        content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise NotJsonError(response.status, response.read())
        return response

    def close(self) -> None:
        """Hang up; a later call needs a new connection."""
        self._http.close()
