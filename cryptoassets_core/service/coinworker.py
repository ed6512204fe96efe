"""What the daemon does for one coin: follow its chain, look at notifications, broadcast withdrawals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptoassets_core.app import WalletNotifySetup
from cryptoassets_core.backend.base import CoinBackend, TwoStepBackend, Txid
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, BackendRejectedError, BackendUnavailableError
from cryptoassets_core.loading import load_class
from cryptoassets_core.service.notifyqueue import NotifyQueue
from cryptoassets_core.tools.broadcast import Broadcaster, wallets_to_broadcast
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, Notify

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CoinHealth:
    """How a coin is doing, for the status server."""

    #: When the backend last answered.
    last_success_at: datetime | None = None
    #: What is wrong now, None if nothing is.
    problem: str | None = None


class CoinWorker:
    """Does the daemon's work for one coin. Jobs never raise: a backend that is down is asked again next time."""

    def __init__(
        self,
        coin: Coin,
        backend: CoinBackend,
        conflict_resolver: ConflictResolver,
        *,
        walletnotify: WalletNotifySetup | None,
        on_events: Callable[[], None],
    ) -> None:
        """
        :param on_events: called after events were written.
        """
        self.coin = coin
        self.health = CoinHealth()
        self.updater = TransactionUpdater(conflict_resolver, backend, coin)
        self._backend = backend
        self._resolver = conflict_resolver
        self._on_events = on_events
        self._checked = False
        self._caught_up = False
        self._queue = NotifyQueue(coin.name, self.look_at)
        self._handler = _open_channel(walletnotify, self._queue.put) if walletnotify else None

    def start(self) -> None:
        """Open the notification channel.

        :raises BackendRejectedError: the backend refuses us for good, or serves another network.
        :raises ConfigurationError: the notification channel cannot be opened.
        """
        try:
            self._check_backend()
        except BackendUnavailableError as error:
            self._trouble(error)
        self._queue.start()
        if self._handler is not None:
            self._handler.start()
        else:
            logger.warning("%s: no walletnotify is configured: deposits show with the next block only", self.coin.name)

    def stop(self) -> None:
        """Close the notification channel and finish what is under way."""
        if self._handler is not None:
            self._handler.stop()
        self._queue.stop()

    def is_alive(self) -> bool:
        """Tell whether notifications are still taken and looked at."""
        return self._queue.is_alive() and (self._handler is None or self._handler.is_alive())

    def poll(self) -> None:
        """Follow the chain; the first time also without a new block, to find what happened while nobody looked."""

        def work() -> int:
            if self._caught_up:
                return self.updater.poll()
            events = self.updater.follow()
            self._caught_up = True
            logger.info("%s: caught up with the chain, %s updates", self.coin.name, events)
            return events

        self._attempt(work)

    def look_at(self, txids: Sequence[Txid]) -> bool:
        """Look at notified transactions.

        :returns: False if that was not possible now.
        """
        return self._attempt(lambda: self.updater.handle_wallet_notifies(txids))

    def broadcast(self) -> None:
        """Send the withdrawals of each wallet."""
        backend = self._backend
        if not isinstance(backend, TwoStepBackend):
            return

        def work() -> int:
            wallets = self._resolver.run(lambda session: wallets_to_broadcast(session, self.coin))
            return sum(
                Broadcaster(wallet, self._resolver, backend, coin=self.coin).do_broadcasts().count for wallet in wallets
            )

        self._attempt(work)

    def _attempt(self, work: Callable[[], int]) -> bool:
        """Do work that writes events, and keep book of whether the backend allows it."""
        try:
            self._check_backend()
            events = work()
        except BackendError as error:
            self._trouble(error)
            return False
        except Exception as error:
            # A job that raised would be dropped by its scheduler or end its thread; the next try may succeed.
            logger.exception("%s: unexpected trouble", self.coin.name)
            self.health.problem = f"unexpected {type(error).__name__}; the log has the details"
            return False
        self._all_well()
        if events:
            self._on_events()
        return True

    def _check_backend(self) -> None:
        if self._checked:
            return
        try:
            self._backend.check()
        except BackendRejectedError as error:
            self._trouble(error)
            raise
        self._checked = True
        logger.info("%s: connected to the backend on network %s", self.coin.name, self.coin.network)

    def _trouble(self, error: BackendError) -> None:
        problem = str(error)
        if problem != self.health.problem:  # told once, not at every try
            logger.warning("%s: %s", self.coin.name, problem)
        self.health.problem = problem

    def _all_well(self) -> None:
        if self.health.problem is not None:
            logger.info("%s: the backend works again", self.coin.name)
        self.health.problem = None
        self.health.last_success_at = utc_now()


def _open_channel(setup: WalletNotifySetup, notify: Notify) -> IncomingTransactionRunnable:
    return load_class(setup.type.factory, IncomingTransactionRunnable)(setup.options, notify)
