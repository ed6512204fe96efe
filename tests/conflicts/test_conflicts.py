"""What is a conflict: provoked on each kind of database, and told from other errors."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from counters import Base, Counter, value
from kit import sqlite_file
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from cryptoassets_core import database
from cryptoassets_core.database import connect
from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.utils.conflictresolver import DATABASE_CONFLICT_ERRORS, ConflictResolver


@pytest.mark.postgres
@pytest.mark.parametrize("first_commits", [True, False])
def test_real_serialization_failure_is_replayed(pg_engine: Engine, first_commits: bool) -> None:
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=1, sleep=lambda _: None)
    rival = Session(pg_engine)
    rivals = iter([rival])

    @resolver.managed_transaction
    def add(session: Session) -> int:
        counter = session.get_one(Counter, 1)
        if (other := next(rivals, None)) is not None:
            other.get_one(Counter, 1).value += 10
            other.commit() if first_commits else other.rollback()
        counter.value += 1
        return counter.value

    assert add() == (11 if first_commits else 1)
    assert resolver.stats["retries"] == int(first_commits)
    rival.close()


@pytest.mark.postgres
def test_real_deadlock_is_replayed(pg_engine: Engine) -> None:
    with Session(pg_engine) as session:
        session.add(Counter(id=2, value=0))
        session.commit()
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=5)
    both_hold_one = threading.Barrier(2)
    first_try = [True, True]
    add_one = text("UPDATE counter SET value = value + 1 WHERE id = :id")

    def add(mine: int, theirs: int) -> None:
        def work(session: Session) -> None:
            session.execute(add_one, {"id": mine})
            if first_try[mine - 1]:
                first_try[mine - 1] = False
                both_hold_one.wait()
            session.execute(add_one, {"id": theirs})

        resolver.run(work, isolation_level="READ COMMITTED")

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(add, 1, 2), threads.submit(add, 2, 1)]:
            done.result()

    assert (value(pg_engine), resolver.stats["success"], resolver.stats["errors"]) == (2, 2, 0)
    assert resolver.stats["retries"] >= 1


def test_other_sqlite_writer_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SQLITE_BUSY_SECONDS", 0)
    path = tmp_path / "own.sqlite"
    engine = connect(sqlite_file(path))
    Base.metadata.create_all(engine)
    rival = sqlite3.connect(path, isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    resolver = ConflictResolver(sessionmaker(engine), retries=2, sleep=lambda _: None)

    with pytest.raises(CannotResolveDatabaseConflict):
        resolver.run(lambda session: session.get(Counter, 1))
    rival.execute("COMMIT")
    assert resolver.run(lambda session: session.get(Counter, 1)) is None

    rival.close()
    engine.dispose()


def _pg(code: str, constraint: str | None = None, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    class Original(Exception):
        pgcode = code

        class diag:  # noqa: N801 - as the driver names it
            constraint_name = constraint

    return kind("SQL", {}, Original())


def _sqlite(code: int) -> DBAPIError:
    original = sqlite3.OperationalError("locked")
    original.sqlite_errorcode = code
    return OperationalError("SQL", {}, original)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (_pg("40001"), True),
        (_pg("40P01"), True),
        (_pg("23505"), False),
        (_pg("23505", "uq_btc_transaction_idempotency_key", IntegrityError), True),
        (_pg("23505", "uq_btc_account_wallet_id_name", IntegrityError), True),
        (_pg("23514", "ck_btc_account_not_below_zero", IntegrityError), False),
        (_pg("23505", "their_own_unique", IntegrityError), False),
        (_pg("57P01"), False),
        (_pg("08006"), False),
        (_sqlite(5), True),
        (_sqlite(6), True),
        (_sqlite(517), True),
        (_sqlite(13), False),
        (StaleDataError(), True),
        (ValueError(), False),
        (CannotResolveDatabaseConflict(), False),
    ],
    ids=lambda value: repr(getattr(value, "orig", value))[:40],
)
def test_conflicts_are_told_from_other_errors(error: Exception, retryable: bool) -> None:
    assert ConflictResolver.is_retryable_exception(error) is retryable
    assert any(isinstance(error, kind) for kind, _ in DATABASE_CONFLICT_ERRORS) or not retryable
