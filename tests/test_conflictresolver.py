"""Conflicts are replayed, bounded and with random pauses; everything else is let through. No app is needed."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kit import Till, sqlite_file
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from cryptoassets_core import database
from cryptoassets_core.database import connect
from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.utils.conflictresolver import (
    DATABASE_CONFLICT_ERRORS,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ConflictResolver,
)


class Base(DeclarativeBase):
    """An application's own tables."""


class Counter(Base):
    """A row that everybody wants to change."""

    __tablename__ = "counter"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = request.param == "sqlite"
    engine = connect(sqlite_file(tmp_path / "own.sqlite") if sqlite else request.getfixturevalue("postgres_url"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Counter(id=1, value=0))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def pg_engine(postgres_url: str) -> Iterator[Engine]:
    engine = connect(postgres_url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Counter(id=1, value=0))
        session.commit()
    yield engine
    engine.dispose()


def value(engine: Engine) -> int:
    with Session(engine) as session:
        return session.get_one(Counter, 1).value


def conflict() -> DBAPIError:
    class Refused(Exception):
        pgcode = "40001"

    return OperationalError("UPDATE", {}, Refused("could not serialize access"))


class Moody:
    """Fails with the given errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, session: Session) -> int:
        self.calls += 1
        session.get_one(Counter, 1).value += 1
        session.flush()
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


# --- The manual's example -----------------------------------------------------------------------------------


def test_function_gets_a_session_first_and_is_committed(engine: Engine) -> None:
    conflict_resolver = ConflictResolver(sessionmaker(engine), retries=3)

    @conflict_resolver.managed_transaction
    def add(session: Session, amount: int, *, twice: bool = False) -> int:
        """Add to the counter."""
        counter = session.get_one(Counter, 1)
        counter.value += amount * (2 if twice else 1)
        return counter.value

    assert add(2, twice=True) == 4
    assert (value(engine), add.__name__, add.__doc__) == (4, "add", "Add to the counter.")
    assert conflict_resolver.stats == {"success": 1, "retries": 0, "errors": 0, "unresolved": 0}


def test_error_of_the_function_undoes_its_work_and_comes_through(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=3)
    work = Moody(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        resolver.managed_transaction(work)()

    assert (work.calls, value(engine), resolver.stats["errors"], resolver.stats["retries"]) == (1, 0, 1, 0)


def test_with_block_commits_or_undoes_and_is_not_replayed(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=3)
    with resolver.transaction() as session:
        session.get_one(Counter, 1).value = 5
    assert value(engine) == 5

    def fail() -> None:
        with resolver.transaction() as session:
            session.get_one(Counter, 1).value = 6
            raise error

    error = conflict()
    with pytest.raises(OperationalError) as raised:
        fail()
    assert raised.value is error
    assert value(engine) == 5


# --- Replaying ----------------------------------------------------------------------------------------------


def test_conflicts_are_replayed_with_a_fresh_session_until_it_works(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=3, sleep=lambda _: None)

    assert resolver.managed_transaction(Moody(conflict(), conflict(), StaleDataError()))() == 4

    assert value(engine) == 1
    assert resolver.stats == {"success": 1, "retries": 3, "errors": 0, "unresolved": 0}


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_replays_are_bounded(engine: Engine, retries: int) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=retries, sleep=lambda _: None)
    errors = [conflict() for _ in range(10)]
    work = Moody(*errors)

    with pytest.raises(CannotResolveDatabaseConflict, match=f"refused the transaction {retries + 1} times") as raised:
        resolver.managed_transaction(work)()

    assert raised.value.__cause__ is errors[retries]
    assert (work.calls, value(engine)) == (retries + 1, 0)
    assert resolver.stats == {"success": 0, "retries": retries, "errors": 0, "unresolved": 1}


def test_pauses_grow_up_to_a_bound_and_are_random(engine: Engine) -> None:
    pauses: list[float] = []
    limits: list[tuple[float, float]] = []
    source = random.Random(1)

    def uniform(low: float, high: float) -> float:
        limits.append((low, high))
        return source.uniform(low, high)

    resolver = ConflictResolver(sessionmaker(engine), retries=15, sleep=pauses.append, uniform=uniform)
    with pytest.raises(CannotResolveDatabaseConflict):
        resolver.managed_transaction(Moody(*(conflict() for _ in range(20))))()

    assert limits == [(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**n)) for n in range(1, 16)]
    assert limits[-1][1] == LONGEST_PAUSE_SECONDS
    assert len(set(pauses)) == 15
    assert all(low <= pause <= high for pause, (low, high) in zip(pauses, limits, strict=True))


def test_nothing_pauses_before_a_first_try(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), sleep=lambda _: pytest.fail("it paused"))

    resolver.managed_transaction(Moody())()


def test_function_that_must_not_run_twice_runs_once(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=5)
    work = Moody(conflict())

    with pytest.raises(CannotResolveDatabaseConflict):
        resolver.managed_non_retryable_transaction(work)()

    assert (work.calls, value(engine), resolver.stats["unresolved"]) == (1, 0, 1)


# --- Joining ------------------------------------------------------------------------------------------------


def test_managed_function_inside_another_joins_it_and_falls_with_it(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=0)
    sessions: list[Session] = []

    @resolver.managed_transaction
    def inner(session: Session) -> None:
        sessions.append(session)
        session.get_one(Counter, 1).value += 1

    @resolver.managed_transaction
    def outer(session: Session, fail: bool) -> None:
        sessions.append(session)
        inner()
        resolver.managed_non_retryable_transaction(inner.__wrapped__)()
        resolver.run(inner.__wrapped__, isolation_level="READ COMMITTED")
        with resolver.transaction() as joined:
            inner.__wrapped__(joined)
        if fail:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outer(True)
    assert value(engine) == 0
    assert len(set(map(id, sessions))) == 1

    outer(False)
    assert value(engine) == 4
    assert resolver.stats == {"success": 1, "retries": 0, "errors": 1, "unresolved": 0}


def test_conflict_inside_replays_the_outermost_whole(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=3, sleep=lambda _: None)
    work = Moody(conflict(), conflict())
    outer_calls = []

    @resolver.managed_transaction
    def outer(session: Session) -> None:
        outer_calls.append(session)
        resolver.managed_transaction(work)()

    outer()

    assert (len(outer_calls), work.calls, value(engine)) == (3, 3, 1)


def test_thread_does_not_join_another_threads_transaction(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=0)
    seen: list[Session] = []

    @resolver.managed_transaction
    def outer(session: Session) -> None:
        # Nothing is asked of the database, which SQLite would not let the other one do.
        thread = threading.Thread(target=resolver.managed_transaction(seen.append))
        thread.start()
        thread.join()
        seen.append(session)

    outer()

    assert len(set(map(id, seen))) == 2


def test_transaction_after_a_failed_one_is_a_new_one(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=0)
    with pytest.raises(ZeroDivisionError):
        resolver.managed_transaction(Moody(ZeroDivisionError()))()

    resolver.managed_transaction(Moody())()

    assert value(engine) == 1


# --- Real conflicts -----------------------------------------------------------------------------------------


def test_twenty_threads_count_to_a_hundred(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=200)

    @resolver.managed_transaction
    def add(session: Session) -> None:
        session.get_one(Counter, 1).value += 1

    with ThreadPoolExecutor(20) as threads:
        for done in [threads.submit(add) for _ in range(100)]:
            done.result()

    assert (value(engine), resolver.stats["success"], resolver.stats["errors"]) == (100, 100, 0)
    if engine.dialect.name == "sqlite":
        # Writers queue up from the start of their transactions, so that whoever has read can also write.
        assert resolver.stats["retries"] == 0


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


@pytest.mark.postgres
def test_lost_connection_is_not_swallowed_nor_replayed(pg_engine: Engine) -> None:
    """Whether the commit arrived is not known then, so only the caller can decide."""
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=5)
    calls = []

    @resolver.managed_transaction
    def work(session: Session) -> None:
        calls.append(1)
        session.get_one(Counter, 1).value += 1
        session.flush()
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with pg_engine.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({pid})"))

    with pytest.raises(OperationalError) as raised:
        work()
    assert raised.value.connection_invalidated
    assert (calls, resolver.stats["errors"], resolver.stats["retries"]) == ([1], 1, 0)

    resolver.managed_transaction(Moody())()
    assert value(pg_engine) == 1


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


def test_counting_is_exact_with_many_threads(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=0)
    call: Callable[[], Any] = resolver.managed_transaction(lambda session: None)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(lambda: [call() for _ in range(200)]) for _ in range(8)]:
            done.result()

    assert resolver.stats["success"] == 1600


def test_readonly_session_refuses_to_write_and_the_connection_is_fit_for_writing_again(till: Till) -> None:
    a = till.account("a", "1")
    before = till.dump()
    for _ in range(2):
        with till.app.open_readonly_session() as session:
            assert session.get_one(till.coin.account_model, a).balance == 1
            with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
                session.execute(text("UPDATE btc_account SET name = 'z'"))
        assert till.dump() == before
        with till.app.open_session() as session:
            session.execute(text("UPDATE btc_account SET name = 'z'"))
