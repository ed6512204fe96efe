"""Stands between the helper daemon and its node, and loses what passes as a test wants it.

It speaks HTTP, because a fault is meant for one call: "the answer to the second ``sendrawtransaction``". What the
daemon sees is what TCP shows it: a connection that closes, before or in the middle of an answer, or on which nothing
comes.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

#: Longer than any call of a test takes.
_NODE_SECONDS: Final = 120


class Fault(Enum):
    """What becomes of a call."""

    #: Nothing: it passes, and so does its answer.
    NONE = auto()
    #: The node never hears of it, and the connection closes.
    REQUEST_LOST = auto()
    #: The node does it, and the connection closes without an answer.
    REPLY_LOST = auto()
    #: The node does it, and the connection stays open without an answer.
    REPLY_HELD = auto()
    #: The node does it, and the connection closes in the middle of the answer.
    REPLY_CUT = auto()


def nothing(_calls: Sequence[dict[str, Any]]) -> None:
    """Leave things as they are."""


@dataclass(slots=True)
class Trap:
    """Waits for a call and does something to it; the hooks get the calls of the request.

    :ivar sprung: set when the last of the calls was caught and dealt with.
    """

    method: str
    fault: Fault
    #: How many calls it catches.
    times: int
    #: Called when the request has come and the node has not heard of it.
    arrived: Callable[[Sequence[dict[str, Any]]], None]
    #: Called when the node has answered and the daemon has not heard of it.
    answered: Callable[[Sequence[dict[str, Any]]], None]
    #: Called when the answer has been passed on.
    told: Callable[[Sequence[dict[str, Any]]], None]
    caught: int = 0
    sprung: threading.Event = field(default_factory=threading.Event)

    def done(self) -> None:
        """Note that a call was caught and dealt with."""
        if self.caught >= self.times:
            self.sprung.set()


class FaultProxy:
    """Listens on a port of its own; a context manager.

    :ivar port: where the daemon finds it.
    :ivar seen: the methods that were called, in order.
    :ivar errors: what went wrong in hooks.
    """

    def __init__(self, node_port: int) -> None:
        self.node_port = node_port
        self.seen: list[str] = []
        self.errors: list[BaseException] = []
        self.closing = threading.Event()
        self._traps: list[Trap] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def trap(
        self,
        method: str,
        fault: Fault,
        *,
        times: int = 1,
        arrived: Callable[[Sequence[dict[str, Any]]], None] = nothing,
        answered: Callable[[Sequence[dict[str, Any]]], None] = nothing,
        told: Callable[[Sequence[dict[str, Any]]], None] = nothing,
    ) -> Trap:
        """Catch the next calls of a method; see :py:class:`Trap`."""
        trap = Trap(method, fault, times, arrived, answered, told)
        with self._lock:
            self._traps.append(trap)
        return trap

    def catch(self, calls: Sequence[dict[str, Any]]) -> Trap | None:
        """Note a request, and return the trap that it walks into."""
        methods = [str(call.get("method")) for call in calls]
        with self._lock:
            self.seen += methods
            for trap in self._traps:
                if trap.caught < trap.times and trap.method in methods:
                    trap.caught += 1
                    return trap
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        if error is None and self.errors:
            raise self.errors[0]


class _Server(ThreadingHTTPServer):
    # Whoever closes the proxy waits for its threads: none of them shall outlive the test.
    daemon_threads = False

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close what clients keep open."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was quicker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a daemon that is killed in the middle of a call is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        trap = self.server.proxy.catch(calls)
        if trap is None:
            self._answer(self._ask_node(body))
            return
        try:
            self._spring(trap, calls, body)
        finally:
            trap.done()

    def _spring(self, trap: Trap, calls: Sequence[dict[str, Any]], body: bytes) -> None:
        self._hook(trap.arrived, calls)
        if trap.fault is Fault.REQUEST_LOST:
            self.close_connection = True
            return
        reply = self._ask_node(body)
        self._hook(trap.answered, calls)
        if trap.fault is Fault.REPLY_HELD:
            self._wait_for_the_end()
        elif trap.fault is Fault.REPLY_LOST:
            self.close_connection = True
        else:
            self._answer(reply, cut=trap.fault is Fault.REPLY_CUT)
            self._hook(trap.told, calls)

    def _hook(self, hook: Callable[[Sequence[dict[str, Any]]], None], calls: Sequence[dict[str, Any]]) -> None:
        try:
            hook(calls)
        except Exception as error:
            self.server.proxy.errors.append(error)
            raise

    def _ask_node(self, body: bytes) -> tuple[int, str, bytes] | None:
        """Return status, content type and body of the node's answer; None if the node hangs up."""
        node = http.client.HTTPConnection("127.0.0.1", self.server.proxy.node_port, timeout=_NODE_SECONDS)
        headers = {"Authorization": self.headers["Authorization"], "Content-Type": "application/json"}
        try:
            node.request("POST", self.path, body, headers)
            response = node.getresponse()
            return response.status, response.headers["Content-Type"], response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            node.close()

    def _answer(self, reply: tuple[int, str, bytes] | None, *, cut: bool = False) -> None:
        if reply is None:
            self.close_connection = True
            return
        status, content_type, body = reply
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self.close_connection = True

    def _wait_for_the_end(self) -> None:
        """Return when the client has given up, or the test is over."""
        self.close_connection = True
        self.connection.settimeout(0.1)
        while not self.server.proxy.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
