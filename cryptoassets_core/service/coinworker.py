"""What the daemon does for one coin: follow its chain, look at notifications, broadcast withdrawals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from cryptoassets_core.app import WalletNotifySetup
from cryptoassets_core.backend.base import CoinBackend, OneShotBackend, TwoStepBackend, Txid
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import cause
from cryptoassets_core.errors import (
    BackendError,
    BackendUnavailableError,
    CannotResolveDatabaseConflict,
    OutcomeUnknownError,
)
from cryptoassets_core.loading import load_class
from cryptoassets_core.service.notifyqueue import NotifyQueue
from cryptoassets_core.service.outage import OutageReporter
from cryptoassets_core.tools.broadcast import Broadcaster, wallets_to_broadcast
from cryptoassets_core.tools.broadcastagain import submit_again
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_core.validation import at
from cryptoassets_core.walletnotify.base import MISSED, NEW_BLOCK, IncomingTransactionRunnable, Notify

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CoinHealth:
    """How a coin is doing, for the status server."""

    #: When the backend last answered.
    last_success_at: datetime | None = None
    #: What is wrong now: in the backend, in the database, or in a job by its name.
    problems: dict[str, str] = field(default_factory=dict)
    #: How often something failed and was left for the next attempt, since the daemon started.
    failed_attempts: int = 0

    @property
    def problem(self) -> str | None:
        """What is wrong now, None if nothing is."""
        return "; ".join(dict.fromkeys(self.problems.copy().values())) or None


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
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        :param on_events: called after events were written.
        :param leads: tells whether this process does the coin's work now, and not another one.
        """
        self.coin = coin
        self.health = CoinHealth()
        self.updater = TransactionUpdater(conflict_resolver, backend, coin)
        self._backend = backend
        self._resolver = conflict_resolver
        self._on_events = on_events
        self._leads = leads
        self._outage = OutageReporter(conflict_resolver, coin.name)
        self._checked = False
        self._caught_up = False
        self._queue = NotifyQueue(coin.name, self.look_at)
        #: Takes notifications, None if none is configured.
        self.handler = _open_channel(walletnotify, self._queue.put, coin, backend) if walletnotify else None

    def start(self) -> None:
        """Open the notification channel.

        :raises ConfigurationError: it cannot be opened, or the backend refuses us for good or serves another network.
        """
        path = f"coins.{self.coin.name}.backend"
        if self.handler is not None:
            with at(f"{path}.walletnotify"):
                self.handler.start()
        try:
            with at(path):
                self._check_backend()
        except BackendError as error:
            # It may come up, or answer with something better, later.
            self._trouble("backend", str(error))
        if self.handler is None:
            logger.warning("%s: no walletnotify is configured: deposits show with the next block only", self.coin.name)
        self._queue.start()

    def stop(self) -> None:
        """Close the notification channel and finish what is under way."""
        if self.handler is not None:
            self.handler.stop()
        self._queue.stop()

    def components(self) -> dict[str, bool]:
        """Return whether notifications are still taken, and whether they are looked at."""
        alive = {f"{self.coin.name} notification queue": self._queue.is_alive()}
        if self.handler is not None:
            alive[f"{self.coin.name} walletnotify"] = self.handler.is_alive()
        return alive

    def channel_problem(self) -> str | None:
        """Say why notifications may be missing now, None if nothing is wrong."""
        return self.handler.problem() if self.handler is not None else None

    def poll(self) -> None:
        """Follow the chain; the first time also without a new block, to find what happened while nobody looked."""
        if not self._leads():
            self._stand_by()
            return

        def work() -> int:
            if self._caught_up:
                return self.updater.poll()
            events = self.updater.follow()
            self._caught_up = True
            logger.info("%s: caught up with the chain, %s updates", self.coin.name, events)
            return events

        if self._attempt("poll", work):
            self._look_for_unknown()
        self._tell_of_outages()

    def _look_for_unknown(self) -> None:
        unknown = self.updater.unknown
        if not unknown:
            self._all_well("followed deposits")
            return
        problem = (
            f"the backend knows nothing any more of {len(unknown)} network transactions with deposits, such as "
            f"{min(unknown)}; nothing is credited or taken back for them until it does: look at them, and see that it "
            "is the right wallet"
        )
        if self.health.problems.get("followed deposits") != problem:
            self._trouble("followed deposits", problem)

    def _tell_of_outages(self) -> None:
        problem = self.health.problems.get("backend")
        try:
            told = self._outage.is_up() if problem is None else self._outage.is_down(problem)
        except (DBAPIError, CannotResolveDatabaseConflict):
            return  # the next poll comes soon
        if told:
            self._on_events()

    def _stand_by(self) -> None:
        """Another daemon leads: what it does meanwhile is to be caught up with when this one does."""
        self._caught_up = False
        self._outage.forget()

        def work() -> int:
            self._backend.check()
            return 0

        self._attempt("stand by", work)
        self._all_well("poll", "broadcast", "followed deposits")

    def look_at(self, notified: Sequence[Txid]) -> bool:
        """Look at notified transactions, and at the chain if there is a new block or notifications were lost.

        :returns: False if that was not possible now.
        """
        txids = [txid for txid in notified if txid not in (NEW_BLOCK, MISSED)]
        if MISSED in notified:
            self._caught_up = False  # what was missed may wait for a block, and only listing it all brings it to light
        if len(txids) < len(notified):
            self.poll()  # which is due soon in any case, should it fail
        return not txids or self._attempt("walletnotify", lambda: self.updater.handle_wallet_notifies(txids))

    def broadcast(self) -> None:
        """Publish again what the network may have forgotten, and send the withdrawals of each wallet."""
        backend = self._backend
        if not isinstance(backend, TwoStepBackend | OneShotBackend) or not self._leads():
            return

        def work() -> int:
            if isinstance(backend, TwoStepBackend):
                submit_again(self.coin, self._resolver, backend)
            wallets = self._resolver.run(lambda session: wallets_to_broadcast(session, self.coin))
            return sum(
                Broadcaster(wallet, self._resolver, backend, coin=self.coin).do_broadcasts().count
                for wallet in wallets
                if self._leads()
            )

        self._attempt("broadcast", work, asks_backend=False)

    def _attempt(self, job: str, work: Callable[[], int], *, asks_backend: bool = True) -> bool:
        """Do work that writes events, and keep book of what stands in its way.

        :param asks_backend: the work asks the backend in any case, so that its success proves that one well.
        :returns: False if it should be tried again soon.
        """
        try:
            self._check_backend()
            events = work()
        except (BackendUnavailableError, OutcomeUnknownError) as error:
            self._trouble("backend", str(error))
            return False
        except BackendError as error:
            self._trouble(job, str(error))
            return False
        except DBAPIError as error:
            self._trouble("database", f"the database refused: {cause(error)}")
            return False
        except CannotResolveDatabaseConflict as error:
            self._trouble("database", str(error))
            return False
        except Exception as error:
            # A job that raised would end its thread. What failed so may always fail, and others wait behind it: the
            # next poll looks at everything again.
            logger.exception("%s: unexpected trouble in %s", self.coin.name, job)
            self.health.failed_attempts += 1
            self.health.problems[job] = f"{job} failed with {type(error).__name__}; the log has the details"
            self._caught_up = False
            return True
        self._all_well(job, "database")
        if asks_backend:
            self._all_well("backend")
            self.health.last_success_at = utc_now()
        if events:
            self._on_events()
        return True

    def _check_backend(self) -> None:
        if not self._checked:
            self._backend.check()
            self._checked = True
            logger.info("%s: connected to the backend on network %s", self.coin.name, self.coin.network)

    def _trouble(self, what: str, problem: str) -> None:
        self.health.failed_attempts += 1
        if problem not in self.health.problems.copy().values():  # told once, not at every try
            logger.warning("%s: %s", self.coin.name, problem)
        self.health.problems[what] = problem

    def _all_well(self, *mended: str) -> None:
        for what in mended:
            if self.health.problems.pop(what, None) is not None:
                logger.info("%s: the %s works again", self.coin.name, what)


def _open_channel(
    setup: WalletNotifySetup, notify: Notify, coin: Coin, backend: CoinBackend
) -> IncomingTransactionRunnable:
    with at(f"coins.{coin.name}.backend.walletnotify"):
        channel = load_class(setup.type.factory, IncomingTransactionRunnable)(setup.options, notify)
        channel.attach(backend)
    return channel
