"""How many rows of each table were read, by PostgreSQL's own counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

_ROWS_READ = sa.text(
    "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables"
    " WHERE relname <> 'btc_account'"
)


def rows_read(asked: sa.Connection | Session) -> dict[str, int]:
    """Return what this transaction has read, and perhaps some before it: a server passes its counters on once a second.

    The accounts are left out: of these the books of tests have few.
    """
    return {row.relname: row.rows for row in asked.execute(_ROWS_READ)}


class RowsRead:
    """Counts the rows that an engine's transactions read."""

    def __init__(self, engine: sa.Engine) -> None:
        self._read: Counter[str] = Counter()
        event.listen(engine, "begin", self._at_begin)
        event.listen(engine, "rollback", self._before_end)
        event.listen(engine, "commit", self._before_end)

    def _at_begin(self, connection: sa.Connection) -> None:
        self._read.subtract(rows_read(connection))

    def _before_end(self, connection: sa.Connection) -> None:
        self._read.update(rows_read(connection))

    def by(self, work: Callable[[], object]) -> dict[str, int]:
        """Return how many rows of each table some work reads."""
        self._read.clear()
        work()
        return dict(self._read)
