"""How money was lost elsewhere, by the number of the loss: what no other test of this directory is about."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World, outside
from commands import eventually
from kit import txid as made_up
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, WalletTransaction
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.errors import LedgerError
from cryptoassets_core.ledger.deposit import credit_deposits
from cryptoassets_core.service import notifyqueue
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.service.notifyqueue import BATCH, CAPACITY, NotifyQueue
from cryptoassets_core.tools.reconcile import reconcile

#: The least that the network relays to an old kind of address, whole coins.
DUST = Decimal("0.00000546")


def bulk_addresses(world: World, account: int, numbers: range) -> list[str]:
    """Enter addresses of an account in one statement; no network knows them."""
    made = [outside(number) for number in numbers]
    rows = [{"address": address, "account_id": account} for address in made]
    world.run(lambda session: session.execute(insert(world.tables.address), rows))
    return made


def told_of(
    world: World, transactions: Sequence[WalletTransaction], *, balance: Decimal | None = None
) -> TransactionUpdater:
    """Return an updater whose node has these transactions, as deep in the chain as they say, and these coins."""

    def tell(name: str, answer: Any) -> Any:
        if name == "get_backend_balance":
            return balance
        return replace(answer, transactions=transactions) if name == "list_since" else answer

    return TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=tell), world.coin)  # type: ignore[arg-type]


def in_block(number: int, confirmations: int, *received: ReceivedOutput) -> WalletTransaction:
    return WalletTransaction(
        txid=made_up(number),
        confirmations=confirmations,
        block_hash=BlockHash("bb" * 32) if confirmations else None,
        received=received,
    )


# --- F08: fake notifications --------------------------------------------------------------------------------------


def test_f08_flood_of_made_up_notifications_costs_little_and_hides_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand and more at once: bounded memory, a bounded rate of questions, no credit, green health."""
    monkeypatch.setattr(notifyqueue, "PAUSE_SECONDS", 0.2)
    backend = Observed(world.backend)
    worker = CoinWorker(
        world.coin,
        backend,  # type: ignore[arg-type]
        world.app.conflict_resolver,
        walletnotify=None,
        on_events=lambda: None,
    )
    worker.poll()
    strangers = world.net.pay(world.backend.create_address("not-in-the-books"), Decimal(1))
    looked = threading.Event()

    def look_at(txids: Any) -> bool:
        looked.set()
        return worker.look_at(txids)

    queue = NotifyQueue("btc", look_at)
    queue.start()
    queue.put(strangers)
    for number in range(CAPACITY + 5000):
        queue.put(made_up(number))
    eventually(lambda: backend.calls["get_transactions"] >= 2)
    assert looked.is_set()
    asked = backend.calls["get_transactions"]
    queue.stop()
    assert queue.dropped >= 5000 - 10 * BATCH
    assert asked < 20
    assert (world.rows(), worker.health.problem) == ([], None)


def test_f08_replayed_notification_credits_once(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    for _ in range(4):
        for _ in range(5):
            world.updater.handle_wallet_notify(txid)
        world.step()
    assert world.balance() == 1
    world.check()


# --- F12: dust ------------------------------------------------------------------------------------------------------


def test_f12_thousands_of_dust_deposits_hold_nobody_up(world: World) -> None:
    """They are deposits like others, in few statements; nobody else waits, and nothing is lost in rounding."""
    attacked, other = world.account("attacked"), world.account("other")
    target, good = world.address(attacked), world.address(other)
    dust = [in_block(number, 3, ReceivedOutput(target, DUST, 0)) for number in range(5000)]
    with world.counting_statements() as statements:
        told_of(world, [*dust, in_block(5000, 3, ReceivedOutput(good, Decimal(1), 0))]).follow()
    assert (world.balance(attacked), world.balance(other)) == (5000 * DUST, 1)
    assert len(statements) <= 12 * 6  # at most 12 for each 1000 deposits
    world.check()


def test_f12_dust_below_the_minimum_is_recorded_told_once_and_never_credited(
    make_world: Callable[..., World],
) -> None:
    """Thousands are one event a chunk and a line of reconcile; nothing that runs again and again gets longer."""
    world = make_world(min_deposit="0.00001")
    attacked, other = world.account("attacked"), world.account("other")
    target, good = world.address(attacked), world.address(other)

    def at(confirmations: int) -> TransactionUpdater:
        dust = [in_block(number, confirmations, ReceivedOutput(target, DUST, 0)) for number in range(5000)]
        paid = in_block(5000, confirmations, ReceivedOutput(good, Decimal(1), 0))
        return told_of(world, [*dust, paid], balance=1 + 5000 * DUST)

    told = []
    for confirmations in (0, 3, 4):
        updater = at(confirmations)
        with world.counting_statements() as statements:
            told.append(updater.follow())
        assert len(statements) <= 12 * 6
    assert told == [3, 1, 1]  # two chunks of dust, and the good one each time
    assert [(each["deposits"], each["amount"]) for each in world.events("deposits_below_minimum")] == [
        (2500, f"{2500 * DUST:f}")
    ] * 2
    assert {each["account"] for each in world.events("txupdate")} == {other}
    assert (world.balance(attacked), world.balance(other)) == (0, 1)
    assert Counter((row.state, row.credited_at is None) for row in world.rows()) == {
        ("below_minimum", True): 5000,
        ("incoming", False): 1,
    }
    (index,) = [each for each in world.tables.transaction.indexes if str(each.name).endswith("_uncredited")]
    for condition in (
        world.coin.transaction_model.is_uncredited_deposit(),
        index.dialect_options["postgresql"]["where"],
        index.dialect_options["sqlite"]["where"],
    ):
        waiting = select(func.count(world.tables.transaction.c.id)).where(condition)
        assert world.run(lambda session, query=waiting: session.scalar(query)) == 0
    with world.app.open_readonly_session() as session:
        found = reconcile(session, world.coin, updater.backend)
    assert (found.balanced, found.accounts, found.below_minimum) == (True, 1, 5000 * DUST)
    world.check()


@pytest.mark.parametrize(
    ("outputs", "state", "balance"),
    [
        (["0.001"], "incoming", "0.001"),
        (["0.00099999"], "below_minimum", "0"),
        (["0.0005", "0.0005"], "incoming", "0.001"),
        (["0.0005", "0.00049999"], "below_minimum", "0"),
    ],
)
def test_f12_minimum_itself_is_credited_and_outputs_to_one_address_count_together(
    make_world: Callable[..., World], outputs: list[str], state: str, balance: str
) -> None:
    world = make_world(min_deposit="0.001")
    to = world.address()
    received = [ReceivedOutput(to, Decimal(each), vout) for vout, each in enumerate(outputs)]
    told_of(world, [in_block(1, 3, *received)]).follow()
    assert [(row.state, world.balance()) for row in world.rows()] == [(state, Decimal(balance))]
    world.check()


def test_f12_small_deposit_that_goes_and_comes_back_moves_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(min_deposit="0.01")
    txid = world.net.pay(world.address(), Decimal("0.001"))
    world.step(4)
    stolen = world.net.double_spend(txid)
    world.step(2)
    assert [row.state for row in world.rows()] == ["reversed"]
    world.net.reorg(7, drop=[stolen.rival])
    world.step(4)
    gone, back = world.rows()
    assert [gone.state, back.state, back.answers_id] == ["reversed", "below_minimum", gone.id]
    assert (world.balance(), world.events("txupdate"), world.events("deposit_reversed")) == (0, [], [])
    assert len(world.events("deposits_below_minimum")) == 2
    world.check()


def test_f12_changed_minimum_leaves_what_is_recorded(make_world: Callable[..., World]) -> None:
    world = make_world(min_deposit="0.01")
    world.net.pay(world.address(), Decimal("0.001"))
    world.step(1)
    lower = world.reopened()
    lower.net.pay(lower.address(), Decimal("0.002"))
    lower.step(1)
    higher = world.reopened(min_deposit="0.1")
    higher.step(4)
    lower.updater.rescan()
    assert [(row.amount, row.state) for row in world.rows()] == [
        (Decimal("0.001"), "below_minimum"),
        (Decimal("0.002"), "incoming"),
    ]
    assert world.balance() == Decimal("0.002")
    world.check()


def test_f12_no_way_credits_what_is_below_the_minimum(make_world: Callable[..., World]) -> None:
    """Not the ledger's own function, an application's acknowledgement or a backend of its own; nor the database."""
    world = make_world(min_deposit="0.01")
    to, unpaid = world.address(), world.address()
    world.net.pay(to, Decimal("0.001"))
    world.step(3)
    (row,) = world.rows()
    assert not world.run(lambda session: credit_deposits(session, world.tables, [row.id])).ids
    with pytest.raises(LedgerError, match="nothing to acknowledge"):
        world.acknowledge(row.id)

    def book(session: Session) -> bool:
        carrier = session.get_one(world.coin.network_transaction_model, row.network_transaction_id)
        wallet = session.get_one(world.coin.wallet_model, row.wallet_id)
        return any(wallet.deposit(carrier, address, Decimal("0.001"))[2] for address in (to, unpaid))

    assert not world.run(book)
    table = world.tables.transaction
    with pytest.raises(DBAPIError, match="is a journal"):
        world.run(lambda session: session.execute(update(table).values(state="incoming")))
    assert ([each.state for each in world.rows()], world.balance()) == (["below_minimum"] * 2, 0)


# --- F17: one txid in two blocks -----------------------------------------------------------------------------------


def test_f17_txid_in_two_blocks_is_one_deposit(world: World) -> None:
    """Before BIP30 two block rewards could have the same txid; after a reorganisation any transaction has another."""
    address = world.address()
    txid = world.net.pay(address, Decimal(1))
    world.step(3)

    def lie(name: str, answer: Any) -> Any:
        if name != "list_since":
            return answer
        twins = [replace(each, block_hash="ee" * 32, confirmations=1) for each in answer.transactions]
        return replace(answer, transactions=[*answer.transactions, *twins])

    lying = TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=lie), world.coin)  # type: ignore[arg-type]
    for _ in range(4):
        world.net.mine()
        lying.poll()
    (deposit,) = world.rows()
    assert (world.balance(), world.network_rows()[0].txid) == (1, txid)
    world.net.reorg(7)
    world.step(4)
    assert [row.id for row in world.rows()] == [deposit.id]
    assert world.balance() == 1
    world.check()


# --- F19: one transaction with thousands of outputs --------------------------------------------------------------


def test_f19_three_thousand_outputs_are_all_credited_in_few_statements(world: World) -> None:
    accounts = [world.account(f"customer {number}") for number in range(3)]
    addresses = [
        address
        for number, account in enumerate(accounts)
        for address in bulk_addresses(world, account, range(500 * number, 500 * number + 500))
    ]
    payees = [*addresses, outside(5000), *addresses]  # each of them twice, and somebody else
    outputs = [ReceivedOutput(address, Decimal("0.001"), vout) for vout, address in enumerate(payees)]
    counts = []
    for confirmations in range(4):
        updater = told_of(world, [in_block(1, confirmations, *outputs)])
        with world.counting_statements() as statements:
            told = updater.follow()
        counts.append((told, len(statements)))
    assert [told for told, _ in counts] == [1500] * 4
    assert max(number for _, number in counts) < 40
    assert [world.balance(account) for account in accounts] == [1] * 3
    assert {row.network_transaction_id for row in world.rows()} == {world.network_rows()[0].id}
    world.check()


# --- F35: what is below the smallest unit is not rounded ---------------------------------------------------------


def test_f35_amount_below_the_smallest_unit_is_refused_and_never_rounded(world: World) -> None:
    address = world.address()
    world.net.pay(address, Decimal(1))

    def lie(name: str, answer: Any) -> Any:
        if name != "list_since":
            return answer
        tiny = (ReceivedOutput(address, Decimal("0.000000001"), 0),)
        return replace(answer, transactions=[replace(each, received=tiny) for each in answer.transactions])

    lying = TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=lie), world.coin)  # type: ignore[arg-type]
    world.net.mine(4)
    lying.poll()
    assert (world.rows(), world.balance()) == ([], 0)
