"""Withdrawals: reserved at once, sent or refunded once, and never both."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from kit import PaperBackend, Till, address, open_till, seen
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cryptoassets_core.errors import (
    BadAddress,
    InvalidAmountError,
    LedgerError,
    NotEnoughAccountBalance,
    WithdrawalRefused,
)
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.withdrawal import mark_broadcasted
from cryptoassets_core.models import GenericWallet


def test_withdrawal_is_reserved_at_once(till: Till) -> None:
    a = till.account("a", "1")

    id_ = till.withdraw(a, "0.4")

    row = till.row(id_)
    assert till.balance(a) == Decimal("0.6")
    assert (row.kind, row.state) == (TransactionKind.WITHDRAWAL, TransactionState.PENDING)
    assert (row.sending_account_id, row.sending_entry, row.sending_balance_after) == (a, 2, Decimal("0.6"))
    assert (row.receiving_account_id, row.network_transaction_id, row.credited_at) == (None, None, None)
    assert till.audit() == []


@pytest.mark.parametrize(
    ("amount", "to", "error", "sentence"),
    [
        ("1.00000001", "payee", NotEnoughAccountBalance, "account 1 has 1.00000000 BTC, 1.00000001 BTC needed"),
        ("0.00000545", "payee", InvalidAmountError, "0.00000545 BTC is too little to send over the network"),
        ("0.1", None, BadAddress, "is no"),
    ],
    ids=["balance", "dust", "address"],
)
def test_refused_withdrawal_leaves_no_trace_though_the_caller_goes_on(
    till: Till, amount: str, to: str | None, error: type[Exception], sentence: str
) -> None:
    till.account("a", "1")
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        payee = address(to) if to else "nowhere"
        with pytest.raises(error) as refusal:
            wallet.send_external(1, payee, Decimal(amount), None)
        if to:
            assert str(refusal.value).startswith(sentence)

    till.do("shop", work)

    assert till.dump() == before


class HouseRules:
    """An application's own rules."""

    @hookimpl
    def cryptoassets_approve_withdrawal(self, session: Session, wallet: Any, account: Any, amount: Decimal) -> None:
        # After the reservation, so a limit adds up all there is, this one included.
        transaction = wallet.sibling("transaction")
        pending = session.scalar(
            select(func.count()).where(
                transaction.kind == TransactionKind.WITHDRAWAL, transaction.wallet_id == wallet.id
            )
        )
        if pending is not None and pending > 1:
            raise WithdrawalRefused(f"account {account.id} may withdraw once, not {pending} times")
        if amount == Decimal("0.666"):
            raise ZeroDivisionError("the rule is broken")


def test_withdrawal_that_a_rule_refuses_is_undone_though_the_caller_goes_on(books_url: str) -> None:
    with open_till(books_url, plugins=[HouseRules()]) as till:
        a, b = till.accounts("1", "0")
        first = till.withdraw(a, "0.1", "first")
        before = till.dump()

        def work(wallet: GenericWallet) -> int:
            account = wallet.session().get_one(till.coin.account_model, a)
            with pytest.raises(WithdrawalRefused, match=f"account {a} may withdraw once, not 2 times"):
                wallet.send_external(account, address("second"), Decimal("0.1"), None, idempotency_key="again")
            assert account.balance == Decimal("0.9")
            # The session is as good as before.
            return wallet.send_internal(account, b, Decimal("0.9"), None, idempotency_key="again").id

        moved = till.do("shop", work)

        after = till.dump()
        assert after["btc_address"] == before["btc_address"]
        assert [row.id for row in till.rows()] == [*(1,), first, moved]
        assert (till.balance(a), till.balance(b)) == (0, Decimal("0.9"))
        assert till.audit() == []


def test_withdrawal_is_refused_when_a_rule_breaks(books_url: str) -> None:
    with open_till(books_url, plugins=[HouseRules()]) as till:
        a = till.account("a", "1")
        before = till.dump()

        with pytest.raises(WithdrawalRefused, match="a rule failed to decide"):
            till.withdraw(a, "0.666")

        assert till.dump() == before


def test_number_of_an_undone_payee_may_come_again(books_url: str) -> None:
    """SQLite gives a number away again when its row is undone; no loaded object may answer for it."""
    with open_till(books_url, plugins=[HouseRules()]) as till:
        a = till.account("a", "1")

        def work(wallet: GenericWallet) -> None:
            with pytest.raises(WithdrawalRefused):
                wallet.send_external(a, address("refused"), Decimal("0.666"), "refused")
            paid = wallet.send_external(a, address("paid"), Decimal("0.1"), "paid")
            assert (paid.address.address, paid.label) == (address("paid"), "paid")

        till.do("shop", work)


# --- What is paid -------------------------------------------------------------------------------------------


def test_wallets_that_share_names_broadcast_only_their_own(till: Till) -> None:
    mine, theirs = till.account("a", "1"), till.account("a", "1", wallet="other")
    till.withdraw(mine, "0.1", "mine")
    till.do("other", lambda wallet: wallet.send_external(theirs, address("theirs"), Decimal("0.2"), None))
    backend = PaperBackend()

    till.broadcaster(backend, wallet="other").do_broadcasts()

    assert backend.prepared == [{address("theirs"): Decimal("0.2")}]
    fee = till.do("other", lambda wallet: wallet.get_or_create_network_fee_account().id)
    assert till.balance(fee) == -backend.fee
    assert till.do("shop", lambda wallet: wallet.balance) == Decimal("0.9")
    assert till.audit() == []


def test_payments_to_one_address_are_merged_and_all_marked(till: Till) -> None:
    a = till.account("a", "1")
    ids = [till.withdraw(a, "0.1"), till.withdraw(a, "0.2")]
    backend = PaperBackend()

    till.broadcaster(backend).do_broadcasts()

    assert backend.prepared == [{address("payee"): Decimal("0.3")}]
    assert {till.row(id_).state for id_ in ids} == {TransactionState.BROADCASTED}
    assert till.rows(kind=TransactionKind.NETWORK_FEE)[0].amount == backend.fee


def test_fee_is_charged_once_to_the_wallet_that_pays(till: Till) -> None:
    a = till.account("a", "1")
    till.withdraw(a, "0.1")
    till.broadcaster(PaperBackend()).do_broadcasts()
    network = till.coin.network_transaction_model
    before = till.dump()

    def charge(wallet: GenericWallet) -> None:
        broadcast = wallet.session().scalars(select(network)).one()
        with pytest.raises(
            LedgerError, match="booked already" if wallet.name == "shop" else "is no broadcast of wallet"
        ):
            wallet.charge_network_fees(broadcast, Decimal("0.00001"))
        for bad in (Decimal("-0.00001"), Decimal(0), Decimal("NaN"), 0.1):
            with pytest.raises(InvalidAmountError):
                wallet.charge_network_fees(broadcast, bad)

    till.do("shop", charge)
    till.wallet_id("other")
    till.do("other", charge)

    after = till.dump()
    assert {name: after[name] for name in ("btc_account", "btc_transaction")} == {
        name: before[name] for name in ("btc_account", "btc_transaction")
    }


def test_fee_that_the_chain_tells_takes_the_place_of_another_one(till: Till) -> None:
    """The wallet's owner can raise the fee of what is sent, and a reorganisation can bring the first one back."""
    till.withdraw(till.account("a", "1"), "0.1")
    till.broadcaster(PaperBackend(fee="0.00001")).do_broadcasts()
    network = till.books.network_transaction
    with till.engine.connect() as connection:
        sent = connection.execute(select(network)).one()

    for fee in ("0.00001", "0.00003", "0.00003", "0.00001"):
        now = seen("any", {}, 1)
        till.chain_says(replace(now, txid=sent.txid, fee=Decimal(fee)))
        booked = till.rows(kind=TransactionKind.NETWORK_FEE)
        refunds = till.rows(kind=TransactionKind.REFUND)
        assert (booked[-1].amount, booked[-1].sending_balance_after) == (Decimal(fee), -Decimal(fee))
        assert [row.amount for row in refunds] == [row.amount for row in booked[:-1]]
        assert till.audit() == []
    assert len(booked) == 3

    till.chain_says(replace(seen("any", {}, -1), txid=sent.txid, fee=Decimal(1)))
    assert till.rows(kind=TransactionKind.NETWORK_FEE) == booked


def test_acknowledged_withdrawal_is_not_broadcast_anew_by_a_second_word(till: Till) -> None:
    id_ = till.withdraw(till.account("a", "1"), "0.1")
    till.broadcaster(PaperBackend()).do_broadcasts()
    till.do("shop", lambda wallet: wallet.mark_transaction_processed(id_) and None)
    carrier = till.row(id_).network_transaction_id
    assert till.run(lambda session: mark_broadcasted(session, till.books, network_transaction_id=carrier)) == []
    assert till.row(id_).state == TransactionState.PROCESSED
