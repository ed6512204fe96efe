"""One HTTP server for every small listener of the project: a WSGI application served by waitress in a thread.

Such a listener stands inside a process that moves money, and anybody who reaches its port may send it anything.
So the server bounds what a client can take from the process: bytes, connections, threads, time and log lines. It
refuses in one plain sentence that never repeats what was sent.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, request
from waitress.adjustments import Adjustments
from werkzeug.exceptions import HTTPException

from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.utils.waitressserver import SENTENCES, STOP_SECONDS, LimitedServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

#: A block with hundreds of our transactions makes the node start as many clients at once; they wait here.
BACKLOG: Final = 1024
#: Open connections at a time; further ones wait in the backlog.
MAX_CONNECTIONS: Final = 100
MAX_HEADER_BYTES: Final = 16 * 1024


def sentence(text: str, status: int = 200) -> Response:
    """Answer with one line of plain text."""
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")


def shortened(value: str, *, limit: int = 100) -> str:
    """Write what a client sent for a log: quoted, free of control characters, and never long."""
    return repr(value) if len(value) <= limit else f"{value[:limit]!r}…"


def note_refusal(status: int, *, level: int = logging.INFO) -> None:
    """Log in one line that the request under way is refused."""
    logger.log(
        level, "a request was refused with %s: %s %s", status, shortened(request.method), shortened(request.path)
    )


def plain_app() -> Flask:
    """Make a Flask application that answers every error with one plain sentence and logs each in one line."""
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.url_map.merge_slashes = False

    @app.before_request
    def refuse_web_pages() -> Response | None:
        # A page that somebody looks at may post forms to this machine, and no program that is to post here says so.
        if "Origin" not in request.headers:
            return None
        note_refusal(403)
        return sentence("Requests of web pages are not taken.", 403)

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        status = error.code or 500
        note_refusal(status)
        answer = sentence(SENTENCES.get(status, "The request was refused."), status)
        answer.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
        return answer

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        logger.error("a request could not be handled", exc_info=error)
        return sentence(SENTENCES[500], 500)

    return app


class BackgroundHTTPServer:
    """Serves a WSGI application from a thread of its own.

    :ivar port: what it listens on; known after :py:meth:`start` when it was 0.
    """

    def __init__(
        self,
        app: WSGIApplication,
        ip: str,
        port: int,
        name: str,
        *,
        daemon: bool = True,
        threads: int = 4,
        max_body_bytes: int = 64 * 1024,
        patience_seconds: int = 10,
    ) -> None:
        """Prepare the server; nothing is opened yet.

        :param ip: address or host name of this machine.
        :param port: 0 picks a free one.
        :param name: what listens, for messages and thread names.
        :param daemon: False keeps the process from ending until :py:meth:`stop` is called.
        :param threads: how many requests are answered at once.
        :param patience_seconds: how long a client may take to send a request or to read its answer, and how long a
            connection may stay idle.
        """
        self.ip = ip
        self.port = port
        self.name = name
        self._app = app
        self._daemon = daemon
        self._threads = threads
        self._max_body_bytes = max_body_bytes
        self._patience_seconds = patience_seconds
        self._server: LimitedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is reached, with a slash at the end."""
        return f"http://{_host_and_port(self.ip, self.port)}/"

    def start(self) -> None:
        """Start to listen; requests are taken when this returns. Does nothing while it runs already.

        :raises ConfigurationError: the address or port cannot be listened on.
        """
        if self.is_alive():
            return
        listening = _listen(self.ip, self.port, self.name)
        self.port = listening.getsockname()[1]
        self._server = LimitedServer(self._app, listening, self._adjustments(listening), self._patience_seconds)
        self._thread = threading.Thread(
            target=self._server.serve, name=f"{self.name} on port {self.port}", daemon=self._daemon
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop to listen and let requests that are being answered end, for a few seconds; safe to call twice."""
        if self._server is None or self._thread is None:
            return
        self._server.stop_serving()
        self._thread.join(STOP_SECONDS + 2)
        self._server = self._thread = None

    def is_alive(self) -> bool:
        """Tell whether requests are taken."""
        return self._thread is not None and self._thread.is_alive()

    def _adjustments(self, listening: socket.socket) -> Adjustments:
        return Adjustments(
            sockets=[listening],
            threads=self._threads,
            backlog=BACKLOG,
            connection_limit=MAX_CONNECTIONS,
            max_request_header_size=MAX_HEADER_BYTES,
            # Waitress refuses what is equal to its limit.
            max_request_body_size=self._max_body_bytes + 1,
            log_socket_errors=False,
            # No answer needs to name the software.
            ident=None,
        )


def _host_and_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _listen(ip: str, port: int, name: str) -> socket.socket:
    """Open the listening socket ourselves: waitress would leak its other handles when the port is taken."""
    where = f"{name} cannot listen on {_host_and_port(ip, port)}"
    if not ip or not 0 <= port <= 65535:
        raise ConfigurationError(f"{where}: it takes an address such as 127.0.0.1 and a port from 0 to 65535")
    try:
        candidates = socket.getaddrinfo(ip, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{where}: the address is unknown; use one of this machine, such as 127.0.0.1"
        ) from None
    # IPv4 before IPv6: a client that looks up "localhost" tries both, one that was given 127.0.0.1 does not.
    family, kind, protocol, _, address = min(candidates, key=lambda candidate: candidate[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"{where}: {_remedy(error)}") from None
    return listening


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the program that uses it or configure another port"
    if error.errno == errno.EACCES:
        return "this user may not use the port; configure one above 1023"
    return f"{os.strerror(error.errno or 0)}; use an address of this machine, such as 127.0.0.1"
