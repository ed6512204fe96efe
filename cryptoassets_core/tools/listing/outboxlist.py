"""The outbox as lists: what was told, and how far each sink has got with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.event.outbox import DeliveryState, delivery_table, event_table
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.listing.paging import Page, Slice, among, bounded_count, read_page


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """How far an event has come at one sink."""

    sink: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    delivered_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event, with its deliveries."""

    id: int
    event_id: str
    name: str
    subject: str
    data: str
    created_at: datetime
    deliveries: tuple[DeliveryRow, ...]


@dataclass(frozen=True, slots=True)
class QueueRow:
    """What waits for a sink; each counted to ten thousand, and one more means more."""

    sink: str
    pending: int
    dead: int


def list_events(
    session: Session, wanted: Slice, *, name: str | None = None, subject: str | None = None
) -> Page[EventRow]:
    """Return a page of events.

    :param name: only those of that name.
    :param subject: the first ones of one subject, such as ``btc:7``, in order.
    """
    if subject is not None:
        return Page(events_of(session, subject), None)
    query = select(event_table.c.id)
    if name is not None:
        query = query.where(event_table.c.name == name)
    page = read_page(session, query, event_table.c.id, wanted, lambda row: int(row[0]))
    return Page(_events(session, page.rows), page.beyond)


def events_of(session: Session, subject: str, *, limit: int = 50) -> list[EventRow]:
    """Return the first events of a subject, in order."""
    query = select(event_table.c.id).where(event_table.c.subject == subject)
    return _events(session, list(session.scalars(query.order_by(event_table.c.id + 0).limit(limit))))


def get_event(session: Session, id_: int) -> EventRow:
    """Return one event.

    :raises UnknownRowError: there is none of that id.
    """
    found = _events(session, [check_id(id_, "event")])
    if not found:
        raise UnknownRowError(f"there is no event {id_}")
    return found[0]


def read_queues(session: Session, sinks: Sequence[str]) -> list[QueueRow]:
    """Return what waits for each sink."""

    def count(sink: str, state: DeliveryState) -> int:
        wanted = select(delivery_table.c.sink).where(delivery_table.c.sink == sink, delivery_table.c.state == state)
        return bounded_count(session, wanted)

    return [QueueRow(sink, count(sink, DeliveryState.PENDING), count(sink, DeliveryState.DEAD)) for sink in sinks]


def newest_deliveries(sink: str, *, events: int) -> Select[int, datetime | None]:
    """Return the query of one sink's deliveries of the newest events: number of the event, and when it was taken."""
    newest = select(func.max(event_table.c.id)).scalar_subquery()
    return select(delivery_table.c.event_row_id, delivery_table.c.delivered_at).where(
        delivery_table.c.event_row_id > newest - events, delivery_table.c.sink == sink
    )


def _events(session: Session, ids: Sequence[int]) -> list[EventRow]:
    deliveries: dict[int, list[DeliveryRow]] = {}
    for row in session.execute(
        select(delivery_table).where(among(delivery_table.c.event_row_id, ids)).order_by(delivery_table.c.sink)
    ):
        deliveries.setdefault(row.event_row_id, []).append(
            DeliveryRow(
                sink=row.sink,
                state=row.state,
                attempts=row.attempts,
                next_attempt_at=row.next_attempt_at,
                delivered_at=row.delivered_at,
                last_error=row.last_error,
            )
        )
    found = {
        row.id: EventRow(
            id=row.id,
            event_id=row.event_id,
            name=row.name,
            subject=row.subject,
            data=row.data,
            created_at=row.created_at,
            deliveries=tuple(deliveries.get(row.id, ())),
        )
        for row in session.execute(select(event_table).where(among(event_table.c.id, ids)))
    }
    return [found[each] for each in ids if each in found]
