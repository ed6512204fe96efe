"""Processor time of a PostgreSQL server: with that of Python, the figure that neighbours disturb least."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


class ServerClock:
    """Adds up what the server processes that serve a database have used, on a Linux that lets us look."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.StaticPool)

    def seconds(self) -> float:
        """Return the processor time of all processes that serve the database now, but for our own."""
        with self._engine.connect() as connection:
            pids = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return sum(_used(pid) for (pid,) in pids)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _used(pid: int) -> float:
    try:
        # Nanoseconds on a processor. Source: Linux, Documentation/scheduler/sched-stats.
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return float("nan")
