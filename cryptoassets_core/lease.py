"""Leases: which of several processes does a job, kept in the database and read off no wall clock.

The holder of a lease counts its ``beat`` up again and again. Whoever sees one beat unchanged for long enough, by a
clock of its own that only ever goes forward, may take the lease over. So no two clocks are compared, and none that
somebody sets matters. Each statement is a transaction of its own and carries its guard: nobody can freeze while it
holds a lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.ledger.upsert import insert_missing
from cryptoassets_core.models.types import UTCDateTime

metadata = MetaData()

lease_table = Table(
    "cryptoassets_lease",
    metadata,
    Column("name", String(255), primary_key=True),
    # None while nobody has it.
    Column("holder", String(36)),
    # Where the holder runs, for people.
    Column("place", Text),
    # What recognises the holder's process on its own machine.
    Column("process", Text),
    Column("beat", BigInteger, nullable=False, default=0),
    Column("taken_at", UTCDateTime),
)

#: For the transactions that all these functions run in.
ISOLATION_LEVEL = "AUTOCOMMIT"


@dataclass(frozen=True, slots=True)
class Holder:
    """One who may have leases."""

    #: Unique.
    id: str
    #: Where it runs, for people.
    place: str
    #: See :py:func:`~cryptoassets_core.utils.processes.own_process`.
    process: str | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was when somebody looked."""

    name: str
    holder: Holder | None
    beat: int
    taken_at: datetime | None


def offer(session: Session, name: str) -> None:
    """Make a lease that nobody has, unless there is one of that name."""
    insert_missing(session, lease_table, [{"name": name}])


def beat(session: Session, holder: Holder) -> set[str]:
    """Renew every lease of a holder.

    :returns: their names: all that it has, and nobody took over.
    """
    renewed = update(lease_table).where(lease_table.c.holder == holder.id).values(beat=lease_table.c.beat + 1)
    return set(session.scalars(renewed.returning(lease_table.c.name)))


def look(session: Session, names: Iterable[str]) -> list[Lease]:
    """Return leases by name."""
    rows = session.execute(select(lease_table).where(lease_table.c.name.in_(list(names))))
    return [
        Lease(
            row.name,
            None if row.holder is None else Holder(row.holder, row.place, row.process),
            row.beat,
            row.taken_at,
        )
        for row in rows
    ]


def take(session: Session, seen: Lease, holder: Holder, *, now: datetime) -> bool:
    """Take over a lease, if it is still as it was seen.

    :returns: whether it belongs to the holder now.
    """
    taken = session.execute(
        update(lease_table)
        .where(
            lease_table.c.name == seen.name,
            # Who was quicker, or has renewed it since, has counted it up.
            lease_table.c.beat == seen.beat,
        )
        .values(
            holder=holder.id,
            place=holder.place,
            process=holder.process,
            beat=lease_table.c.beat + 1,
            taken_at=now,
        )
        .returning(lease_table.c.name)
    )
    return taken.first() is not None


def give_back(session: Session, holder: Holder) -> None:
    """Let go of every lease of a holder, so that others need not wait."""
    session.execute(update(lease_table).where(lease_table.c.holder == holder.id).values(holder=None))
