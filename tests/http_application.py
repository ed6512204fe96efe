"""An application that takes events over HTTP, for tests of what posts them."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cryptoassets_core.event.base import Event

EVENT = Event("evt_1", "txupdate", {"amount": "0.10000000", "confirmations": 1, "note": "é&=+ <b>"})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


class Application:
    """An HTTP server that answers as it is told and keeps what it was sent."""

    def __init__(
        self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"", *, ip: str = "127.0.0.1"
    ) -> None:
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.connections: set[tuple[str, int]] = set()
        application = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                application.requests.append((self.path, fields, dict(self.headers)))
                application.connections.add(self.client_address)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in ip else socket.AF_INET

        self.server = Server((ip, 0), Handler)
        # A kept connection ends when the sink closes, which is later.
        self.server.block_on_close = False
        self.url = f"http://{f'[{ip}]' if ':' in ip else ip}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Application:
        self.thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.server.shutdown()
        self.server.server_close()
