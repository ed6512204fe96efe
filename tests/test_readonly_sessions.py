"""Sessions that only read: they refuse to write, and those of the status pages wait for nobody."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from kit import Till
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator


def make_app(url: str, **database: str) -> CryptoAssetsApp:
    app = CryptoAssetsApp([])
    Configurator(app).load_from_dict({"database": {"url": url, **database}, "coins": {"btc": {"network": "regtest"}}})
    app.create_tables()
    app.setup_session()
    return app


def test_a_replica_is_read_where_one_is_configured(postgres_url: str) -> None:
    app = make_app(postgres_url, readonly_url=postgres_url)
    with app.open_readonly_session() as session:
        assert session.get_bind().engine is not app.engine
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        assert session.scalar(text("SHOW transaction_read_only")) == "on"
    app.close()


def test_it_waits_for_a_safe_moment_unless_told_otherwise(postgres_url: str) -> None:
    app = make_app(postgres_url)
    with app.open_readonly_session() as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "serializable"
        assert session.scalar(text("SHOW transaction_deferrable")) == "on"
    app.close()


def test_a_transaction_that_stays_open_does_not_hold_up_the_status_pages(postgres_url: str) -> None:
    app = make_app(postgres_url)
    account = app.coins.get("btc").account_model
    answers: list[object] = []

    def look() -> None:
        with app.open_readonly_session(wait=False) as session:
            answers.append(session.scalars(select(account.balance)).all())

    with app.open_session() as busy:
        wallet = app.coins.get("btc").wallet_model.get_or_create_by_name("w", busy)
        wallet.import_balance(wallet.get_or_create_account_by_name("a"), Decimal(1))
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(30)
        assert answers == [[]]
        busy.rollback()
    app.close()


@pytest.mark.parametrize("wait", [True, False])
def test_writing_is_refused_by_postgresql(postgres_url: str, wait: bool) -> None:
    app = make_app(postgres_url)
    with app.open_readonly_session(wait=wait) as session, pytest.raises(DBAPIError, match="read-only transaction"):
        app.coins.get("btc").wallet_model.get_or_create_by_name("w", session)
    app.close()


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
