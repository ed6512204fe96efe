"""The channel ``blockio_websocket``: the service tells over a connection that we keep open to it.

Nothing is repeated that was told while nobody listened, so the chain is looked at after each connection.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from typing import Final

from websocket import (
    ABNF,
    WebSocket,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
    create_connection,
)

from cryptoassets_blockio.notifications import NotUnderstood, Reader, blockio_backend
from cryptoassets_blockio.options import BlockIoWebsocketOptions
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.walletnotify.base import NEW_BLOCK, IncomingTransactionRunnable, Notify

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 10.0

#: How long the first connection is waited for; the daemon starts without it too.
START_SECONDS: Final = 5.0

#: Addresses that were made since the last subscription are told of after the next one only.
SUBSCRIBE_SECONDS: Final = 10.0

#: A connection is asked for a sign of life so often, and is dead without one for the longer time.
PING_SECONDS: Final = 25.0
SILENCE_SECONDS: Final = 60.0

#: How soon a request to stop is seen.
TICK_SECONDS: Final = 0.5

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0


class BlockIoWebsocketHandler(IncomingTransactionRunnable):
    """Listens to the service's websocket, and connects again whenever it breaks.

    :ivar connections: how often a connection was made.
    """

    def __init__(self, options: BlockIoWebsocketOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self.connections = 0
        self._url = options.url
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._new_addresses = threading.Event()
        self._thread: threading.Thread | None = None
        self._subscription: str | None = None
        self._reader = Reader("")
        self._trouble = "it is not connected yet"

    def attach(self, backend: CoinBackend) -> None:
        """Take the account's key and network from the backend."""
        blockio = blockio_backend(backend, "blockio_websocket")
        key = blockio.options.api_key.get_secret_value()
        self._subscription = json.dumps({"type": "account", "api_key": key})
        self._reader = Reader(blockio.service_network)

    @property
    def stats(self) -> dict[str, int]:
        """Counts of messages, by what became of them."""
        return dict(self._reader.stats)

    @property
    def ready(self) -> bool:
        """Whether it is connected and has subscribed."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until it is connected and has subscribed.

        :param timeout: seconds; None waits as long as it takes.
        :returns: whether it is.
        """
        return self._ready.wait(timeout)

    def start(self) -> None:
        """Connect; a service that does not answer yet is asked again and again while everything else goes on."""
        if self._subscription is None:
            raise ConfigurationError("blockio_websocket was not given a backend whose account it can listen to")
        if self.is_alive():
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="block.io websocket", daemon=True)
        self._thread.start()
        if not self.wait_until_ready(START_SECONDS):
            logger.warning("block.io's websocket does not answer yet; deposits show with the next poll until it does")

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(CONNECT_SECONDS + 2)
            self._thread = None

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def problem(self) -> str | None:
        """Say why there is no connection now."""
        return None if self.ready else f"block.io's websocket brings no notifications: {self._trouble}"

    def register_new_addresses(self) -> None:
        """Subscribe again, soon."""
        self._new_addresses.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._connect_and_listen()
            except (WebSocketException, OSError) as error:
                self._trouble = _reason(error)
                if not self._stopping.is_set():
                    logger.warning("block.io's websocket broke (%s); connecting again", self._trouble)
            except Exception:
                self._trouble = "unexpected trouble, see the log"
                logger.exception("block.io's websocket met unexpected trouble; connecting again")
            finally:
                self._ready.clear()
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._stopping.wait(random.uniform(pause / 2, pause))  # noqa: S311 - spreads load, keeps no secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _connect_and_listen(self) -> None:
        # What is no text is passed over like other nonsense; it is no reason to hang up.
        socket: WebSocket = create_connection(self._url, timeout=CONNECT_SECONDS, skip_utf8_validation=True)
        try:
            socket.send(self._subscription or "")
            self.connections += 1
            self._ready.set()
            logger.info("listening to block.io's websocket")
            self.notify(NEW_BLOCK)
            self._listen(socket)
        finally:
            socket.shutdown()  # type: ignore[no-untyped-call]  # this method has no types

    def _listen(self, socket: WebSocket) -> None:
        now = time.monotonic()
        subscribed_at = asked_at = heard_at = now
        socket.settimeout(TICK_SECONDS)
        while not self._stopping.is_set():
            try:
                opcode, frame = socket.recv_data_frame(control_frame=True)
            except WebSocketTimeoutException:
                opcode, frame = -1, None
            now = time.monotonic()
            if opcode == ABNF.OPCODE_CLOSE:
                raise WebSocketConnectionClosedException
            if opcode != -1:
                heard_at = now
            if frame is not None and opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
                self._take(frame.data)
            if now - heard_at > SILENCE_SECONDS:
                raise WebSocketTimeoutException
            if now - asked_at > PING_SECONDS:
                asked_at = now
                socket.ping()
            if now - subscribed_at > SUBSCRIBE_SECONDS or self._new_addresses.is_set():
                self._new_addresses.clear()
                subscribed_at = now
                socket.send(self._subscription or "")

    def _take(self, message: bytes) -> None:
        """Pass on what a message is about; whatever it is, the next one is taken."""
        try:
            txid = self._reader.read(message)
        except NotUnderstood as reason:
            logger.warning("a message of block.io's websocket is passed over: %s", reason)
            return
        if txid is None:
            return
        logger.debug("block.io's websocket tells of %s", txid)
        try:
            self.notify(txid)
        except Exception:
            # To hang up would lose what is told until the next connection.
            logger.exception("block.io's websocket: %s could not be passed on", txid)


def _reason(error: Exception) -> str:
    """Say what broke without the error's text, which may quote what was sent, and that is the key."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
