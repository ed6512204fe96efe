"""Go back to events: deliver them again, and forget those that everybody has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, exists, literal, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event import outbox
from cryptoassets_core.event.outbox import DeliveryState, delivery_table, event_table
from cryptoassets_core.ledger.upsert import insert_missing
from cryptoassets_core.utils.conflictresolver import ConflictResolver

#: Events handled in one database transaction: whatever there is, nobody waits long for it.
CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events are meant: those that fit everything that is given."""

    ids: Collection[str] = field(default_factory=tuple)
    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None
    subject: str | None = None
    sink: str | None = None
    state: DeliveryState | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Return what holds for each of them."""
        if self.ids:
            yield event_table.c.event_id.in_(self.ids)
        if self.since is not None:
            yield event_table.c.created_at >= self.since
        if self.until is not None:
            yield event_table.c.created_at < self.until
        if self.name is not None:
            yield event_table.c.name == self.name
        if self.subject is not None:
            yield event_table.c.subject == self.subject

    def delivery_conditions(self) -> Iterator[ColumnElement[bool]]:
        """Return what holds for one of their deliveries."""
        if self.sink is not None:
            yield delivery_table.c.sink == self.sink
        if self.state is not None:
            # Not a bound value: the database would not see that its index of just these rows fits.
            yield delivery_table.c.state == literal(self.state, delivery_table.c.state.type, literal_execute=True)


def replay(resolver: ConflictResolver, selection: Selection, *, sinks: Sequence[str], clock: Clock = utc_now) -> int:
    """Queue events again, under their ids and in their order, as if nothing had been tried.

    A sink that never had them, because it is new, gets them too, except where a state is selected.

    :param sinks: the configured ones: all of them get the events, or the selected one.
    :returns: how many events there were.
    :raises ConfigurationError: the selected sink is not configured.
    """
    if selection.sink is not None and selection.sink not in sinks:
        raise ConfigurationError(
            f"events.{selection.sink}: there is no such event sink; configured: {', '.join(sinks) or 'none'}"
        )
    targets = [selection.sink] if selection.sink is not None else list(sinks)
    total, after = 0, 0
    while True:

        def work(session: Session, after: int = after) -> tuple[int, int]:
            return _replay_some(session, selection, targets, after, clock())

        count, after = resolver.run(work, isolation_level=outbox.ISOLATION_LEVEL)
        total += count
        if not after:
            return total


def prune(resolver: ConflictResolver, before: datetime, *, dead_too: bool = False) -> int:
    """Delete events that were written before some time and that every sink has; what waits anywhere stays.

    :param dead_too: also those that were given up.
    :returns: how many events were deleted.
    """
    total, after = 0, 0
    while True:

        def work(session: Session, after: int = after) -> list[int]:
            return _prune_some(session, before, dead_too, after)

        gone = resolver.run(work, isolation_level=outbox.ISOLATION_LEVEL)
        total += len(gone)
        if len(gone) < CHUNK:
            return total
        after = gone[-1]


def _replay_some(
    session: Session, selection: Selection, targets: Sequence[str], after: int, now: datetime
) -> tuple[int, int]:
    """Queue some events again; returns how many, and the number after which to go on, 0 if there are no more."""
    # Those that were not queued at all yet are going to be.
    conditions = [event_table.c.fanned_out, event_table.c.id > after, *selection.conditions()]
    if selection.state is not None:
        of_deliveries = [*selection.delivery_conditions(), delivery_table.c.sink.in_(targets)]
        conditions.append(event_table.c.id.in_(select(delivery_table.c.event_row_id).where(*of_deliveries)))
    rows = session.execute(
        select(event_table.c.id, event_table.c.subject).where(*conditions).order_by(event_table.c.id).limit(CHUNK)
    ).all()
    fresh = {
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_attempt_at": now,
        "delivered_at": None,
        "last_error": None,
    }
    meant: list[ColumnElement[bool]] = [
        delivery_table.c.event_row_id.in_([row.id for row in rows]),
        delivery_table.c.sink.in_(targets),
    ]
    if selection.state is not None:
        meant.append(delivery_table.c.state == selection.state)
    if selection.state is None:
        insert_missing(
            session,
            delivery_table,
            [{"sink": sink, "event_row_id": row.id, "subject": row.subject} for row in rows for sink in targets],
        )
    session.execute(update(delivery_table).where(*meant).values(fresh))
    if rows:
        outbox.announce(session)
    return len(rows), rows[-1].id if len(rows) == CHUNK else 0


def _prune_some(session: Session, before: datetime, dead_too: bool, after: int) -> list[int]:
    done = [DeliveryState.DELIVERED, DeliveryState.DEAD] if dead_too else [DeliveryState.DELIVERED]
    waited_for = exists().where(
        and_(delivery_table.c.event_row_id == event_table.c.id, delivery_table.c.state.not_in(done))
    )
    gone = list(
        session.scalars(
            select(event_table.c.id)
            .where(event_table.c.created_at < before, event_table.c.fanned_out, event_table.c.id > after, ~waited_for)
            .order_by(event_table.c.id)
            .limit(CHUNK)
        )
    )
    session.execute(delete(delivery_table).where(delivery_table.c.event_row_id.in_(gone)))
    session.execute(delete(event_table).where(event_table.c.id.in_(gone)))
    return gone
