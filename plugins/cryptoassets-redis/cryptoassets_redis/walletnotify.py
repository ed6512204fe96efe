"""Wallet notification over Redis: the node runs ``redis-cli publish bitcoind_walletnotify_pubsub %s``.

With ``publish … "block %s"`` it tells of a new block in the same way. Redis keeps nothing for a subscriber that is
away: after each interruption the chain is looked at, which brings to light what was missed.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import Any, Final

import redis
from pydantic import Field

from cryptoassets_core.walletnotify.base import (
    MISSED,
    IncomingTransactionRunnable,
    Notify,
    WalletNotifyOptions,
)
from cryptoassets_core.walletnotify.hints import Hints
from cryptoassets_redis.server import TIMEOUT_SECONDS, RedisServer, connect, named, reason

logger = logging.getLogger(__name__)

#: Pauses between attempts to connect: doubled each time, up to the longest.
_SHORTEST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0

#: After so long without a word Redis is asked for one, and after as long again it counts as gone: a connection that
#: died silently would stay silent for ever.
_SILENCE_SECONDS: Final = 30.0


class RedisWalletNotifyOptions(WalletNotifyOptions, RedisServer):
    """Which Redis, and the name of the channel."""

    #: Name of the pub/sub channel, another one for each coin.
    channel: str = Field(default="bitcoind_walletnotify_pubsub", min_length=1)


class RedisWalletNotifyHandler(IncomingTransactionRunnable):
    """Subscribes to a channel, and connects again for as long as it takes.

    :ivar hints: counts what was taken and what was refused.
    """

    def __init__(self, options: RedisWalletNotifyOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self.hints = Hints(f"the Redis channel {options.channel}", notify)
        self._options = options
        self._stopping = threading.Event()
        #: Set when the first attempt to connect is over.
        self._tried = threading.Event()
        self._problem: str | None = None
        self._subscription: redis.client.PubSub | None = None
        self._thread = threading.Thread(target=self._run, name="redis-walletnotify", daemon=True)

    def start(self) -> None:
        """Try to connect; a Redis that is down now is no reason not to start."""
        self._thread.start()
        self._tried.wait(TIMEOUT_SECONDS)

    def stop(self) -> None:
        """End the thread; safe to call twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._hang_up()
            self._thread.join(TIMEOUT_SECONDS)

    def is_alive(self) -> bool:
        """Tell whether Redis is listened to, or tried again and again."""
        return self._thread.is_alive()

    def problem(self) -> str | None:
        """Say why there is no connection now."""
        return self._problem

    def _run(self) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:
                # Of any kind: when stop() hangs up, the client stumbles over it in ways of its own.
                if self._stopping.is_set():
                    return
                if not isinstance(error, redis.RedisError | OSError):
                    logger.exception("unexpected trouble while listening to Redis")
                if self._problem is None:  # it did work until now
                    pause = _SHORTEST_PAUSE_SECONDS
                self._trouble(error)
            self._tried.set()
            self._stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _listen(self) -> None:
        """Connect and pass on what comes, until told to stop.

        :raises redis.RedisError: the connection is lost, or there is none.
        """
        with closing(connect(self._options)) as client, closing(_subscription(client)) as subscription:
            subscription.subscribe(self._options.channel)
            self._subscription = subscription
            asked = False
            while not self._stopping.is_set():
                message: Any = subscription.get_message(timeout=_SILENCE_SECONDS)
                if message is None and asked:
                    raise redis.TimeoutError
                asked = message is None
                if message is None:
                    subscription.ping()
                elif message["type"] == "subscribe":
                    self._connected()
                elif message["type"] == "message":
                    self.hints.take(message["data"])

    def _connected(self) -> None:
        logger.info("listening to the channel %s of %s", self._options.channel, named(self._options))
        missed = self._problem is not None
        self._problem = None
        self._tried.set()
        if missed:
            # Whatever was published while nobody listened is gone.
            self.hints.pass_on(MISSED)

    def _trouble(self, error: Exception) -> None:
        problem = f"{named(self._options)} brings no notifications: {reason(error)}"
        if problem != self._problem:  # told once, not at every try
            logger.warning("%s; it is tried again until it does", problem)
        self._problem = problem

    def _hang_up(self) -> None:
        """Wake the thread up from its wait for a message."""
        connection = self._subscription.connection if self._subscription is not None else None
        if connection is not None:
            connection.disconnect()


def _subscription(client: redis.Redis) -> redis.client.PubSub:
    subscription: redis.client.PubSub = client.pubsub()  # type: ignore[no-untyped-call]  # redis leaves this one out
    return subscription
