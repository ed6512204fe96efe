"""The outbox: events written in the same database transaction as the change that they tell of.

An event is written once and fanned out to the sinks by the daemon, which alone knows them. A delivery is kept per event
and sink, so a sink that is down keeps its own queue and delays nobody.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from cryptoassets_core.clock import utc_now
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.ledger.upsert import insert_rows
from cryptoassets_core.models.types import RowId, UTCDateTime, enum_column_type


class DeliveryState(StrEnum):
    """How far an event has come at one sink."""

    PENDING = "pending"
    DELIVERED = "delivered"
    #: Given up after many attempts; kept for the operator.
    DEAD = "dead"


metadata = MetaData()

event_table = Table(
    "cryptoassets_event",
    metadata,
    Column("id", RowId, primary_key=True),
    # What receivers recognise a repeat by.
    Column("event_id", String(36), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("data", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False, default=utc_now),
    Column("fanned_out", Boolean, nullable=False, default=False),
    Index("ix_cryptoassets_event_created_at", "created_at"),
    Index("ix_cryptoassets_event_name", "name", "id"),
    Index("ix_cryptoassets_event_subject", "subject", "id"),
    Index(
        "ix_cryptoassets_event_new",
        "id",
        postgresql_where=text("NOT fanned_out"),
        sqlite_where=text("NOT fanned_out"),
    ),
)

delivery_table = Table(
    "cryptoassets_event_delivery",
    metadata,
    Column("event_row_id", RowId, ForeignKey("cryptoassets_event.id"), primary_key=True, autoincrement=False),
    Column("sink", String(255), primary_key=True),
    # Copied from the event, so that order within a subject is one index look-up.
    Column("subject", String(255), nullable=False),
    Column("state", enum_column_type(DeliveryState), nullable=False, default=DeliveryState.PENDING),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UTCDateTime, nullable=False, default=utc_now),
    Column("delivered_at", UTCDateTime),
    Column("last_error", Text),
    Index(
        "ix_cryptoassets_event_delivery_pending",
        "sink",
        "subject",
        "event_row_id",
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
    Index(
        "ix_cryptoassets_event_delivery_due",
        "sink",
        "next_attempt_at",
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
    Index(
        "ix_cryptoassets_event_delivery_dead",
        "event_row_id",
        postgresql_where=text("state = 'dead'"),
        sqlite_where=text("state = 'dead'"),
    ),
)

#: What PostgreSQL tells listeners by this name: there may be something to deliver.
CHANNEL = "cryptoassets_event"

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 3600.0

#: After so long without success an event is dead for that sink,
GIVE_UP_AFTER = timedelta(days=3)

#: but not before so many attempts, some hours of them: a daemon that was off for days buries nothing at its first try.
LEAST_ATTEMPTS = 20

#: Every statement below carries its own guard, and the primary key of a delivery stands behind them.
ISOLATION_LEVEL = "READ COMMITTED"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is due at a sink."""

    row_id: int
    event: Event
    attempts: int
    created_at: datetime


def record(session: Session, events: Sequence[NewEvent]) -> None:
    """Write events; they become visible with the session's commit, or not at all."""
    if events:
        insert_rows(
            session,
            event_table,
            [
                {"event_id": event_id, "name": event.name, "subject": event.subject, "data": json.dumps(event.data)}
                for event_id, event in zip(_new_ids(len(events)), events, strict=True)
            ],
        )
        announce(session)


def _new_ids(number: int) -> list[str]:
    """Make UUIDs of version 7: they begin with the time, so the index of all events there ever were grows at its end.

    Source: RFC 9562, section 5.7.
    """
    moment = f"{time.time_ns() // 1_000_000:012x}"
    beginning = f"{moment[:8]}-{moment[8:]}-7"
    noise = os.urandom(10 * number).hex()
    parts = [noise[at : at + 20] for at in range(0, 20 * number, 20)]
    return [f"{beginning}{part[:3]}-{_VARIANTS[part[3]]}{part[4:7]}-{part[7:19]}" for part in parts]


#: The two highest bits of a UUID's second half are 10; the other two of the digit are as random as they were.
_VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def announce(session: Session) -> None:
    """Tell the daemon at the commit that there is something to deliver, where the database can.

    PostgreSQL lets transactions that do so commit one after the other: only those that write events should.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_notify(CHANNEL, "")))


def fan_out(session: Session, sinks: Sequence[str], *, limit: int = 1000) -> int:
    """Queue new events at every sink.

    One dispatcher after the other: if one passed over what another has just locked, it would deliver an event before
    the one that came first.

    :returns: how many events there were.
    """
    new = session.execute(
        select(event_table.c.id, event_table.c.subject)
        .where(~event_table.c.fanned_out)
        .order_by(event_table.c.id)
        .limit(limit)
        .with_for_update()
    ).all()
    if not new:
        return 0
    rows = [{"sink": sink, "event_row_id": row.id, "subject": row.subject} for sink in sinks for row in new]
    if rows:
        session.execute(insert(delivery_table), rows)
    session.execute(update(event_table).where(event_table.c.id.in_([row.id for row in new])).values(fanned_out=True))
    return len(new)


def due_deliveries(session: Session, sink: str, *, now: datetime, limit: int = 200) -> list[Delivery]:
    """Return what a sink should get now: of each subject only the first that it has not got."""
    same_subject = delivery_table.alias("same_subject")
    # Not as a join: of a queue that grew quickly the planner knows nothing, and would join all with all.
    first = (
        select(same_subject.c.event_row_id)
        .where(
            same_subject.c.sink == delivery_table.c.sink,
            same_subject.c.subject == delivery_table.c.subject,
            _is_pending(same_subject),
        )
        .order_by(same_subject.c.event_row_id)
        .limit(1)
        .scalar_subquery()
    )
    due = session.execute(
        select(
            delivery_table.c.event_row_id,
            delivery_table.c.attempts,
            event_table.c.event_id,
            event_table.c.name,
            event_table.c.data,
            event_table.c.created_at,
        )
        .join(event_table, event_table.c.id == delivery_table.c.event_row_id)
        .where(
            delivery_table.c.sink == sink,
            _is_pending(delivery_table),
            _is_due(now),
            delivery_table.c.event_row_id == first,
        )
        .order_by(delivery_table.c.next_attempt_at, delivery_table.c.event_row_id)
        .limit(limit)
    ).all()
    return [
        Delivery(row.event_row_id, Event(row.event_id, row.name, json.loads(row.data)), row.attempts, row.created_at)
        for row in due
    ]


def seconds_until_due(session: Session, sink: str, *, now: datetime) -> float | None:
    """Return after how long the next attempt at a sink is due that is not due yet, None if there is none."""
    next_at = session.scalar(
        select(func.min(delivery_table.c.next_attempt_at)).where(
            delivery_table.c.sink == sink,
            _is_pending(delivery_table),
            delivery_table.c.next_attempt_at > now,
        )
    )
    return None if next_at is None else (next_at - now).total_seconds()


def _is_pending(table: FromClause) -> ColumnElement[bool]:
    """Not a bound value: the database would not see that its indexes of just these rows fit."""
    return table.c.state == literal(DeliveryState.PENDING, table.c.state.type, literal_execute=True)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Nothing waits longer than the longest pause: a time beyond it was written before the clock was set back."""
    next_attempt_at = delivery_table.c.next_attempt_at
    return or_(next_attempt_at <= now, next_attempt_at > now + timedelta(seconds=LONGEST_RETRY_SECONDS))


def mark_delivered(session: Session, sink: str, row_ids: Sequence[int], *, now: datetime) -> None:
    """Note that a sink took events."""
    if row_ids:
        session.execute(
            update(delivery_table)
            .where(delivery_table.c.sink == sink, delivery_table.c.event_row_id.in_(row_ids))
            .values(state=DeliveryState.DELIVERED, delivered_at=now)
        )


def mark_failed(session: Session, sink: str, delivery: Delivery, error: str, *, now: datetime) -> DeliveryState:
    """Note that a sink did not take an event: it is tried again later, or given up after a long time."""
    dead = delivery.attempts + 1 >= LEAST_ATTEMPTS and now - delivery.created_at > GIVE_UP_AFTER
    state = DeliveryState.DEAD if dead else DeliveryState.PENDING
    session.execute(
        update(delivery_table)
        .where(
            delivery_table.c.sink == sink,
            delivery_table.c.event_row_id == delivery.row_id,
            # Another dispatcher may have had better luck with it.
            delivery_table.c.state == DeliveryState.PENDING,
        )
        .values(
            state=state,
            attempts=delivery.attempts + 1,
            next_attempt_at=now + _pause(delivery.attempts),
            last_error=error[:1000],
        )
    )
    return state


def _pause(attempts: int) -> timedelta:
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempts, 20))
    return timedelta(seconds=random.uniform(longest / 2, longest))  # noqa: S311 - spreads load, keeps no secret
