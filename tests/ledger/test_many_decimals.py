"""Coins with more decimals than a BIGINT has room for: exact on PostgreSQL, refused at the start on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from finecoin import FinePlugin
from kit import Till, address, seen, sqlite_file

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError, InvalidAmountError, NotEnoughAccountBalance
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer

#: The smallest part of a coin, and the most that an account may hold: NUMERIC(38, 0).
TINY = Decimal("0.000000000000000001")
MOST = Decimal("99999999999999999999.999999999999999999")


class FineTill(Till):
    """Books of the coin with 18 decimals."""

    @property
    def coin(self) -> Coin:
        return self.app.coins.get("fine")


def open_app(url: str) -> CryptoAssetsApp:
    app = CryptoAssetsApp(plugins=[FinePlugin()])
    Configurator(app).load_from_dict(
        {"database": {"url": url, "transaction_retries": 10}, "coins": {"fine": {"network": "regtest"}}}
    )
    app.setup_session()
    return app


@pytest.fixture
def fine(postgres_url: str) -> Iterator[FineTill]:
    app = open_app(postgres_url)
    app.create_tables()
    yield FineTill(app)
    app.close()


@pytest.mark.postgres
def test_every_movement_is_exact_beyond_64_bits(fine: FineTill) -> None:
    """9.22 coins of 18 decimals fill 64 bits."""
    a, b = fine.accounts("1234567890.000000000000000001", "0")
    amount = Decimal("123456789.123456789012345678")
    order = TransferOrder(wallet_id=fine.wallet_id(), sending_account_id=a, receiving_account_id=b, amount=amount)

    receipt = fine.teller.send_internal(order)
    fine.teller.send_internal(replace(order, idempotency_key="key"))
    assert fine.teller.send_internal(replace(order, idempotency_key="key")).transaction_id == receipt.transaction_id + 1
    fine.do("shop", lambda wallet: wallet.send_internal(a, b, amount, None))
    fine.do("shop", lambda wallet: wallet.send_internal_many([Transfer(a, b, amount), Transfer(b, a, TINY)]))
    fine.do("shop", lambda wallet: wallet.send_internal(b, a, amount * 5, None, allow_negative_balance=True))
    to = fine.receiving_address(b)
    fine.chain_says(seen("tx", {to: amount}, 3))
    fine.do("shop", lambda wallet: wallet.cancel_withdrawal(wallet.send_external(a, address("x"), amount, None)))

    assert receipt.sending_balance_after == Decimal("1111111100.876543210987654323")
    # a paid it four times, and got it five times and the tiny bit back.
    assert fine.balance(a) == Decimal("1234567890.000000000000000001") + amount + TINY
    assert fine.total() == Decimal("1234567890.000000000000000001") + amount
    assert fine.do("shop", lambda wallet: wallet.balance) == fine.total()
    assert fine.audit() == []


@pytest.mark.postgres
def test_balance_of_a_wallet_is_exact_beyond_the_column(fine: FineTill) -> None:
    fine.accounts(str(MOST), str(MOST), str(TINY))

    assert fine.do("shop", lambda wallet: wallet.balance) == Decimal("199999999999999999999.999999999999999999")


@pytest.mark.postgres
def test_limits_are_those_of_the_column(fine: FineTill) -> None:
    a, b, c = fine.accounts(str(TINY), str(MOST), "0")
    before = fine.dump()

    def refuse(wallet: GenericWallet) -> None:
        with pytest.raises(InvalidAmountError, match="would hold more"):
            wallet.send_internal(a, b, TINY, None)
        with pytest.raises(InvalidAmountError, match="more than the database"):
            wallet.send_internal(b, a, MOST + TINY, None)
        with pytest.raises(InvalidAmountError, match="more than the 18 decimals"):
            wallet.send_internal(a, b, TINY / 10, None)
        with pytest.raises(NotEnoughAccountBalance, match=r"account 1 has 0\.000000000000000001 FINE"):
            wallet.send_internal(a, c, TINY * 2, None)

    fine.do("shop", refuse)
    assert fine.dump() == before


def test_sqlite_refuses_such_a_coin_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SQLite cannot hold a coin with 18 decimals exactly"):
        open_app(sqlite_file(tmp_path / "fine.sqlite"))
