"""The outbox as lists: what was told, and how far each sink has got with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.event.history import Selection
from cryptoassets_core.event.outbox import DeliveryState, delivery_table, event_table
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.listing.paging import Page, Slice, among, bounded_count, read_page

_ALL: Final = Selection()


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """How an event fares at one sink."""

    sink: str
    state: DeliveryState
    #: That failed.
    attempts: int
    #: None unless it waits for one.
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it was written, and how it fares."""

    #: Grows from event to event.
    number: int
    #: As receivers know it.
    id: str
    name: str
    subject: str
    created_at: datetime
    data: Mapping[str, Any]
    #: By sink; empty before it is queued.
    deliveries: tuple[DeliveryRecord, ...]


@dataclass(frozen=True, slots=True)
class QueueRow:
    """What waits for a sink; each counted to ten thousand, and one more means more."""

    sink: str
    pending: int
    dead: int


def list_events(session: Session, wanted: Slice, selection: Selection = _ALL) -> Page[EventRecord]:
    """Return a page of events."""
    conditions = list(selection.conditions())
    of_deliveries = list(selection.delivery_conditions())
    if of_deliveries:
        conditions.append(event_table.c.id.in_(select(delivery_table.c.event_row_id).where(*of_deliveries)))
    query = select(event_table.c.id).where(*conditions)
    page = read_page(session, query, event_table.c.id, wanted, lambda row: int(row[0]))
    return Page(_events(session, page.rows), page.beyond)


def events_of(session: Session, subject: str, *, limit: int = 50) -> list[EventRecord]:
    """Return the first events of a subject, such as ``btc:7``, in order."""
    query = select(event_table.c.id).where(event_table.c.subject == subject)
    # The sum keeps databases from going along the primary key in search of them.
    return _events(session, session.scalars(query.order_by(event_table.c.id + 0).limit(limit)).all())


def get_event(session: Session, event_id: str) -> EventRecord:
    """Return an event by its id.

    :raises UnknownRowError: there is none.
    """
    return _one(session, event_table.c.event_id == event_id, f"there is no event {event_id!r}")


def get_event_by_number(session: Session, number: int) -> EventRecord:
    """Return an event by its number.

    :raises UnknownRowError: there is none.
    """
    return _one(session, event_table.c.id == check_id(number, "event"), f"there is no event {number}")


def read_queues(session: Session, sinks: Sequence[str]) -> list[QueueRow]:
    """Return what waits for each sink."""

    def count(sink: str, state: DeliveryState) -> int:
        wanted = select(delivery_table.c.sink).where(delivery_table.c.sink == sink, delivery_table.c.state == state)
        return bounded_count(session, wanted)

    return [QueueRow(sink, count(sink, DeliveryState.PENDING), count(sink, DeliveryState.DEAD)) for sink in sinks]


def newest_deliveries(session: Session, sink: str, *, events: int) -> Select[int, datetime | None]:
    """Return the query of one sink's deliveries of the newest events: number of the event, and when it was taken."""
    # Asked for beforehand: beyond a number that it does not know, a planner expects a third of the table.
    newest = session.scalar(select(func.max(event_table.c.id))) or 0
    return select(delivery_table.c.event_row_id, delivery_table.c.delivered_at).where(
        delivery_table.c.event_row_id > newest - events, delivery_table.c.sink == sink
    )


def _one(session: Session, condition: ColumnElement[bool], otherwise: str) -> EventRecord:
    found = _events(session, session.scalars(select(event_table.c.id).where(condition)).all())
    if not found:
        raise UnknownRowError(f"{otherwise}; perhaps it was pruned")
    return found[0]


def _events(session: Session, numbers: Sequence[int]) -> list[EventRecord]:
    """Return events in the order of their numbers as given."""
    deliveries: dict[int, list[DeliveryRecord]] = {}
    for row in session.execute(
        select(delivery_table).where(among(delivery_table.c.event_row_id, numbers)).order_by(delivery_table.c.sink)
    ):
        deliveries.setdefault(row.event_row_id, []).append(
            DeliveryRecord(
                row.sink,
                row.state,
                row.attempts,
                row.next_attempt_at if row.state is DeliveryState.PENDING else None,
                row.delivered_at,
                row.last_error,
            )
        )
    found = {
        row.id: EventRecord(
            row.id,
            row.event_id,
            row.name,
            row.subject,
            row.created_at,
            json.loads(row.data),
            tuple(deliveries.get(row.id, ())),
        )
        for row in session.execute(select(event_table).where(among(event_table.c.id, numbers)))
    }
    return [found[each] for each in numbers if each in found]
