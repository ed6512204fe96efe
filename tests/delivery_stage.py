"""What tests of deliveries share: a sink that does as it is told, a clock that is set, and events by short names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from kit import Till
from sqlalchemy import func, select

from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event import outbox
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.event.dispatcher import EventDispatcher
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.event.outbox import DeliveryState, delivery_table


class Shop(EventSink):
    """Notes what it was given, and then does what the test wants."""

    def __init__(self, name: str = "shop", then: Callable[[Event], None] = lambda _: None) -> None:
        super().__init__(name, EventSinkOptions())
        self.given: list[Event] = []
        self.closed = False
        self._then = then

    def deliver(self, event: Event) -> None:
        self.given.append(event)
        self._then(event)

    def close(self) -> None:
        self.closed = True

    def said(self) -> list[str]:
        return [f"{event.data['subject']}{event.data['number']}" for event in self.given]


def refuse(*words: str) -> Callable[[Event], None]:
    """Refuse the events of some subjects."""

    def then(event: Event) -> None:
        if event.data["subject"] in words:
            raise EventDeliveryError("closed on Sundays")

    return then


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = utc_now() + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: int) -> None:
        self.now += timedelta(**duration)


def write(till: Till, *names: str) -> None:
    """Write an event for each name: a letter for the subject, and a number."""
    events = [
        NewEvent(name="txupdate", subject=name[0], data={"subject": name[0], "number": name[1:]}) for name in names
    ]
    till.run(lambda session: outbox.record(session, events))


def make(till: Till, *sinks: EventSink, clock: Callable[[], datetime] | None = None, **options: Any) -> EventDispatcher:
    return EventDispatcher(till.app.conflict_resolver, sinks, clock=clock or Hands(), **options)


def deliver_all(dispatcher: EventDispatcher, sink: EventSink) -> None:
    while dispatcher.deliver_due(sink):
        pass


@contextmanager
def running(*dispatchers: EventDispatcher) -> Iterator[None]:
    for dispatcher in dispatchers:
        dispatcher.start()
    try:
        yield
    finally:
        for dispatcher in dispatchers:
            dispatcher.stop()


def in_state(till: Till, state: DeliveryState) -> int:
    with till.engine.connect() as connection:
        return connection.scalar(select(func.count()).where(delivery_table.c.state == state)) or 0


def in_order(said: Sequence[str]) -> bool:
    """Tell whether each subject's events were first given in order, with none left out in between."""
    first = list(dict.fromkeys(said))
    subjects = {name[0] for name in first}
    return all(
        [int(name[1:]) for name in first if name[0] == subject] == list(range(sum(n[0] == subject for n in first)))
        for subject in subjects
    )
