"""Deposits that the network takes back are reversed by rows of their own, once, and may come back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from kit import Till, address, seen
from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.errors import LedgerError
from cryptoassets_core.ledger.reversal import reverse_deposits
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def test_credited_deposit_that_the_network_takes_back_is_reversed_below_zero(till: Till) -> None:
    a, b = till.accounts("0", "0")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.7"), None))

    till.chain_says(seen("tx", {}, -1))
    till.chain_says(seen("tx", {}, -2))

    deposit, _, reversal = till.rows()
    assert till.balance(a) == Decimal("-0.7")
    assert deposit.state == TransactionState.REVERSED
    assert (reversal.kind, reversal.amount, reversal.sending_account_id) == (TransactionKind.REVERSAL, 1, a)
    assert (reversal.answers_id, reversal.sending_balance_after) == (deposit.id, Decimal("-0.7"))
    assert till.audit() == []


def test_deposit_is_reversed_once_however_often_that_is_asked_for(till: Till) -> None:
    a = till.account("a")
    till.chain_says(seen("tx", {till.receiving_address(a): "1"}, 3))
    (deposit,) = till.rows()

    for expected in (1, 0):
        reversals = till.run(lambda session: len(reverse_deposits(session, till.books, [deposit.id])))
        assert reversals == expected

    assert (till.balance(a), till.audit()) == (0, [])


def test_many_are_taken_back_at_once_each_by_a_row_of_its_own(till: Till) -> None:
    """Two of one transaction, several of one account, one that was not credited, one that spent what it got."""
    a, b, c = till.accounts("0", "0", "5")
    to_a, to_b = till.receiving_address(a, "of a"), till.receiving_address(b, "of b")
    till.chain_says(
        seen("one", {to_a: "1", to_b: "2"}, 3), seen("two", {to_a: "4"}, 3), seen("unconfirmed", {to_a: "8"}, 0)
    )
    till.do("shop", lambda wallet: wallet.send_internal(a, c, Decimal(3), None))
    dead = [seen(name, {}, -1) for name in ("two", "unconfirmed", "one")]

    def take_back(session: Session) -> tuple[Decimal, int, bool]:
        account = session.get_one(till.coin.account_model, a)
        apply_transactions(session, till.coin, dead)
        return account.balance, account.entries, account.overdrawn

    before = till.run(lambda session: session.get_one(till.coin.account_model, a).entries)
    assert till.run(take_back) == (-3, before + 2, True), "what is loaded is up to date"
    reversals = [row for row in till.rows() if row.kind == TransactionKind.REVERSAL]
    assert [(row.sending_account_id, row.amount, row.sending_balance_after) for row in reversals] == [
        (a, 1, 1),
        (b, 2, 0),
        (a, 4, -3),
    ]
    assert len({row.answers_id for row in reversals}) == 3
    assert [row.state for row in till.rows() if row.kind == TransactionKind.DEPOSIT] == ["reversed"] * 4
    with till.engine.connect() as connection:
        received = connection.execute(select(till.books.address.c.address, till.books.address.c.balance)).all()
    assert {balance for address_, balance in received if address_ in (to_a, to_b)} == {0}
    assert till.audit() == []


def test_uncredited_deposit_that_the_network_takes_back_moves_nothing(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 2))

    till.chain_says(seen("tx", {}, -1))

    assert [row.state for row in till.rows()] == [TransactionState.REVERSED]
    assert (till.balance(a), till.unconfirmed(a), till.audit()) == (0, 0, [])


def test_deposit_that_comes_back_is_credited_anew_by_a_row_that_points_at_the_old_one(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.chain_says(seen("tx", {}, -1))

    till.chain_says(seen("tx", {to: "1"}, 1))
    assert till.balance(a) == 0
    till.chain_says(seen("tx", {to: "1"}, 3))

    first, _reversal, again = till.rows()
    assert (again.kind, again.answers_id) == (TransactionKind.DEPOSIT, first.id)
    assert (till.balance(a), till.audit()) == (1, [])


def test_below_zero_account_cannot_pay_and_mends(till: Till) -> None:
    a, b = till.accounts("0", "5")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(1), None))
    till.chain_says(seen("tx", {}, -1))

    with pytest.raises(LedgerError):
        till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.00000001"), None))
    till.do("shop", lambda wallet: wallet.send_internal(b, a, Decimal("0.4"), None))
    with pytest.raises(LedgerError):
        till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal("0.1"), None))
    till.do("shop", lambda wallet: wallet.send_internal(b, a, Decimal("0.6"), None))

    overdrawn = till.run(lambda session: session.get_one(till.coin.account_model, a).overdrawn)
    assert (till.balance(a), overdrawn, till.audit()) == (0, False, [])
