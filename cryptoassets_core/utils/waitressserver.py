"""Waitress, made fit for strangers: what its settings cannot say, said in subclasses.

They are written against waitress 3.0 and touch a few attributes that it does not document; the tests of the HTTP server
meet each of them over real sockets.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, RequestEntityTooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

#: A refused body is read to its end up to this size, see :py:class:`_Parser`.
MAX_REFUSED_BYTES: Final = 16 * 1024 * 1024
#: How long a client may take for a request while half of the connections are in use.
CROWDED_SECONDS: Final = 2
#: How long requests that are being answered may take to end when the server stops.
STOP_SECONDS: Final = 3

#: What is answered to requests that never get to an application, or that it does not know.
SENTENCES: Final = {
    400: "This is not a request that can be understood.",
    404: "There is nothing at this path.",
    405: "This method is not allowed here.",
    413: "The request is too large.",
    431: "The request's headers are too large.",
    500: "The request could not be handled; the log of this process tells why.",
    501: "This transfer encoding is not supported.",
}


class _OneLine(logging.Filter):
    """Keeps each message on one line: waitress writes paths and headers into its messages as they came."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = repr(record.getMessage())[1:-1], ()
        return True


# Loggers of our own, so that an application that uses waitress itself keeps its log as it is.
_waitress_logger = logging.getLogger(f"{__name__}.waitress")
_waitress_logger.addFilter(_OneLine())
_queue_logger = logging.getLogger(f"{__name__}.waitress.queue")
# A burst is normal here; waitress would warn at each request of it.
_queue_logger.setLevel(logging.ERROR)


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress publishes no types
    """Reads on when a body is refused for its size, and keeps nothing of it.

    To answer and close at once would reset the connection under a client that is still sending: it would meet an error
    of its network instead of our refusal.
    """

    expect_continue: bool
    #: Bytes of the refused body that are still to come.
    refused_bytes = 0

    def received(self, data: bytes) -> int:
        if self.refused_bytes:
            consumed = min(len(data), self.refused_bytes)
            self.refused_bytes -= consumed
            self.completed = not self.refused_bytes
            return consumed
        try:
            consumed = super().received(data)
        except ValueError:
            # From int() for endless lengths and urlsplit() for broken hosts; waitress would log a traceback.
            self.error = BadRequest("")
            self.completed = True
            return len(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self._refuse_body()
        return int(consumed)

    def _refuse_body(self) -> None:
        if self.expect_continue:
            # The client asked before sending: waitress would tell it to go on.
            self.expect_continue = False
        elif 0 < self.content_length <= MAX_REFUSED_BYTES:
            self.refused_bytes = self.content_length
            self.completed = False


class _Task(WSGITask):  # type: ignore[misc]
    logger = _waitress_logger


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers what waitress itself refuses, without its explanations: they repeat what was sent."""

    logger = _waitress_logger

    def execute(self) -> None:
        error = self.request.error
        logger.info("what came to port %s was refused with %s", self.channel.server.effective_port, error.code)
        body = f"{SENTENCES.get(error.code, SENTENCES[400])}\n".encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "text/plain; charset=utf-8"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when it waits for its client.

    Waitress starts to count anew at every byte, so that a client who sends one byte now and then could stay for ever.
    """

    logger = _waitress_logger
    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.waiting_since = time.monotonic()
        super().__init__(*args, **kwargs)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.waiting_since = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        super().service()
        self.waiting_since = time.monotonic()


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    logger = _waitress_logger
    queue_logger = _queue_logger


class LimitedServer(TcpWSGIServer):  # type: ignore[misc]
    logger = _waitress_logger
    channel_class = _Channel

    def __init__(
        self, app: WSGIApplication, listening: socket.socket, adjustments: Adjustments, patience_seconds: int
    ) -> None:
        self._patience_seconds = patience_seconds
        self._next_look_at = 0.0
        self._stopping = threading.Event()
        self._trigger_lock = threading.Lock()
        self._channels: dict[int, wasyncore.dispatcher] = {}
        dispatcher = _Dispatcher()
        super().__init__(
            app,
            self._channels,
            _sock=listening,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            bind_socket=False,
        )
        dispatcher.set_thread_count(adjustments.threads)

    def serve(self) -> None:
        """Serve until :py:meth:`stop_serving`; runs in the thread of the server."""
        try:
            while not self._stopping.is_set() and self.accepting:
                # poll and not select, which fails in a process with more than 1024 open files.
                wasyncore.loop(timeout=1, use_poll=True, map=self._channels, count=1)
                # Not from within the loop, as waitress does it: a connection accepted in the same round could get the
                # number of the closed one, and its events.
                self._close_slow_clients()
        except Exception:
            logger.exception("the HTTP server on port %s ended by itself", self.effective_port)
        finally:
            self._close_everything()

    def stop_serving(self) -> None:
        """Make :py:meth:`serve` return; called from other threads."""
        self._stopping.set()
        self.pull_trigger()

    def pull_trigger(self) -> None:
        # A request may outlive the server. Its thread must not write to a handle that was closed: the number may
        # belong to another file by then.
        with self._trigger_lock:
            if not self.trigger._closed:
                super().pull_trigger()

    def _close_slow_clients(self) -> None:
        now = time.monotonic()
        if now < self._next_look_at:
            return
        self._next_look_at = now + 1
        crowded = len(self.active_channels) >= self.adj.connection_limit // 2
        patience = min(self._patience_seconds, CROWDED_SECONDS) if crowded else self._patience_seconds
        for channel in list(self.active_channels.values()):
            if not channel.requests and channel.waiting_since < now - patience:
                channel.handle_close()

    def _close_everything(self) -> None:
        wasyncore.dispatcher.close(self)  # only the listening socket: answers under way can still be written
        self.task_dispatcher.shutdown(timeout=STOP_SECONDS)
        with self._trigger_lock:
            wasyncore.close_all(self._channels, ignore_all=True)
