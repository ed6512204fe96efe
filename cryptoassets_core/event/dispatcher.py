"""Delivers what is in the outbox: one thread a sink, so that none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.database import cause
from cryptoassets_core.errors import CannotResolveDatabaseConflict, EventDeliveryError
from cryptoassets_core.event import outbox
from cryptoassets_core.event.base import EventSink
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

R = TypeVar("R")

#: How long an event written by another process may wait before it is looked for.
POLL_SECONDS = 1.0

#: Deliveries are recorded at least this often, so that a crash repeats few of them.
RECORD_SECONDS = 0.5


class EventDispatcher:
    """Runs the deliveries of a daemon."""

    def __init__(
        self,
        conflict_resolver: ConflictResolver,
        sinks: Sequence[EventSink],
        *,
        leads: Callable[[], bool] = lambda: True,
        clock: Clock = utc_now,
    ) -> None:
        """
        :param leads: tells whether this process delivers now, and not another one.
        """
        self._resolver = conflict_resolver
        self._sinks = list(sinks)
        self._leads = leads
        self._clock = clock
        self._stopping = threading.Event()
        self._news = {sink.name: threading.Event() for sink in self._sinks}
        self._threads: list[threading.Thread] = []
        #: What keeps the outbox from being read, by sink; told once and not at every look.
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Start a thread for each sink."""
        if not self._sinks:
            logger.warning("no event sinks are configured: nothing will hear of deposits and withdrawals")
        for sink in self._sinks:
            thread = threading.Thread(target=self._run, args=(sink,), name=f"event-sink-{sink.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Tell that events were written, so that nobody waits for the next look."""
        for news in self._news.values():
            news.set()

    def stop(self) -> None:
        """Finish what is under way; what was not delivered stays in the outbox."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join()
        for sink in self._sinks:
            sink.close()

    def is_alive(self) -> bool:
        """Tell whether every sink still has its thread."""
        return all(thread.is_alive() for thread in self._threads)

    def _run(self, sink: EventSink) -> None:
        news = self._news[sink.name]
        while not self._stopping.is_set():
            news.clear()
            try:
                progress = self._leads() and self.deliver_due(sink)
                self._all_well(sink)
            except CannotResolveDatabaseConflict:
                progress = True  # somebody else was busy with the same rows; look again
            except DBAPIError as error:
                # The database may be away for a while; the events are safe there.
                self._trouble(sink, f"the database refused: {cause(error)}")
                progress = False
            except Exception as error:
                logger.exception("event sink %s: unexpected trouble", sink.name)
                self._trouble(sink, f"unexpected {type(error).__name__}; the log has the details")
                progress = False
            if not progress:
                news.wait(POLL_SECONDS)

    def problems(self) -> dict[str, str]:
        """Return what keeps events from being read for their sinks, by sink."""
        return dict(self._troubles)

    def _trouble(self, sink: EventSink, problem: str) -> None:
        if self._troubles.get(sink.name) != problem:
            logger.warning("event sink %s: %s", sink.name, problem)
        self._troubles[sink.name] = problem

    def _all_well(self, sink: EventSink) -> None:
        if self._troubles.pop(sink.name, None) is not None:
            logger.info("event sink %s: the outbox can be read again", sink.name)

    def deliver_due(self, sink: EventSink) -> bool:
        """Deliver what is due at one sink, for a bounded time.

        :returns: whether anything was delivered, so that there may be more.
        """
        names = [each.name for each in self._sinks]
        self._in_outbox(lambda session: outbox.fan_out(session, names))
        due = self._in_outbox(lambda session: outbox.due_deliveries(session, sink.name, now=self._clock()))
        delivered: list[int] = []
        failed: tuple[outbox.Delivery, str] | None = None
        deadline = time.monotonic() + RECORD_SECONDS
        for delivery in due:
            if self._stopping.is_set() or not self._leads() or time.monotonic() > deadline:
                break
            try:
                sink.deliver(delivery.event)
            except Exception as error:
                failed = (delivery, _sentence(error))
                break
            delivered.append(delivery.row_id)
        self._record(sink, delivered, failed)
        return bool(delivered)

    def _in_outbox(self, work: Callable[[Session], R]) -> R:
        return self._resolver.run(work, isolation_level=outbox.ISOLATION_LEVEL)

    def _record(self, sink: EventSink, delivered: list[int], failed: tuple[outbox.Delivery, str] | None) -> None:
        now = self._clock()
        if delivered:
            self._in_outbox(lambda session: outbox.mark_delivered(session, sink.name, delivered, now=now))
        if failed is None:
            return
        delivery, reason = failed
        state = self._in_outbox(lambda session: outbox.mark_failed(session, sink.name, delivery, reason, now=now))
        level = logging.ERROR if state is outbox.DeliveryState.DEAD else logging.WARNING
        logger.log(level, "event sink %s: event %s is %s: %s", sink.name, delivery.event.id, state, reason)


def _sentence(error: Exception) -> str:
    if isinstance(error, EventDeliveryError):
        return str(error)
    logger.error("an event sink failed in an unexpected way", exc_info=error)
    return f"unexpected {type(error).__name__}; the log has the details"
