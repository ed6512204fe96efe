"""Work is run, committed, joined and replayed, bounded and with random pauses; everything else is let through."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from counters import Counter, Moody, conflict, value
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.utils.conflictresolver import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ConflictResolver,
)

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


def test_counting_is_exact_with_many_threads(engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(engine), retries=0)
    call: Callable[[], Any] = resolver.managed_transaction(lambda session: None)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(lambda: [call() for _ in range(200)]) for _ in range(8)]:
            done.result()

    assert resolver.stats["success"] == 1600
