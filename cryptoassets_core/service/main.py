"""The helper daemon: everything that goes on between the books and the networks."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from cryptoassets_core import __version__
from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.backend.transactionupdater import ScanProgress
from cryptoassets_core.clock import utc_now
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.dispatcher import EventDispatcher
from cryptoassets_core.event.history import prune
from cryptoassets_core.service import systemd
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.service.jobs import Jobs
from cryptoassets_core.service.leadership import Leadership
from cryptoassets_core.service.status.figures import REFRESH_SECONDS
from cryptoassets_core.tools.receivescan import scan
from cryptoassets_core.validation import at
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable

if TYPE_CHECKING:
    from cryptoassets_core.service.status.server import StatusServer

logger = logging.getLogger(__name__)

EXIT_CLEAN = 0
#: A component died.
EXIT_UNCLEAN = 2

#: How often the components are looked after.
MONITOR_SECONDS = 1.0

#: How long work that is under way may take to end when the daemon stops.
STOP_SECONDS = 40.0

#: How often events are forgotten that are old enough.
PRUNE_SECONDS = 86_400.0

#: What one of several daemons leads in, beside each coin.
EVENT_DELIVERY = "event delivery"

#: What the daemon runs.
DAEMON_SUBSYSTEMS = tuple(Subsystem)


def splash_version() -> None:
    """Log which version runs."""
    logger.info("cryptoassets-core %s: the daemon is ready", __version__)


class Service:
    """The helper daemon, and the app behind the commands that do one of its tasks.

    :ivar app: the app it runs.
    :ivar scheduler: runs the timed jobs; plugins may add theirs.
    :ivar workers: what runs for each coin, by acronym.
    :ivar leadership: tells in what this daemon leads, and who does in the rest.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        subsystems: Iterable[Subsystem] = (Subsystem.database, Subsystem.backend),
        daemon: bool = False,
        logging: bool = True,
    ) -> None:
        """
        :param config: the configuration.
        :param daemon: SIGTERM and Ctrl-C end it; without, :py:meth:`shutdown` does.
        :param logging: set up logging as configured.
        :raises ConfigurationError: something in the configuration cannot make sense.
        """
        if logging:
            Configurator.setup_startup(config)
        self.app = CryptoAssetsApp(subsystems)
        self.daemon = daemon
        Configurator(self.app, self).load_from_dict(config)
        self.app.setup_session()
        self.broadcast_period = self.app.service_settings.broadcast_period
        self._jobs = Jobs()
        self.scheduler = self._jobs.scheduler
        self.dispatcher = EventDispatcher(
            self.app.conflict_resolver,
            self.app.event_handler_registry.get_all(),
            engine=self.app.engine,
            leads=lambda: self.leadership.leads(EVENT_DELIVERY),
        )
        self.workers = {
            name: CoinWorker(
                coin,
                coin.backend,
                self.app.conflict_resolver,
                walletnotify=self.app.walletnotify.get(name),
                on_events=self.dispatcher.wake,
                leads=partial(self._leads, name),
            )
            for name, coin in self.app.coins.all()
            if coin.backend is not None
        }
        self.leadership = Leadership(
            self.app.conflict_resolver, [*self.workers, EVENT_DELIVERY], on_gain=self._on_leadership
        )
        self.status_server: StatusServer | None = None
        #: Which component was busy for too long when the daemon stopped, None if none was.
        self.left_behind: str | None = None
        #: Whether it ended otherwise than it was told to.
        self.unclean = False
        self._runs_as_daemon = False
        self._interrupted = False
        # Of all ways to wait only this one may be woken from a signal handler: its put() is reentrant.
        self._stop_requests: SimpleQueue[str] = SimpleQueue()

    # --- Tasks of their own ---------------------------------------------------------------------------------

    def initialize_db(self) -> None:
        """Create the tables that are missing."""
        self.app.create_tables()

    def scan_received(self, on_progress: Callable[[ScanProgress], None] = lambda progress: None) -> int:
        """Look through everything the backends know for missed deposits, coin by coin.

        :param on_progress: called at the beginning of each coin and after each part of the work.
        :returns: how many events were written.
        :raises BackendError: a backend cannot tell.
        """
        self.app.check_tables()
        total = 0
        for worker in self.workers.values():
            worker.updater.backend.check()
            total += scan(worker.updater, on_progress)
        return total

    def poll_broadcast(self) -> None:
        """Send the queued withdrawals of every coin, each wallet apart; a backend that fails is logged."""
        for worker in self.workers.values():
            worker.broadcast()

    def poll_network_transaction_confirmations(self) -> int:
        """Follow every chain, as far as this process does so; returns how many coins there are."""
        for worker in self.workers.values():
            worker.poll()
        return len(self.workers)

    @property
    def incoming_transaction_runnables(self) -> dict[str, IncomingTransactionRunnable]:
        """The notification channels, by acronym."""
        return {name: worker.handler for name, worker in self.workers.items() if worker.handler is not None}

    def _leads(self, name: str) -> bool:
        """Tell whether this process does a coin's work: always, unless it runs as one of perhaps several daemons."""
        return not self._runs_as_daemon or self.leadership.leads(name)

    # --- The daemon -----------------------------------------------------------------------------------------

    def start(self) -> int:
        """Run until told to stop.

        :returns: the exit code: 0 after a clean stop, 2 after a component died or did not end in time.
        :raises CryptoAssetsError: it cannot run as configured.
        """
        self.app.check_tables()
        if not self.workers:
            raise ConfigurationError("coins: no coin has a backend, so the daemon has nothing to do")
        if self.daemon:
            self.setup_sigterm()
            self._keep_what_is_loaded()
        well = False
        try:
            self.app.plugins.call("cryptoassets_service_startup", service=self)
            self._start_components()
            splash_version()
            systemd.notify("READY=1")
            well = self.run_thread_monitor()
        finally:
            systemd.notify("STOPPING=1")
            self.shutdown(unclean=not well)
        logger.info("the daemon has stopped")
        return EXIT_UNCLEAN if self.unclean else EXIT_CLEAN

    def _start_components(self) -> None:
        # First what opens ports: they may be in use, and nothing has begun then.
        self.start_status_server()
        self.setup_incoming_notifications()
        self._add_jobs()
        self._runs_as_daemon = True
        self.leadership.start()
        self.dispatcher.start()
        self.scheduler.start()

    def start_status_server(self) -> None:
        """Serve the status pages, where they are configured."""
        settings = self.app.status_server
        if settings is not None and self.app.is_enabled(Subsystem.status_server):
            # Only now: who configures no pages needs no web framework, a fifth of the daemon's memory.
            from cryptoassets_core.service.status.server import StatusServer  # noqa: PLC0415

            self.status_server = StatusServer(settings, self)
            with at("status_server"):
                self.status_server.start()
            self._jobs.add("status-figures", self.status_server.figures.refresh, seconds=REFRESH_SECONDS)

    def setup_incoming_notifications(self) -> None:
        """Open the notification channels."""
        for worker in self.workers.values():
            worker.start()

    def setup_sigterm(self) -> None:
        """Stop on SIGTERM and Ctrl-C."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _keep_what_is_loaded(self) -> None:
        """Tell the garbage collector that the code and the configuration stay: it looked through all of them each time.

        Most of what a large block needs for some tenths of a second made it do so, which took as long again.
        """
        gc.collect()
        gc.freeze()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            # Somebody at the keyboard does not want to wait for what is under way; nothing is lost by it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._interrupted = self._interrupted or number == signal.SIGINT
        self._stop_requests.put(signal.Signals(number).name)

    def _add_jobs(self) -> None:
        settings = self.app.service_settings
        for name, worker in self.workers.items():
            self._jobs.add(f"{name}-poll", worker.poll, seconds=settings.poll_period)
            self._jobs.add(f"{name}-broadcast", worker.broadcast, seconds=self.broadcast_period)
        if settings.keep_events_days is not None:
            self._jobs.add("prune-events", self._prune_events, seconds=PRUNE_SECONDS)

    def _prune_events(self) -> None:
        """Forget old events that every sink has; :py:mod:`~cryptoassets_core.event.history`."""
        if self.leadership.leads(EVENT_DELIVERY):
            days = timedelta(days=self.app.service_settings.keep_events_days or 0)
            count = prune(self.app.conflict_resolver, utc_now() - days)
            logger.info("pruned %s events that were delivered and older than %s days", count, days.days)

    def _on_leadership(self, name: str) -> None:
        """Begin at once where this daemon leads now, and not when the next period is over."""
        if name == EVENT_DELIVERY:
            self.dispatcher.wake()
            return
        for job in ("poll", "broadcast"):
            self._jobs.run_now(f"{name}-{job}")

    def problems(self) -> list[str]:
        """Return what is wrong beside the coins, a sentence each."""
        sinks = [f"event sink {name}: {problem}" for name, problem in self.dispatcher.problems().items()]
        leases = [f"leadership: {problem}" for problem in [self.leadership.problem()] if problem is not None]
        channels = [
            f"{name} walletnotify: {problem}"
            for name, worker in self.workers.items()
            if (problem := worker.channel_problem()) is not None
        ]
        return [*self._jobs.problems(), *sinks, *leases, *channels]

    def run_thread_monitor(self) -> bool:
        """Wait until told to stop.

        :returns: False if a component died.
        """
        while self.check_threads():
            systemd.notify("WATCHDOG=1")
            self._jobs.mind_the_clock()
            try:
                reason = self._stop_requests.get(timeout=MONITOR_SECONDS)
            except Empty:
                continue
            logger.info("%s: the daemon stops", reason)
            return True
        return False

    def check_threads(self) -> bool:
        """Tell whether every component is alive, and log which one is not."""
        dead = [name for name, alive in self.components().items() if not alive]
        for name in dead:
            logger.error("%s died; the daemon stops", name)
        return not dead

    def components(self) -> dict[str, bool]:
        """Return whether each component is alive."""
        alive = {name: living for worker in self.workers.values() for name, living in worker.components().items()}
        alive["event dispatcher"] = self.dispatcher.is_alive()
        alive["scheduler"] = self.scheduler.running
        alive["leadership"] = self.leadership.is_alive()
        if self.status_server is not None:
            alive["status server"] = self.status_server.is_alive()
        return alive

    def stop(self) -> None:
        """Ask the daemon to end; :py:meth:`start` returns soon after."""
        self._stop_requests.put("asked to")

    def shutdown(self, unclean: bool = False) -> None:
        """Stop all components, and leave behind what is busy for too long: at the next start it is taken up again.

        :param unclean: it stops because something failed, which :py:attr:`unclean` tells then.
        """
        self.left_behind = "everything"
        stopper = threading.Thread(target=self._stop_components, name="stopper", daemon=True)
        stopper.start()
        stopper.join(STOP_SECONDS)
        if self.left_behind is not None:
            logger.error("%s is still busy after %s seconds and is cut off", self.left_behind, STOP_SECONDS)
        self.unclean = unclean or self.left_behind is not None

    def _stop_components(self) -> None:
        """Stop one after the other, in the order in which work flows."""
        for name, stop in self._stop_steps():
            self.left_behind = name
            try:
                stop()
            except Exception:
                logger.exception("%s did not stop well", name)
        self.left_behind = None

    def _stop_steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        for name, worker in self.workers.items():
            yield f"{name} walletnotify", worker.stop
        if self.scheduler.running:
            yield "scheduler", self.scheduler.shutdown
        yield "event dispatcher", self.dispatcher.stop
        # When nothing is under way any more.
        yield "leadership", self.leadership.stop
        if self.status_server is not None:
            yield "status server", self.status_server.stop
        yield "plugins", lambda: self.app.plugins.observe("cryptoassets_service_shutdown", service=self)
        yield "connections", self.app.close
