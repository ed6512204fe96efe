"""Delivers what is in the outbox: one thread a sink, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.database import cause
from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.event.base import EventSink
from cryptoassets_core.event.courier import Courier
from cryptoassets_core.event.news import watch_for_news
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

#: How often to look while nobody would tell of events that other processes write, or the database is in trouble,
POLL_SECONDS: Final = 1.0
#: and when somebody would: for what a proxy before the database swallows.
FALLBACK_SECONDS: Final = 10.0


class EventDispatcher:
    """Runs the deliveries of a daemon."""

    def __init__(
        self,
        conflict_resolver: ConflictResolver,
        sinks: Sequence[EventSink],
        *,
        engine: Engine | None = None,
        leads: Callable[[], bool] = lambda: True,
        clock: Clock = utc_now,
    ) -> None:
        """
        :param engine: where other processes write events; without it they are found by looking now and then.
        :param leads: tells whether this process delivers now, and not another one.
        """
        self._leads = leads
        self._stopping = threading.Event()
        names = [sink.name for sink in sinks]
        self._couriers = {
            sink.name: Courier(conflict_resolver, sink, names, may_go_on=self._may_deliver, clock=clock)
            for sink in sinks
        }
        self._news = {name: threading.Event() for name in names}
        self._watcher = watch_for_news(engine, self.wake) if engine is not None and sinks else None
        self._threads: list[threading.Thread] = []
        #: What keeps the outbox from being read, by sink; told once and not at every look.
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Start a thread for each sink."""
        if not self._couriers:
            logger.warning("no event sinks are configured: nothing will hear of deposits and withdrawals")
        if self._watcher is not None:
            self._watcher.start()
        for name, courier in self._couriers.items():
            thread = threading.Thread(target=self._run, args=(courier,), name=f"event-sink-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Tell that events were written, so that nobody waits for the next look."""
        for news in self._news.values():
            news.set()

    def stop(self) -> None:
        """Finish what is under way; what was not delivered stays in the outbox."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.stop()
        self.wake()
        for thread in self._threads:
            thread.join()
        for courier in self._couriers.values():
            courier.close()

    def is_alive(self) -> bool:
        """Tell whether every sink still has its thread, and what tells of news its own."""
        watching = self._watcher is None or self._watcher.is_alive()
        return watching and all(thread.is_alive() for thread in self._threads)

    def deliver_due(self, sink: EventSink) -> bool:
        """Deliver what is due at one sink, for a bounded time.

        :returns: whether anything was delivered, so that there may be more.
        """
        return self._couriers[sink.name].deliver_due()

    def problems(self) -> dict[str, str]:
        """Return what keeps events from being read for their sinks, by sink."""
        return dict(self._troubles)

    def _may_deliver(self) -> bool:
        return not self._stopping.is_set() and self._leads()

    def _run(self, courier: Courier) -> None:
        news = self._news[courier.sink.name]
        while not self._stopping.is_set():
            news.clear()
            pause = self._look(courier)
            rest = courier.rest_seconds()
            if rest:
                self._stopping.wait(rest)  # news change nothing for a sink that is down
            elif pause:
                news.wait(pause)

    def _look(self, courier: Courier) -> float:
        """Deliver what is due, whatever goes wrong; returns the seconds until the next look."""
        name = courier.sink.name
        try:
            if not self._leads():
                return self._fallback_seconds()
            if courier.deliver_due():
                self._all_well(name)
                return 0
            due = courier.seconds_until_due()
            self._all_well(name)
            return min(due or FALLBACK_SECONDS, self._fallback_seconds())
        except CannotResolveDatabaseConflict:
            return 0  # somebody else was busy with the same rows; look again
        except DBAPIError as error:
            # The database may be away for a while; the events are safe there.
            self._trouble(name, f"the database refused: {cause(error)}")
        except Exception as error:
            logger.exception("event sink %s: unexpected trouble", name)
            self._trouble(name, f"unexpected {type(error).__name__}; the log has the details")
        return POLL_SECONDS

    def _fallback_seconds(self) -> float:
        return FALLBACK_SECONDS if self._watcher is not None and self._watcher.is_watching else POLL_SECONDS

    def _trouble(self, name: str, problem: str) -> None:
        if self._troubles.get(name) != problem:
            logger.warning("event sink %s: %s", name, problem)
        self._troubles[name] = problem

    def _all_well(self, name: str) -> None:
        if self._troubles.pop(name, None) is not None:
            logger.info("event sink %s: the outbox can be read again", name)
