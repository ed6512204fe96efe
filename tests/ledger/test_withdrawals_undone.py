"""Withdrawals that are cancelled, or fail: each is refunded once or paid once, and never both."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from kit import PaperBackend, Till, address, paused
from sqlalchemy import select

from cryptoassets_core.errors import (
    BackendUnavailableError,
    LedgerError,
    RecipientRejectedError,
    UnknownRowError,
)
from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.withdrawal import fail_withdrawal
from cryptoassets_core.models import GenericWallet


def cancel(till: Till, transaction_id: int) -> int:
    return till.do("shop", lambda wallet: wallet.cancel_withdrawal(transaction_id).id)


def test_cancelled_withdrawal_is_refunded_once_by_a_row_of_its_own(till: Till) -> None:
    a = till.account("a", "1")
    id_ = till.withdraw(a, "0.4")

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
    ids = [till.withdraw(a, amount) for amount in ("0.4", "0.1")]
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
    id_ = till.withdraw(a, "0.4")
    internal = till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.1"), None).id)
    before = till.dump()
    till.wallet_id("other")

    for wallet, transaction in (("other", id_), ("shop", internal), ("shop", 4711)):
        with pytest.raises(UnknownRowError, match=f"has no withdrawal {transaction}"):
            till.do(wallet, lambda wallet, transaction=transaction: wallet.cancel_withdrawal(transaction))

    assert till.dump()["btc_transaction"] == before["btc_transaction"]


def test_bundled_withdrawal_can_be_cancelled_and_is_not_paid(till: Till) -> None:
    a = till.account("a", "1")
    first, second = till.withdraw(a, "0.4", "first"), till.withdraw(a, "0.1", "second")
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
    first, _ = till.withdraw(a, "0.4", "first"), till.withdraw(a, "0.1", "second")
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
    id_ = till.withdraw(a, "0.4")
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
    cancelled, failed = till.withdraw(a, "0.1"), till.withdraw(a, "0.2")
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
    id_ = till.withdraw(a, "0.4")
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
    id_ = till.withdraw(a, "0.4")
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
    id_ = till.withdraw(a, "0.4")
    wallet, refunds = till.wallet_id(), []

    with paused(till, "UPDATE btc_transaction", lambda: refunds.append(till.teller.cancel_withdrawal(wallet, id_))):
        refunds.append(till.teller.cancel_withdrawal(wallet, id_))

    assert len(set(refunds)) == 1
    assert (till.balance(a), len(till.rows(kind=TransactionKind.REFUND))) == (1, 1)


def test_withdrawal_that_the_network_refuses_fails_alone_and_is_refunded(till: Till) -> None:
    a = till.account("a", "1")
    bad, good = till.withdraw(a, "0.4", "bad"), till.withdraw(a, "0.1", "good")

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
