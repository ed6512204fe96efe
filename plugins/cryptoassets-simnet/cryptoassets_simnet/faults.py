"""Faults that a test arms and the backend then meets; kept in the chain file, so that another process can arm them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from cryptoassets_simnet.errors import SimnetError


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    #: A definite no: the call is not carried out, and the caller knows it.
    REFUSE = "refuse"
    #: The call is not carried out, and the caller cannot know it.
    TIMEOUT_BEFORE = "timeout-before"
    #: The call is carried out, its answer is lost, and the caller cannot know it.
    TIMEOUT_AFTER = "timeout-after"


#: Methods of the backend that can be made to fail.
METHODS = (
    "check",
    "create_address",
    "get_tip",
    "list_since",
    "get_transactions",
    "get_backend_balance",
    "prepare",
    "submit",
    "hold",
    "release",
)

_MOST_TIMES = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that waits for its calls."""

    method: str
    kind: FaultKind
    #: How many more calls it will spoil.
    remaining: int


def arm(db: sqlite3.Connection, method: str, kind: str, *, count: int) -> None:
    """Let the next calls of a method fail, after those armed earlier for it.

    :raises SimnetError: there is no such method or kind, or the count is not sensible.
    """
    if method not in METHODS:
        raise SimnetError(f"the backend has no method {method!r} to make fail; there are {', '.join(METHODS)}")
    if kind not in list(FaultKind):
        raise SimnetError(f"there is no fault {kind!r}; there are {', '.join(FaultKind)}")
    if not 1 <= count <= _MOST_TIMES:
        raise SimnetError(f"a fault can strike from 1 to {_MOST_TIMES} times, not {count}")
    db.execute("INSERT INTO fault (method, kind, remaining) VALUES (?, ?, ?)", (method, FaultKind(kind).value, count))


def armed(db: sqlite3.Connection) -> tuple[Fault, ...]:
    """List what waits, oldest first."""
    rows = db.execute("SELECT method, kind, remaining FROM fault ORDER BY number")
    return tuple(Fault(row["method"], FaultKind(row["kind"]), row["remaining"]) for row in rows)


def clear(db: sqlite3.Connection) -> None:
    """Disarm everything."""
    db.execute("DELETE FROM fault")


def is_armed(db: sqlite3.Connection, method: str) -> bool:
    """Tell whether the next call of a method fails; the cheap question before :py:func:`strike`."""
    return db.execute("SELECT 1 FROM fault WHERE method = ? LIMIT 1", (method,)).fetchone() is not None


def strike(db: sqlite3.Connection, method: str) -> FaultKind | None:
    """Use up one count of the oldest fault of a method."""
    row = db.execute(
        "SELECT number, kind, remaining FROM fault WHERE method = ? ORDER BY number LIMIT 1", (method,)
    ).fetchone()
    if row is None:
        return None
    if row["remaining"] == 1:
        db.execute("DELETE FROM fault WHERE number = ?", (row["number"],))
    else:
        db.execute("UPDATE fault SET remaining = remaining - 1 WHERE number = ?", (row["number"],))
    return FaultKind(row["kind"])


def is_down(db: sqlite3.Connection) -> bool:
    """Tell whether the simulated node is switched off."""
    (down,) = db.execute("SELECT down FROM chain").fetchone()
    return bool(down)


def set_down(db: sqlite3.Connection, down: bool) -> None:
    """Switch the simulated node off or on; the network goes on without it."""
    db.execute("UPDATE chain SET down = ?", (down,))
