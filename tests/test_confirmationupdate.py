"""Confirmation counts under the manual's names: what is open, and what an update costs."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chain_world import Observed, World, outside

from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.errors import BackendUnavailableError
from cryptoassets_core.tools.confirmationupdate import get_open_network_transactions, update_confirmations


@pytest.fixture
def world(books_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(books_url, tmp_path)
    yield made
    made.close()


def listed_open(world: World, threshold: int = 15) -> list[tuple[str, str]]:
    def work(session: Any) -> list[tuple[str, str]]:
        found = get_open_network_transactions(session, world.coin.network_transaction_model, threshold)
        return [(kind.value, txid) for kind, txid in found]

    return world.run(work)


def watched(world: World) -> tuple[TransactionUpdater, Observed]:
    backend: Any = Observed(world.backend)
    return TransactionUpdater(world.app.conflict_resolver, backend, world.coin), backend


def test_transaction_is_open_until_it_has_the_confirmations(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.updater.follow()
    seen = [listed_open(world, 3)]
    for _ in range(3):
        world.step()
        seen.append(listed_open(world, 3))
    assert seen == [[("deposit", txid)]] * 3 + [[]]


def test_payment_to_ourselves_is_open_in_both_directions(world: World) -> None:
    world.funded("2")
    world.withdraw(world.address(world.account("bob")), "0.5", force_external=True)
    world.broadcast()
    (sent,) = world.network_rows("broadcast")
    world.updater.handle_wallet_notify(sent.txid)
    assert listed_open(world, 1) == [("broadcast", sent.txid), ("deposit", sent.txid)]


def test_broadcast_that_the_network_does_not_know_is_not_open(world: World) -> None:
    def refuse(name: str) -> None:
        if name == "submit":
            raise BackendUnavailableError("the node went away")

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Observed(world.backend, before=refuse))
    assert listed_open(world, 1) == []


def test_deposit_in_conflict_is_open_because_it_may_come_back(world: World) -> None:
    world.funded("1")
    (deposit,) = world.network_rows("deposit")
    world.net.double_spend(deposit.txid)
    world.updater.follow()
    assert listed_open(world, 1) == [("deposit", deposit.txid)]


def test_update_writes_an_event_for_each_open_transaction_that_changed(world: World) -> None:
    deposits = [world.net.pay(world.address(), Decimal(1)) for _ in range(3)]
    world.updater.follow()
    world.net.mine(3)
    assert update_confirmations(world.updater, 15) == len(deposits)
    assert update_confirmations(world.updater, 15) == 0
    assert world.balance() == 3


def test_nothing_open_asks_nobody(world: World) -> None:
    world.funded("1")
    updater, backend = watched(world)
    assert update_confirmations(updater, 3) == 0
    assert not backend.calls


def test_number_of_calls_does_not_grow_with_what_is_open(world: World) -> None:
    calls = []
    for more in (1, 30):
        for _ in range(more):
            world.net.pay(world.address(), Decimal(1))
        world.updater.follow()
        world.net.mine()
        updater, backend = watched(world)
        assert update_confirmations(updater, 15) >= more
        calls.append(dict(backend.calls))
    assert calls[0] == calls[1]


def test_backend_that_is_down_leaves_everything_open(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.updater.follow()
    world.net.set_down(True)
    with pytest.raises(BackendUnavailableError):
        update_confirmations(world.updater, 15)
    assert listed_open(world) == [("deposit", txid)]
