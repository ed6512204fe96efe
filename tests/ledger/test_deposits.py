"""Deposits: seen, and credited once when deep enough; see test_deposits_taken_back for what comes after."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from kit import PaperBackend, Till, address, paused, seen, txid
from sqlalchemy import select

from cryptoassets_core.amounts import MAX_MINOR_UNITS
from cryptoassets_core.backend.chainrefusals import refused_deposits
from cryptoassets_core.errors import InvalidAmountError, LedgerError, UnknownRowError
from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.ledger.deposit import credit_deposits
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.models import GenericWallet


def test_deposit_is_credited_at_the_third_confirmation_and_once(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)

    for confirmations in (0, 1, 2):
        till.chain_says(seen("tx", {to: "1.5"}, confirmations))
        assert (till.balance(a), till.unconfirmed(a)) == (0, Decimal("1.5"))
    for confirmations in (3, 3, 4, 9, 16):
        till.chain_says(seen("tx", {to: "1.5"}, confirmations))
        assert (till.balance(a), till.unconfirmed(a)) == (Decimal("1.5"), 0)

    (row,) = till.rows()
    assert (row.kind, row.state, row.amount) == (TransactionKind.DEPOSIT, TransactionState.INCOMING, Decimal("1.5"))
    assert (row.receiving_entry, row.receiving_balance_after) == (1, Decimal("1.5"))
    assert row.credited_at is not None
    assert till.audit() == []


def test_deposit_acknowledged_early_is_credited_all_the_same(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 0))
    (row,) = till.rows()

    till.do("shop", lambda wallet: wallet.mark_transaction_processed(row.id))
    till.do("shop", lambda wallet: wallet.mark_transaction_processed(row.id))
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.chain_says(seen("tx", {to: "1"}, 7))

    assert till.balance(a) == 1
    assert till.row(row.id).state == TransactionState.PROCESSED
    assert till.run(lambda session: session.get_one(till.coin.transaction_model, row.id).confirmations) == 7
    assert till.audit() == []


def test_only_what_is_under_way_in_the_wallet_can_be_acknowledged(till: Till) -> None:
    a, b = till.accounts("1", "0")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 0))
    deposit = till.rows()[-1].id
    internal = till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.1"), None).id)
    pending = till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal("0.1"), None).id)
    till.wallet_id("other")
    before = till.dump()

    for wallet, id_, error in (
        ("shop", internal, LedgerError),
        ("shop", pending, LedgerError),
        ("shop", 4711, UnknownRowError),
        ("other", deposit, UnknownRowError),
    ):
        with pytest.raises(error):
            till.do(wallet, lambda wallet, id_=id_: wallet.mark_transaction_processed(id_))

    assert till.dump() == before


def test_deposit_is_credited_once_however_often_that_is_asked_for(till: Till) -> None:
    a = till.account("a")
    till.chain_says(seen("tx", {till.receiving_address(a): "1"}, 1))
    (deposit,) = till.rows()

    for expected in ({deposit.id}, set()):
        assert till.run(lambda session: credit_deposits(session, till.books, [deposit.id])).ids == expected

    assert (till.balance(a), till.audit()) == (1, [])


@pytest.mark.postgres
def test_deposit_that_two_credit_at_once_is_credited_by_one(postgres_till: Till) -> None:
    till = postgres_till
    a = till.account("a")
    till.chain_says(seen("tx", {till.receiving_address(a): "1"}, 1))
    (deposit,) = till.rows()
    credited: list[frozenset[int]] = []

    def credit() -> None:
        credited.append(
            till.app.conflict_resolver.run(
                lambda session: credit_deposits(session, till.books, [deposit.id]).ids,
                isolation_level="READ COMMITTED",
            )
        )

    rival = threading.Thread(target=credit)

    def let_the_rival_try() -> None:
        rival.start()
        rival.join(0.5)  # it waits for us; would it not, it were done by now

    with paused(till, "UPDATE btc_account", let_the_rival_try):
        credit()
    rival.join()

    assert sorted(credited, key=len) == [set(), {deposit.id}]
    assert (till.balance(a), till.audit()) == (1, [])


def test_amount_that_changes_between_reports_is_not_credited(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    a = till.account("a")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 0))

    till.chain_says(seen("tx", {to: "5"}, 3))

    assert (till.balance(a), [row.amount for row in till.rows()]) == (0, [1])
    assert "first reported as 1.00000000 and now as 5" in caplog.text


@pytest.mark.parametrize(
    "amounts",
    [["-1"], [str(Decimal(MAX_MINOR_UNITS + 1).scaleb(-8))], ["92233720368.54277039"] * 2],
    ids=["negative", "too large", "overflow"],
)
def test_amount_that_no_network_has_is_not_booked_and_stops_no_other(
    till: Till, caplog: pytest.LogCaptureFixture, amounts: list[str]
) -> None:
    """Two outputs whose sum overflows 64 bits were accepted by Bitcoin itself in 2010 (CVE-2010-5139)."""
    a, b = till.accounts("0", "0")
    bad, good = till.receiving_address(a, "bad"), till.receiving_address(b, "good")
    transaction = seen("odd", {bad: amounts[0], address("none"): "1"}, 3)
    outputs = [transaction.received[0].__class__(bad, Decimal(amount), n) for n, amount in enumerate(amounts)]
    odd = transaction.__class__(
        txid=transaction.txid, confirmations=3, block_hash=transaction.block_hash, received=tuple(outputs)
    )

    till.chain_says(odd, seen("tx", {good: "1"}, 3))

    assert (till.balance(a), till.balance(b)) == (0, 1)
    assert [row.receiving_account_id for row in till.rows()] == [b]
    assert txid("odd") in caplog.text
    assert till.audit() == []
    ((event, trouble),) = refusals(till)
    assert (event["txid"], event["address"], event["account"]) == (txid("odd"), bad, a)
    assert event["reason"] in trouble
    till.chain_says(replace(odd, confirmations=4))
    assert refusals(till) == [(event, trouble)]  # told once


def refusals(till: Till, event: str = "deposit_refused") -> list[tuple[dict[str, Any], str]]:
    """Return each such event, with what the status pages say of those there are now."""
    with till.engine.connect() as connection:
        events = connection.execute(select(event_table).where(event_table.c.name == event)).all()
    troubles = till.run(lambda session: refused_deposits(session, till.coin))
    return [(json.loads(told.data), trouble) for told, trouble in zip(events, troubles, strict=True)]


@pytest.mark.parametrize(("full", "digits"), [("account", 28), ("address", 28), ("address", 3)])
def test_deposit_that_has_no_room_waits_and_stops_no_other(till: Till, full: str, digits: int) -> None:
    """Also where the application's arithmetic would round the sum to something that fits."""
    most = Decimal(MAX_MINOR_UNITS).scaleb(-8)
    a, b, c = till.accounts(str(most - 1) if full == "account" else "0", "0", "0")
    to, other = till.receiving_address(a), till.receiving_address(b, "other")
    if full == "address":
        till.chain_says(seen("first", {to: most - 1}, 3))
        till.do("shop", lambda wallet: wallet.send_internal(a, c, most - 1, None))
    before = till.balance(a)

    with localcontext(Context(prec=digits)):
        till.chain_says(seen("fits", {to: "0.5"}, 3))
        till.chain_says(seen("too much", {to: "0.6"}, 3), seen("tx", {other: "1"}, 3))

    assert (till.balance(a) - before, till.balance(b)) == (Decimal("0.5"), 1)
    ((event, trouble),) = refusals(till, "deposit_disputed")
    assert (event["txid"], event["account"]) == (txid("too much"), a)
    assert f"{full} " in trouble
    assert event["reason"] in trouble
    assert till.audit() == []
    if full == "account":
        till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(1), None))
        till.chain_says(seen("too much", {to: "0.6"}, 4))
        assert till.balance(a) == most - 1 + Decimal("0.1")
        assert till.run(lambda session: refused_deposits(session, till.coin)) == []
        assert till.audit() == []


def test_wallet_deposit_that_has_no_room_is_refused(till: Till) -> None:
    most = Decimal(MAX_MINOR_UNITS).scaleb(-8)
    a = till.account("a", str(most))
    to = till.receiving_address(a)

    def work(wallet: GenericWallet) -> None:
        ntx, _ = till.coin.network_transaction_model.get_or_create_deposit(wallet.session(), txid("tx"))
        ntx.confirmations = 3
        wallet.session().flush()
        wallet.deposit(ntx, to, Decimal(1))

    with pytest.raises(InvalidAmountError, match=f"account {a} would hold more"):
        till.do("shop", work)

    assert till.balance(a) == most


def test_nothing_that_was_ever_ours_is_lost(till: Till) -> None:
    """An archived address, one that was a payee first, one paid often, twice in one block, and by two outputs."""
    a = till.account("a", "1")
    till.do("shop", lambda wallet: wallet.send_external(a, address("payee first"), Decimal("0.5"), None))
    first, archived = till.receiving_address(a, "payee first"), till.receiving_address(a, "archived")

    def archive(wallet: GenericWallet) -> None:
        wallet.session().scalars(select(till.coin.address_model).filter_by(address=archived)).one().archive()
        assert [entry.address for entry in wallet.get_receiving_addresses()] == [first]
        assert wallet.get_receiving_addresses(archived=True).count() == 2

    till.do("shop", archive)
    twice = seen("two outputs", {archived: "0.1", first: "0.2"}, 3)
    output = twice.received[0]
    twice = twice.__class__(
        txid=twice.txid,
        confirmations=3,
        block_hash=twice.block_hash,
        received=(*twice.received, output.__class__(archived, Decimal("0.3"), 9)),
    )

    till.chain_says(twice, *(seen(n, {first: "0.01"}, 3) for n in range(50)))
    till.chain_says(*(seen(n, {first: "0.01"}, 3) for n in range(50, 100)))

    assert till.balance(a) == Decimal("0.5") + Decimal("0.6") + 1
    balances = till.run(
        lambda session: {
            entry.address: (
                entry.balance,
                entry.get_received_transactions().count(),
                entry.get_balance_by_confirmations(3),
            )
            for entry in session.scalars(
                select(till.coin.address_model).where(till.coin.address_model.account_id.is_not(None))
            )
        }
    )
    assert balances == {
        first: (Decimal("1.2"), 101, Decimal("1.2")),
        archived: (Decimal("0.4"), 1, Decimal("0.4")),
    }
    assert till.audit() == []


def test_payment_to_ourselves_over_the_network_is_one_debit_and_one_credit(till: Till) -> None:
    a, b = till.accounts("1", "0")
    to = till.receiving_address(b)
    till.do("shop", lambda wallet: wallet.send(a, to, Decimal("0.3"), None, force_external=True))
    backend = PaperBackend()
    till.broadcaster(backend).do_broadcasts()
    paid = seen("x", {to: "0.3"}, 3)
    ours = paid.__class__(
        txid=backend.submitted[0], confirmations=3, block_hash=paid.block_hash, received=paid.received, fee=backend.fee
    )

    till.chain_says(ours)
    till.chain_says(ours)

    assert (till.balance(a), till.balance(b)) == (Decimal("0.7"), Decimal("0.3"))
    assert len(till.rows(kind=TransactionKind.NETWORK_FEE)) == 1
    assert till.do("shop", lambda wallet: wallet.balance) == 1 - backend.fee
    assert till.audit() == []


def test_block_reward_waits_for_maturity(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)

    till.chain_says(seen("reward", {to: "50"}, 99, coinbase=True))
    assert till.balance(a) == 0
    till.chain_says(seen("reward", {to: "50"}, 100, coinbase=True))

    assert till.balance(a) == 50


def test_what_matures_early_is_credited_and_shown_like_any_deposit_then(till: Till) -> None:
    """What leaves Litecoin's extension blocks can be spent after six blocks, and is told as immature before."""
    a = till.account("a")
    to = till.receiving_address(a)
    network = till.coin.network_transaction_model

    till.chain_says(seen("left an extension block", {to: "5"}, 6, coinbase=True))
    assert till.balance(a) == 0
    till.chain_says(seen("left an extension block", {to: "5"}, 7))

    assert till.balance(a) == 5
    assert till.run(lambda session: session.scalars(select(network)).one().can_be_confirmed())


def test_deposit_of_a_wallet_books_like_the_daemon(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a)
    network = till.coin.network_transaction_model

    def report(confirmations: int, amount: str = "2") -> tuple[bool, int]:
        def work(wallet: GenericWallet) -> tuple[bool, int]:
            carrier, _ = network.get_or_create_deposit(wallet.session(), txid("tx"))
            carrier.confirmations = confirmations
            account, deposit, credited = wallet.deposit(carrier, to, Decimal(amount))
            assert account.id == a
            assert (deposit.credited_at is not None) is credited
            return credited, deposit.id

        return till.do("shop", work)

    assert [report(n)[0] for n in (0, 2, 3, 4)] == [False, False, True, True]
    assert len({report(n)[1] for n in (5, 6)}) == 1
    with pytest.raises(LedgerError, match=r"was reported as 2\.00000000 before, now as 5"):
        report(5, "5")
    assert (till.balance(a), till.audit()) == (2, [])
