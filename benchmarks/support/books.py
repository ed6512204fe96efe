"""An app with accounts that hold coins, on a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.bech32 import encode_segwit
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.configure import Configurator
from cryptoassets_core.tools.audit import audit

#: Whole coins that each account begins with: enough for every run.
OPENING_BALANCE = Decimal(1000)


@dataclass(frozen=True, slots=True)
class Books:
    """An app with one coin, one wallet and its accounts."""

    app: CryptoAssetsApp
    coin: Coin
    wallet_id: int
    account_ids: list[int]

    @property
    def url(self) -> str:
        """Of the database, with its password."""
        if self.app.engine is None:
            raise SystemExit("the books have no database")
        return self.app.engine.url.render_as_string(hide_password=False)

    def check(self) -> None:
        """See that the run lost and made nothing: a fast ledger that errs is worth nothing."""
        with self.app.open_readonly_session() as session:
            findings = list(audit(session, self.coin))
        if findings:
            raise SystemExit(f"the books are wrong after the run: {findings[0].message}")


def configured_app(url: str, *, backend: dict[str, Any] | None = None, symbol: str = "btc") -> CryptoAssetsApp:
    """Return an app with one coin; without a backend unless its configuration is given."""
    coin = {"network": "regtest"} | ({"backend": backend} if backend else {})
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict({"database": {"url": url}, "coins": {symbol: coin}})
    app.setup_session()
    return app


@contextmanager
def opened_app(url: str) -> Iterator[CryptoAssetsApp]:
    """Lend an app on tables that exist."""
    app = configured_app(url)
    try:
        yield app
    finally:
        app.close()


@contextmanager
def opened_books(url: str, *, accounts: int) -> Iterator[Books]:
    """Lend books in which a wallet's accounts begin with an imported balance each."""
    app = configured_app(url)
    try:
        app.create_tables()
        coin = app.coins.get("btc")
        wallet_id = _make_wallet(app, coin, accounts)
        yield Books(app, coin, wallet_id, account_ids(app, coin, wallet_id))
    finally:
        app.close()


def account_ids(app: CryptoAssetsApp, coin: Coin, wallet_id: int) -> list[int]:
    """Return the ids of a wallet's accounts."""
    account = coin.wallet_model.books().account
    with app.open_readonly_session() as session:
        return list(session.scalars(sa.select(account.c.id).where(account.c.wallet_id == wallet_id)))


def _make_wallet(app: CryptoAssetsApp, coin: Coin, accounts: int) -> int:
    account = coin.wallet_model.books().account

    def work(session: Session) -> int:
        wallet = coin.wallet_model.get_or_create_by_name("benchmark", session)
        names = [{"wallet_id": wallet.id, "name": f"account {number}"} for number in range(accounts)]
        ids = session.scalars(sa.insert(account).returning(account.c.id), names).all()
        for id_ in ids:
            wallet.import_balance(id_, OPENING_BALANCE)
        return int(wallet.id)

    return app.conflict_resolver.run(work)


def own_address(number: int) -> str:
    """Return a well-formed address of the test network; nobody has its key."""
    return encode_segwit("bcrt", 0, number.to_bytes(20, "big"))
