"""Coins do not mix, and a slip of the unit gives away no more than there is (F24: 620,000 coins for 620,000 won)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from kit import Till, address

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import LedgerError, NotEnoughAccountBalance, NotEnoughWalletBalance, WithdrawalRefused
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.models.wallet import Transfer


@pytest.fixture
def bank(books_url: str) -> Iterator[Till]:
    """Books of two coins in one database."""
    app = CryptoAssetsApp()
    coins = {"btc": {"network": "regtest"}, "ltc": {"network": "regtest"}}
    Configurator(app).load_from_dict({"database": {"url": books_url, "transaction_retries": 10}, "coins": coins})
    app.create_tables()
    app.setup_session()
    yield Till(app)
    app.close()


CALLS: dict[str, Callable[[Any, Any, Any, Any], object]] = {
    "send from": lambda w, own, other, _: w.send(other, address("x"), Decimal(1), None),
    "send_internal from": lambda w, own, other, _: w.send_internal(other, own, Decimal(1), None),
    "send_internal to": lambda w, own, other, _: w.send_internal(own, other, Decimal(1), None),
    "send_internal_many": lambda w, own, other, _: w.send_internal_many([Transfer(own, other, Decimal(1))]),
    "send_external from": lambda w, own, other, _: w.send_external(other, address("x"), Decimal(1), None),
    "cancel_withdrawal": lambda w, own, other, row: w.cancel_withdrawal(row),
    "charge_network_fees": lambda w, own, other, row: w.charge_network_fees(row, Decimal(1)),
    "deposit of a network transaction": lambda w, own, other, row: w.deposit(
        row, w.add_address(own, "label", address("z")).address, Decimal(1)
    ),
    "import_balance": lambda w, own, other, _: w.import_balance(other, Decimal(1)),
    "adjust_balance": lambda w, own, other, _: w.adjust_balance(
        other, Decimal(1), direction="credit", reason="r", created_by="a", approved_by="b"
    ),
    "add_address": lambda w, own, other, _: w.add_address(other, "label", address("y")),
    "create_receiving_address": lambda w, own, other, _: w.create_receiving_address(other, "label"),
    "refresh_account_balance": lambda w, own, other, _: w.refresh_account_balance(other),
}


@pytest.mark.parametrize("name", CALLS)
def test_accounts_and_rows_of_another_coin_are_refused(bank: Till, name: str) -> None:
    """Their numbers are the same, so only the objects can tell."""
    before = bank.dump()

    def work(session: Any) -> None:
        coins = [bank.app.coins.get(name) for name in ("btc", "ltc")]
        wallets = [coin.wallet_model.get_or_create_by_name("shop", session) for coin in coins]
        own, other = (wallet.get_or_create_account_by_name("user") for wallet in wallets)
        for wallet, account in zip(wallets, (own, other), strict=True):
            row = wallet.import_balance(account, Decimal(10))
        if "network" in name:
            row, _ = coins[1].network_transaction_model.get_or_create_deposit(session, "ab" * 32)
        assert own.id == other.id
        session.flush()
        with pytest.raises(LedgerError, match="btc"):
            CALLS[name](wallets[0], own, other, row)
        session.rollback()

    bank.run(work)

    assert bank.dump() == before


def test_house_gives_no_more_than_it_has(till: Till) -> None:
    house, user = till.accounts("140", "0")

    with pytest.raises(NotEnoughAccountBalance) as refused:
        till.do("shop", lambda wallet: wallet.send_internal(house, user, Decimal(620_000), "promotion"))

    assert isinstance(refused.value, NotEnoughWalletBalance)  # what code for 0.2 may catch
    assert (refused.value.needed, refused.value.available) == (620_000, 140)
    assert (till.balance(house), till.balance(user)) == (140, 0)


class SecondPerson:
    """An application's rule: more than a tenth of all assets needs somebody else."""

    @hookimpl
    def cryptoassets_approve_withdrawal(self, session: Any, wallet: Any, amount: Decimal) -> None:
        session.flush()
        if amount > (wallet.balance + amount) / 10:
            raise WithdrawalRefused("more than a tenth of all assets needs a second person")


def test_rule_may_know_what_share_of_all_assets_a_withdrawal_is(books_url: str) -> None:
    app = CryptoAssetsApp(plugins=[SecondPerson()])
    Configurator(app).load_from_dict({"database": {"url": books_url}, "coins": {"btc": {"network": "regtest"}}})
    app.setup_session()
    till = Till(app)
    a, _ = till.accounts("60", "40")

    till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal(10), None))
    with pytest.raises(WithdrawalRefused, match="second person"):
        till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal("9.00000001"), None))

    assert (till.balance(a), till.audit()) == (50, [])
    app.close()
