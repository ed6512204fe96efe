"""The stand-in's port: the API over HTTP, and the websocket, with the faults that are armed."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import socket
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptoassets_blockio.testing.account import Refusal
from cryptoassets_blockio.testing.api import answer
from cryptoassets_blockio.testing.faults import Fault
from cryptoassets_blockio.testing.sockets import Peer

if TYPE_CHECKING:
    from cryptoassets_blockio.testing.standin import StandIn

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BAD_KEY: Final = (
    "API Key invalid or you have not enabled API access for this machine's IP address(es). Check that your API Keys "
    "are correct, and that you have enabled API access for this machine's IP Address(es) on your account's Settings "
    "page."
)
_PAGE: Final = b"<html><body><h1>Something is wrong</h1></body></html>"
_STATUSES: Final = {
    Fault.NOT_FOUND: 404,
    Fault.THROTTLED_419: 419,
    Fault.THROTTLED_429: 429,
    Fault.SERVER_ERROR: 500,
    Fault.HTML: 502,
    Fault.HTML_OK: 200,
}
_BODIES: Final = {
    Fault.WRONG_JSON: b'{"status": "success", "data": {',
    Fault.JSON_LIST: b'["success"]',
    Fault.STATUS_ERROR: b'{"status": "error", "data": {}}',
    Fault.BARE_FAIL: b'{"status": "fail"}',
}
_BEFORE: Final = frozenset({Fault.DROP_BEFORE, Fault.STALL_BEFORE, Fault.REDIRECT, *_STATUSES, *_BODIES})


class Server(ThreadingHTTPServer):
    """Listens for the stand-in."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer a call of the API."""
        url = urlsplit(self.path)
        method = url.path.removeprefix("/api/v2/").strip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stand_in = self.server.stand_in
        stand_in.note(method)
        fault = stand_in.faults.strike(method)
        if fault in _BEFORE:
            self._misbehave(fault)
            return
        status, reply = self._reply(method, parse_qs(url.query).get("api_key", [""])[0], body)
        if fault is Fault.DROP_AFTER or fault is Fault.STALL_AFTER:
            self._misbehave(fault)
        elif fault is Fault.DRIP:
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self._drip(reply)
        else:
            if fault is Fault.SLOW:
                time.sleep(stand_in.slow_seconds)
            self._send(status, reply)

    def _reply(self, method: str, key: str, body: bytes) -> tuple[int, bytes]:
        try:
            parameters = json.loads(body)
            account = self.server.stand_in.accounts.get(key)
            if account is None or parameters.get("api_key") != key:
                raise Refusal(_BAD_KEY, connecting_ip="127.0.0.1")
            data = answer(account, self.server.stand_in.hooks, method, parameters)
        except Refusal as refusal:
            failed = {"status": "fail", "data": {"error_message": str(refusal), **refusal.facts}}
            return refusal.status, json.dumps(failed).encode()
        return 200, json.dumps({"status": "success", "data": data}).encode()

    def _misbehave(self, fault: Fault) -> None:
        self.close_connection = True
        if fault in _STATUSES:
            self._send(_STATUSES[fault], _PAGE, "text/html")
        elif fault in _BODIES:
            self._send(200, _BODIES[fault])
        elif fault is Fault.REDIRECT:
            self.send_response(302)
            stand_in = self.server.stand_in
            base = stand_in.websocket_url if "Sec-WebSocket-Key" in self.headers else f"{stand_in.url}/"
            self.send_header("Location", f"{base}elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault in (Fault.STALL_BEFORE, Fault.STALL_AFTER):
            self.server.stand_in.wait_for_end(self.connection)
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _drip(self, reply: Iterable[int]) -> None:
        for byte in reply:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.stand_in.stopping.wait(0.02):
                return

    def _send(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status, _phrase(status))
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Open a websocket."""
        key = self.headers.get("Sec-WebSocket-Key")
        if key is None or self.path == "/elsewhere":
            self.server.stand_in.note("elsewhere")
            self._send(404, _PAGE, "text/html")
            return
        fault = self.server.stand_in.faults.strike("websocket")
        if self.server.stand_in.refuses_websockets:
            self._send(503, _PAGE, "text/html")
            return
        if fault in _BEFORE:
            self._misbehave(fault)
            return
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 says so
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.close_connection = True
        if fault is Fault.DRIP:
            self.flush_headers()
            self._drip(itertools.chain(b"X-Endless: ", itertools.repeat(ord("."))))
            return
        self.end_headers()
        self.wfile.flush()
        Peer(self.server.stand_in, self.connection).serve()


def _phrase(status: int) -> str:
    # 419 is nobody's status but the service's.
    return "Throttled" if status == 419 else HTTPStatus(status).phrase
