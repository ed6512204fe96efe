"""Brings to one sink what is due there, for a bounded time, and notes what became of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from cryptoassets_core.clock import Clock
from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event import outbox
from cryptoassets_core.event.base import EventSink
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

R = TypeVar("R")

#: Deliveries are recorded at least this often, so that a crash repeats few of them.
RECORD_SECONDS: Final = 0.5
#: So many refusals and nothing taken, and the sink is left alone for a while: it seems to be down.
REFUSALS: Final = 3
#: Longest pause then; each event keeps its own time of the next attempt beside.
LONGEST_REST_SECONDS: Final = 30.0

#: What became of one delivery: None if it was taken, else why not.
_Outcome = tuple[outbox.Delivery, str | None]


class Courier:
    """Delivers the events of one sink, several at once where the sink takes that: those are of different subjects."""

    def __init__(
        self,
        conflict_resolver: ConflictResolver,
        sink: EventSink,
        sink_names: Sequence[str],
        *,
        may_go_on: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """
        :param sink_names: of all sinks: what is new is queued at each of them.
        :param may_go_on: False ends a round early.
        """
        self.sink = sink
        self._resolver = conflict_resolver
        self._sink_names = list(sink_names)
        self._may_go_on = may_go_on
        self._clock = clock
        self._pool = (
            ThreadPoolExecutor(sink.concurrency, thread_name_prefix=f"event-sink-{sink.name}")
            if sink.concurrency > 1
            else None
        )
        #: How often in a row it was refused everything.
        self._turned_away = 0

    def deliver_due(self) -> bool:
        """Deliver what is due.

        :returns: whether anything was delivered, so that there may be more.
        """
        self._in_outbox(lambda session: outbox.fan_out(session, self._sink_names))
        due = self._in_outbox(lambda session: outbox.due_deliveries(session, self.sink.name, now=self._clock()))
        outcomes = self._hand_over(due)
        refused = [(delivery, reason) for delivery, reason in outcomes if reason is not None]
        taken = len(outcomes) - len(refused)
        self._turned_away = self._turned_away + 1 if len(refused) >= REFUSALS and not taken else 0
        self._record(outcomes, refused)
        return taken > 0

    def rest_seconds(self) -> float:
        """Return how long to leave the sink alone, 0 if it does not seem to be down."""
        return min(LONGEST_REST_SECONDS, 2.0 ** (self._turned_away - 1)) if self._turned_away else 0.0

    def seconds_until_due(self) -> float | None:
        """Return after how long the next attempt is due, None if nothing waits for one."""
        return self._in_outbox(lambda session: outbox.seconds_until_due(session, self.sink.name, now=self._clock()))

    def close(self) -> None:
        """Let go of the sink."""
        if self._pool is not None:
            self._pool.shutdown()
        self.sink.close()

    def _hand_over(self, due: Sequence[outbox.Delivery]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        refusals: list[str] = []
        deadline = time.monotonic() + RECORD_SECONDS
        waiting, one_at_a_time = iter(due), threading.Lock()

        def work() -> None:
            while self._may_go_on() and time.monotonic() <= deadline and len(refusals) < REFUSALS:
                with one_at_a_time:
                    delivery = next(waiting, None)
                if delivery is None:
                    return
                reason = self._refusal(delivery)
                outcomes.append((delivery, reason))
                if reason is not None:
                    refusals.append(reason)

        if self._pool is None:
            work()
        else:
            for hand in [self._pool.submit(work) for _ in range(min(self.sink.concurrency, len(due)))]:
                hand.result()
        return outcomes

    def _refusal(self, delivery: outbox.Delivery) -> str | None:
        """Hand over one event; returns why it was not taken, None if it was."""
        try:
            self.sink.deliver(delivery.event)
        except EventDeliveryError as error:
            return str(error)
        except (Exception, SystemExit) as error:
            # A sys.exit() in somebody's code would end the thread.
            logger.exception("event sink %s failed in an unexpected way", self.sink.name)
            return f"unexpected {type(error).__name__}; the log has the details"
        return None

    def _record(self, outcomes: Iterable[_Outcome], refused: Iterable[tuple[outbox.Delivery, str]]) -> None:
        now, name = self._clock(), self.sink.name
        taken = [delivery.row_id for delivery, reason in outcomes if reason is None]
        if taken:
            self._in_outbox(lambda session: outbox.mark_delivered(session, name, taken, now=now))
        for delivery, reason in refused:
            state = self._in_outbox(partial(outbox.mark_failed, sink=name, delivery=delivery, error=reason, now=now))
            level = logging.ERROR if state is outbox.DeliveryState.DEAD else logging.WARNING
            logger.log(level, "event sink %s: event %s is %s: %s", name, delivery.event.id, state, reason)

    def _in_outbox(self, work: Callable[[Session], R]) -> R:
        return self._resolver.run(work, isolation_level=outbox.ISOLATION_LEVEL)
