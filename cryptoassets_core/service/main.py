"""The helper daemon: everything that goes on between the books and the networks."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

from cryptoassets_core import __version__
from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.clock import utc_now
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.dispatcher import EventDispatcher
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.service.status.server import StatusServer
from cryptoassets_core.tools.receivescan import scan

logger = logging.getLogger(__name__)

EXIT_CLEAN = 0
#: A component died.
EXIT_UNCLEAN = 2

#: How often the components are looked after.
MONITOR_SECONDS = 1.0

#: What the daemon runs.
DAEMON_SUBSYSTEMS = tuple(Subsystem)


def splash_version() -> None:
    """Log which version runs."""
    logger.info("cryptoassets-core %s", __version__)


class Service:
    """The helper daemon, and the app behind the commands that do one of its tasks.

    :ivar app: the app it runs.
    :ivar scheduler: runs the timed jobs; plugins may add theirs.
    :ivar workers: what runs for each coin, by acronym.
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
        splash_version()
        self.app = CryptoAssetsApp(subsystems)
        self.daemon = daemon
        Configurator(self.app, self).load_from_dict(config)
        self.app.setup_session()
        self.broadcast_period = self.app.service_settings.broadcast_period
        self.scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
        self.dispatcher = EventDispatcher(self.app.conflict_resolver, self.app.event_handler_registry.get_all())
        self.workers = {
            name: CoinWorker(
                coin,
                coin.backend,
                self.app.conflict_resolver,
                walletnotify=self.app.walletnotify.get(name),
                on_events=self.dispatcher.wake,
            )
            for name, coin in self.app.coins.all()
            if coin.backend is not None
        }
        self.status_server: StatusServer | None = None
        self._stopping = threading.Event()

    # --- Tasks of their own ---------------------------------------------------------------------------------

    def initialize_db(self) -> None:
        """Create the tables that are missing."""
        self.app.create_tables()

    def scan_received(self) -> int:
        """Look through everything the backends know for missed deposits, coin by coin.

        :returns: how many events were written.
        :raises BackendError: a backend cannot tell.
        """
        self.app.check_tables()
        total = 0
        for worker in self.workers.values():
            worker.updater.backend.check()
            total += scan(worker.updater)
        return total

    # --- The daemon -----------------------------------------------------------------------------------------

    def start(self) -> int:
        """Run until told to stop.

        :returns: the exit code: 0 after a clean stop, 2 after a component died.
        :raises CryptoAssetsError: it cannot run as configured.
        """
        self.app.check_tables()
        if not self.workers:
            raise ConfigurationError("coins: no coin has a backend, so the daemon has nothing to do")
        if self.daemon:
            self.setup_sigterm()
        try:
            self.app.plugins.manager.hook.cryptoassets_service_startup(service=self)
            self._start_components()
            unclean = not self.run_thread_monitor()
        finally:
            self.shutdown()
        return EXIT_UNCLEAN if unclean else EXIT_CLEAN

    def _start_components(self) -> None:
        self.start_status_server()
        self.dispatcher.start()
        self.setup_incoming_notifications()
        self._add_jobs()
        self.scheduler.start()
        logger.info("the daemon is ready")

    def start_status_server(self) -> None:
        """Serve the status pages, where they are configured."""
        settings = self.app.status_server
        if settings is not None and self.app.is_enabled(Subsystem.status_server):
            self.status_server = StatusServer(settings, self)
            self.status_server.start()

    def setup_incoming_notifications(self) -> None:
        """Open the notification channels."""
        for worker in self.workers.values():
            worker.start()

    def setup_sigterm(self) -> None:
        """Stop on SIGTERM and Ctrl-C."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        self._stopping.set()

    def _add_jobs(self) -> None:
        now = utc_now()
        for name, worker in self.workers.items():
            for job, work, seconds in (
                ("poll", worker.poll, self.app.service_settings.poll_period),
                ("broadcast", worker.broadcast, self.broadcast_period),
            ):
                self.scheduler.add_job(work, "interval", seconds=seconds, id=f"{name}-{job}", next_run_time=now)

    def run_thread_monitor(self) -> bool:
        """Wait until told to stop.

        :returns: False if a component died.
        """
        while not self._stopping.wait(MONITOR_SECONDS):
            if not self.check_threads():
                return False
        return True

    def check_threads(self) -> bool:
        """Tell whether every component is alive, and log which one is not."""
        dead = [name for name, alive in self.components().items() if not alive]
        for name in dead:
            logger.error("%s died; the daemon stops", name)
        return not dead

    def components(self) -> dict[str, bool]:
        """Return whether each component is alive."""
        alive = {f"{name} walletnotify": worker.is_alive() for name, worker in self.workers.items()}
        alive["event dispatcher"] = self.dispatcher.is_alive()
        alive["scheduler"] = self.scheduler.running
        if self.status_server is not None:
            alive["status server"] = self.status_server.is_alive()
        return alive

    def stop(self) -> None:
        """Ask the daemon to end; :py:meth:`start` returns soon after."""
        self._stopping.set()

    def shutdown(self) -> None:
        """Stop all components, in the order in which work flows."""
        self._stopping.set()
        steps = [("walletnotify", worker.stop) for worker in self.workers.values()]
        if self.scheduler.running:
            steps.append(("scheduler", self.scheduler.shutdown))
        steps.append(("event dispatcher", self.dispatcher.stop))
        if self.status_server is not None:
            steps.append(("status server", self.status_server.stop))
        steps.append(("plugins", lambda: self.app.plugins.manager.hook.cryptoassets_service_shutdown(service=self)))
        steps.append(("connections", self.app.close))
        for name, step in steps:
            try:
                step()
            except Exception:
                logger.exception("%s did not stop well", name)
        logger.info("the daemon has stopped")
