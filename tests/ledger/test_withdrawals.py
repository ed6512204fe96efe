"""Withdrawals: reserved at once, sent or refunded once, and never both."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from kit import PaperBackend, Till, address, open_till, paused
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cryptoassets_core.errors import (
    BackendUnavailableError,
    BadAddress,
    InvalidAmountError,
    LedgerError,
    NotEnoughAccountBalance,
    RecipientRejectedError,
    UnknownRowError,
    WithdrawalRefused,
)
from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.withdrawal import fail_withdrawal
from cryptoassets_core.models import GenericWallet


def withdraw(till: Till, account: int, amount: str, to: object = "payee") -> int:
    return till.do("shop", lambda wallet: wallet.send_external(account, address(to), Decimal(amount), None).id)


def cancel(till: Till, transaction_id: int) -> int:
    return till.do("shop", lambda wallet: wallet.cancel_withdrawal(transaction_id).id)


def test_withdrawal_is_reserved_at_once(till: Till) -> None:
    a = till.account("a", "1")

    id_ = withdraw(till, a, "0.4")

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
        first = withdraw(till, a, "0.1", "first")
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
            withdraw(till, a, "0.666")

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


# --- Cancelling and failing ---------------------------------------------------------------------------------


def test_cancelled_withdrawal_is_refunded_once_by_a_row_of_its_own(till: Till) -> None:
    a = till.account("a", "1")
    id_ = withdraw(till, a, "0.4")

    def work(wallet: GenericWallet) -> int:
        account, withdrawal = wallet.session().get_one(till.coin.account_model, a), till.coin.transaction_model
        loaded = wallet.session().get_one(withdrawal, id_)
        refund = wallet.cancel_withdrawal(loaded, "changed their mind")
        assert (loaded.state, account.balance) == (TransactionState.CANCELLED, 1)
        assert wallet.cancel_withdrawal(id_) is refund
        return int(refund.id)

    refund = till.row(till.do("shop", work))

    assert (refund.kind, refund.amount, refund.receiving_account_id) == (TransactionKind.REFUND, Decimal("0.4"), a)
    assert (refund.answers_id, refund.label, refund.receiving_balance_after) == (id_, "changed their mind", 1)
    assert cancel(till, id_) == refund.id
    assert till.teller.cancel_withdrawal(till.wallet_id(), id_) == refund.id
    assert len(till.rows()) == 3
    assert till.audit() == []


def test_cancelling_is_told_once_with_the_commit(till: Till) -> None:
    a = till.account("a", "1")
    ids = [withdraw(till, a, amount) for amount in ("0.4", "0.1")]
    refund = cancel(till, ids[0])
    cancel(till, ids[0])
    till.teller.cancel_withdrawal(till.wallet_id(), ids[1], reason="out of stock")
    till.teller.cancel_withdrawal(till.wallet_id(), ids[1])

    with till.engine.connect() as connection:
        told = [
            (row.name, row.subject, json.loads(row.data))
            for row in connection.execute(select(event_table).order_by(event_table.c.id))
        ]

    first = {"coin_name": "btc", "transaction": ids[0], "refund": refund, "account": a}
    assert told[0] == (
        "withdrawal_cancelled",
        f"btc:{ids[0]}",
        {**first, "amount": "0.40000000", "reason": "cancelled"},
    )
    assert [(name, data["transaction"], data["reason"]) for name, _, data in told[1:]] == [
        ("withdrawal_cancelled", ids[1], "out of stock")
    ]


def test_only_withdrawals_of_the_wallet_can_be_cancelled(till: Till) -> None:
    a, b = till.accounts("1", "0")
    id_ = withdraw(till, a, "0.4")
    internal = till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.1"), None).id)
    before = till.dump()
    till.wallet_id("other")

    for wallet, transaction in (("other", id_), ("shop", internal), ("shop", 4711)):
        with pytest.raises(UnknownRowError, match=f"has no withdrawal {transaction}"):
            till.do(wallet, lambda wallet, transaction=transaction: wallet.cancel_withdrawal(transaction))

    assert till.dump()["btc_transaction"] == before["btc_transaction"]


def test_bundled_withdrawal_can_be_cancelled_and_is_not_paid(till: Till) -> None:
    a = till.account("a", "1")
    first, second = withdraw(till, a, "0.4", "first"), withdraw(till, a, "0.1", "second")
    backend = PaperBackend()
    broadcaster = till.broadcaster(backend)
    assert broadcaster.collect_for_broadcast() == 2

    cancel(till, first)
    broadcaster.send_broadcasts()

    assert backend.prepared == [{address("second"): Decimal("0.1")}]
    assert [till.row(id_).state for id_ in (first, second)] == ["cancelled", "broadcasted"]
    assert till.audit() == []


def test_withdrawal_cancelled_while_the_backend_signs_is_not_paid(till: Till) -> None:
    a = till.account("a", "1")
    first, _ = withdraw(till, a, "0.4", "first"), withdraw(till, a, "0.1", "second")
    backend = PaperBackend(before_return=lambda: cancel(till, first))
    broadcaster = till.broadcaster(backend)

    broadcaster.do_broadcasts()
    broadcaster.do_broadcasts()

    assert till.row(first).state == TransactionState.CANCELLED
    assert address("first") in backend.prepared[0]
    assert backend.prepared[-1] == {address("second"): Decimal("0.1")}
    assert len(backend.submitted) == 1
    assert till.audit() == []


@pytest.mark.parametrize("published", [False, True])
def test_signed_withdrawal_cannot_be_cancelled_nor_failed(till: Till, published: bool) -> None:
    a = till.account("a", "1")
    id_ = withdraw(till, a, "0.4")
    backend = PaperBackend()
    if not published:
        backend.submit_error = BackendUnavailableError("down")
    till.broadcaster(backend).do_broadcasts()
    before = till.dump()

    with pytest.raises(LedgerError, match=f"transaction {id_} cannot be refunded: it is signed"):
        cancel(till, id_)
    with pytest.raises(LedgerError, match="cannot be refunded"):
        till.teller.cancel_withdrawal(till.wallet_id(), id_)
    with pytest.raises(LedgerError, match="cannot be refunded"):
        till.run(lambda session: fail_withdrawal(session, till.books, transaction_id=id_, reason="no"))

    assert till.dump() == before


def test_withdrawal_that_ended_one_way_cannot_end_the_other_way(till: Till) -> None:
    a = till.account("a", "1")
    cancelled, failed = withdraw(till, a, "0.1"), withdraw(till, a, "0.2")
    cancel(till, cancelled)
    till.run(lambda session: fail_withdrawal(session, till.books, transaction_id=failed, reason="no"))
    before = till.dump()

    with pytest.raises(LedgerError, match=f"transaction {cancelled} cannot be refunded: it is cancelled, not pending"):
        till.run(lambda session: fail_withdrawal(session, till.books, transaction_id=cancelled, reason="no"))
    with pytest.raises(LedgerError, match=f"transaction {failed} cannot be refunded: it is failed, not pending"):
        cancel(till, failed)

    assert till.dump() == before


@pytest.mark.postgres
def test_withdrawal_signed_while_its_cancellation_looks_at_it_is_not_refunded(postgres_till: Till) -> None:
    """At READ COMMITTED a cancellation sees, from statement to statement, what a broadcaster has done meanwhile."""
    till = postgres_till
    a = till.account("a", "1")
    id_ = withdraw(till, a, "0.4")
    backend = PaperBackend()
    backend.submit_error = BackendUnavailableError("down")
    broadcaster = till.broadcaster(backend)

    with (
        paused(till, "UPDATE btc_transaction", broadcaster.do_broadcasts),
        pytest.raises(LedgerError, match="it is signed"),
    ):
        till.teller.cancel_withdrawal(till.wallet_id(), id_)

    assert till.row(id_).state == TransactionState.PENDING
    assert till.rows(kind=TransactionKind.REFUND) == []


@pytest.mark.postgres
def test_withdrawal_bundled_while_its_cancellation_looks_at_it_is_refunded_and_not_paid(postgres_till: Till) -> None:
    till = postgres_till
    a = till.account("a", "1")
    id_ = withdraw(till, a, "0.4")
    backend = PaperBackend()
    broadcaster = till.broadcaster(backend)

    with paused(till, "UPDATE btc_transaction", broadcaster.collect_for_broadcast):
        till.teller.cancel_withdrawal(till.wallet_id(), id_)
    broadcaster.do_broadcasts()

    assert till.row(id_).state == TransactionState.CANCELLED
    assert (backend.submitted, till.balance(a), till.audit()) == ([], 1, [])


@pytest.mark.postgres
def test_two_cancellations_at_once_give_one_refund(postgres_till: Till) -> None:
    till = postgres_till
    a = till.account("a", "1")
    id_ = withdraw(till, a, "0.4")
    wallet, refunds = till.wallet_id(), []

    with paused(till, "UPDATE btc_transaction", lambda: refunds.append(till.teller.cancel_withdrawal(wallet, id_))):
        refunds.append(till.teller.cancel_withdrawal(wallet, id_))

    assert len(set(refunds)) == 1
    assert (till.balance(a), len(till.rows(kind=TransactionKind.REFUND))) == (1, 1)


def test_withdrawal_that_the_network_refuses_fails_alone_and_is_refunded(till: Till) -> None:
    a = till.account("a", "1")
    bad, good = withdraw(till, a, "0.4", "bad"), withdraw(till, a, "0.1", "good")

    class Picky(PaperBackend):
        def prepare(self, recipients: Any) -> Any:
            if address("bad") in recipients:
                raise RecipientRejectedError("the network refuses it", address=address("bad"))
            return super().prepare(recipients)

    broadcaster = till.broadcaster(Picky())
    broadcaster.do_broadcasts()
    broadcaster.do_broadcasts()

    assert [till.row(id_).state for id_ in (bad, good)] == ["failed", "broadcasted"]
    assert till.balance(a) == Decimal("0.9")
    (refund,) = till.rows(kind=TransactionKind.REFUND)
    assert (refund.answers_id, refund.amount) == (bad, Decimal("0.4"))
    with pytest.raises(LedgerError):
        till.run(lambda session: fail_withdrawal(session, till.books, transaction_id=bad, reason="again"))
    with pytest.raises(LedgerError):
        cancel(till, bad)
    assert till.audit() == []


# --- What is paid -------------------------------------------------------------------------------------------


def test_wallets_that_share_names_broadcast_only_their_own(till: Till) -> None:
    mine, theirs = till.account("a", "1"), till.account("a", "1", wallet="other")
    withdraw(till, mine, "0.1", "mine")
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
    ids = [withdraw(till, a, "0.1"), withdraw(till, a, "0.2")]
    backend = PaperBackend()

    till.broadcaster(backend).do_broadcasts()

    assert backend.prepared == [{address("payee"): Decimal("0.3")}]
    assert {till.row(id_).state for id_ in ids} == {TransactionState.BROADCASTED}
    assert till.rows(kind=TransactionKind.NETWORK_FEE)[0].amount == backend.fee


def test_fee_is_charged_once_to_the_wallet_that_pays(till: Till) -> None:
    a = till.account("a", "1")
    withdraw(till, a, "0.1")
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
