"""How money was lost elsewhere, by the number of the loss: what no other test of this directory is about."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World, outside
from commands import eventually
from kit import txid as made_up
from sqlalchemy import insert

from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, WalletTransaction
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.service import notifyqueue
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.service.notifyqueue import BATCH, CAPACITY, NotifyQueue

#: The least that the network relays to an old kind of address, whole coins.
DUST = Decimal("0.00000546")


def bulk_addresses(world: World, account: int, numbers: range) -> list[str]:
    """Enter addresses of an account in one statement; no network knows them."""
    made = [outside(number) for number in numbers]
    rows = [{"address": address, "account_id": account} for address in made]
    world.run(lambda session: session.execute(insert(world.tables.address), rows))
    return made


def told_of(world: World, transactions: Sequence[WalletTransaction]) -> TransactionUpdater:
    """Return an updater whose node has these transactions, as deep in the chain as they say."""

    def tell(name: str, answer: Any) -> Any:
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
