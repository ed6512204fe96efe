"""The channel ``blockio_websocket``: the service tells over a connection that we keep open to it.

Nothing is repeated that was told while nobody listened, so the chain is looked at after each connection.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Final

from websocket import (
    ABNF,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)

from cryptoassets_blockio.channel import LONGEST_PAUSE_SECONDS, ServiceChannel
from cryptoassets_blockio.connection import CONNECT_SECONDS, Connection, Endless
from cryptoassets_blockio.options import BlockIoWebsocketOptions
from cryptoassets_core.walletnotify.base import Notify

logger = logging.getLogger(__name__)

#: How long the first connection is waited for; the daemon starts without it too.
START_SECONDS: Final = 5.0

#: The service greets, and may answer a subscription or not: without a refusal for so long it counts as taken.
REFUSAL_SECONDS: Final = 2.0

#: Addresses that were made since the last subscription are told of after the next one only.
SUBSCRIBE_SECONDS: Final = 10.0

#: A connection is asked for a sign of life so often, and is dead without one for the longer time.
PING_SECONDS: Final = 25.0
SILENCE_SECONDS: Final = 60.0


class _SubscriptionRefusedError(WebSocketException):
    """The service does not tell us."""


class BlockIoWebsocketHandler(ServiceChannel):
    """Listens to the service's websocket, and connects again whenever it breaks.

    :ivar connections: how often a connection was made.
    """

    channel = "blockio_websocket"
    complaint = "block.io's websocket brings no notifications"
    foreseen = (WebSocketException, OSError)

    def __init__(self, options: BlockIoWebsocketOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self.connections = 0
        self._url = options.url
        self._wants_subscription = False

    def start(self) -> None:
        """Connect; a service that does not answer yet is asked again and again while everything else goes on."""
        self._account()
        if self.is_alive():
            return
        self._begin()
        self._tried.wait(START_SECONDS)
        if not self.ready:
            logger.warning("%s; deposits show with the next poll until it does", self.problem())

    def stop(self) -> None:
        self._end(CONNECT_SECONDS + 2)

    def register_new_addresses(self) -> None:
        """Subscribe again, soon."""
        self._wants_subscription = True

    def _attempt(self) -> float:
        connection = Connection(self._stopping)
        began = time.monotonic()
        try:
            connection.open(self._url)
            self.connections += 1
            self._listen(connection)
        finally:
            self._ready.clear()
            connection.shutdown()  # type: ignore[no-untyped-call]  # this method has no types
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                self._had_success()
        return 0.0

    def _listen(self, connection: Connection) -> None:
        """Subscribe, and take what comes until we are told to stop.

        :raises WebSocketException: the connection is good for nothing any more.
        """
        self._subscribe(connection)
        began = subscribed_at = asked_at = heard_at = time.monotonic()
        granted = 0
        while not self._stopping.is_set():
            try:
                kind, frame = connection.receive()
                heard_at = time.monotonic()
            except WebSocketTimeoutException:
                kind, frame = None, None
            now = time.monotonic()
            if kind == ABNF.OPCODE_CLOSE:
                raise WebSocketConnectionClosedException
            if frame is not None and kind in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
                granted += self._grants(frame.data)
            # The first word is the greeting, which comes with every connection.
            if not self.ready and (granted > 1 or now - began > REFUSAL_SECONDS):
                self._is_told()
            if now - heard_at > SILENCE_SECONDS:
                raise WebSocketTimeoutException
            if now - asked_at > PING_SECONDS:
                asked_at = now
                connection.ping()
            if now - subscribed_at > SUBSCRIBE_SECONDS or self._wants_subscription:
                subscribed_at = now
                self._subscribe(connection)

    def _grants(self, data: bytes) -> bool:
        """Take a message, and tell whether it grants a subscription.

        :raises _SubscriptionRefusedError: it refuses one.
        """
        said = self._take(data)
        if said is not None and said.granted is False:
            raise _SubscriptionRefusedError
        return said is not None and said.granted is True

    def _subscribe(self, connection: Connection) -> None:
        self._wants_subscription = False
        key = self._account().options.api_key.get_secret_value()
        connection.send(json.dumps({"type": "account", "api_key": key}))

    def _reason(self, error: Exception) -> str:
        """Say what broke without the error's text, which may quote what was sent, and that is the key."""
        if isinstance(error, _SubscriptionRefusedError):
            return "it refuses our subscription; see that the API key is right and may be used from this machine"
        if isinstance(error, Endless):
            return str(error)
        if isinstance(error, WebSocketBadStatusException):
            return f"it answers with HTTP status {error.status_code}"
        if isinstance(error, WebSocketTimeoutException):
            return "it does not answer in time"
        if isinstance(error, WebSocketConnectionClosedException):
            return "the connection was closed"
        return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
