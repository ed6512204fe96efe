"""A connection that is lost: work is replayed while nothing can be committed, and later only if it may happen twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from counters import Counter, counting, value
from kit import Till
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from cryptoassets_core.database import lone_statements
from cryptoassets_core.ledger.transfer import TransferOrder, transfer_at_once
from cryptoassets_core.testing.postgres import PostgresServer
from cryptoassets_core.tools import teller
from cryptoassets_core.utils.conflictresolver import ConflictResolver

pytestmark = pytest.mark.postgres


def add_one(session: Session) -> None:
    session.get_one(Counter, 1).value += 1


def cut_off(session: Session) -> None:
    """End the session's connection as an operator, or a restart, would."""
    session.flush()
    pid = session.scalar(text("SELECT pg_backend_pid()"))
    with session.get_bind().connect() as other:
        other.execute(text(f"SELECT pg_terminate_backend({pid})"))


def test_restart_of_the_server_is_not_noticed() -> None:
    with PostgresServer(durable=True) as server, counting(server.create_database()) as engine:
        resolver = ConflictResolver(sessionmaker(engine), retries=1)
        with engine.connect(), engine.connect(), engine.connect():
            pass  # three connections wait in the pool

        server.restart()
        resolver.managed_non_retryable_transaction(add_one)()
        server.restart(kill=True)
        with lone_statements(engine) as cursor:
            cursor.execute("UPDATE counter SET value = value + 1")

        assert (value(engine), resolver.stats["retries"]) == (2, 0)


def test_work_whose_connection_is_lost_before_the_commit_is_replayed(pg_engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=1)
    cuts = iter([True])

    def work(session: Session) -> None:
        add_one(session)
        if next(cuts, False):
            cut_off(session)
        session.execute(text("SELECT 1"))

    resolver.managed_transaction(work)()

    assert (value(pg_engine), resolver.stats["success"], resolver.stats["retries"]) == (1, 1, 1)


def test_what_the_session_writes_last_is_not_yet_the_commit(pg_engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=1)
    cuts = iter([True])

    def work(session: Session) -> None:
        if next(cuts, False):
            cut_off(session)
        with session.no_autoflush:
            session.add(Counter(id=2, value=0))

    resolver.run(work)

    assert resolver.stats["retries"] == 1


def test_replays_of_lost_connections_are_bounded_and_end_in_the_databases_error(pg_engine: Engine) -> None:
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=2, sleep=lambda _: None)

    def work(session: Session) -> None:
        cut_off(session)
        session.execute(text("SELECT 1"))

    with pytest.raises(OperationalError):
        resolver.run(work)

    assert (resolver.stats["retries"], resolver.stats["errors"]) == (2, 1)


@pytest.mark.parametrize("idempotent", [False, True])
def test_connection_lost_while_committing_is_replayed_only_if_that_does_no_harm(
    pg_engine: Engine, idempotent: bool
) -> None:
    """Here the server did not commit; nobody here knows."""
    resolver = ConflictResolver(sessionmaker(pg_engine), retries=5)
    cuts = iter([True])

    def work(session: Session) -> None:
        add_one(session)
        if next(cuts, False):
            cut_off(session)

    if idempotent:
        resolver.run(work, idempotent=True)
    else:
        with pytest.raises(OperationalError) as raised:
            resolver.run(work)
        assert raised.value.connection_invalidated
        assert "while committing" in raised.value.__notes__[0]

    assert (value(pg_engine), resolver.stats["retries"]) == (int(idempotent), int(idempotent))
    resolver.run(add_one)  # the pool is none the worse


@pytest.mark.parametrize("key", [None, "key"])
def test_lone_transfer_whose_answer_is_lost_is_made_once(
    postgres_till: Till, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The server has done it, and the connection ends before we hear so."""
    till, losses = postgres_till, iter([True])
    a, b = till.accounts("10", "0")
    order = TransferOrder(
        wallet_id=till.wallet_id(), sending_account_id=a, receiving_account_id=b, amount=Decimal(1), idempotency_key=key
    )

    def lose_the_answer(cursor: Any, *arguments: Any) -> Any:
        receipt = transfer_at_once(cursor, *arguments)
        if next(losses, False):
            cursor.connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return receipt

    monkeypatch.setattr(teller, "transfer_at_once", lose_the_answer)
    if key is None:
        with pytest.raises(OperationalError) as raised:
            till.teller.send_internal(order)
        assert "while committing" in raised.value.__notes__[0]
    else:
        (row,) = till.rows(id=till.teller.send_internal(order).transaction_id)
        assert row.idempotency_key == key

    assert till.balance(b) == 1
    assert till.audit() == []
    till.teller.send_internal(replace(order, idempotency_key=None))  # the pool is none the worse


def test_lone_statement_leaves_the_connection_as_it_was(pg_engine: Engine) -> None:
    with lone_statements(pg_engine) as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
    with pytest.raises(IntegrityError), lone_statements(pg_engine) as cursor:
        cursor.execute("INSERT INTO counter VALUES (1, 1)")
    with Session(pg_engine) as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "serializable"
        add_one(session)
        session.flush()
        session.rollback()

    assert value(pg_engine) == 0
    assert pg_engine.pool.checkedin() == 1
