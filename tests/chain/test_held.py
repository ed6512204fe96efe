"""The withdrawals of an account below zero are held, those of others go, until it is made up for."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World, outside
from one_shot import OneShotSimnet
from test_broadcasts_command import Operator


def reverse_first_deposit(world: World) -> None:
    """Double-spend the oldest deposit; the hot wallet has other coins to pay from."""
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.updater.follow()


def overdrawn(world: World) -> tuple[int, int]:
    """Let alice have asked for 3 of 5 coins that were taken back; return her account and her withdrawal."""
    alice = world.funded("5")
    withdrawal = world.withdraw(outside(1), "3", alice)
    reverse_first_deposit(world)
    world.net.fund(Decimal(50))
    assert world.balance(alice) == -3
    return alice, withdrawal


@pytest.mark.parametrize("way", [lambda world: world.backend, OneShotSimnet], ids=["two-step", "one-shot"])
def test_withdrawals_are_held_until_the_account_is_made_up_for(world: World, way: Callable[[World], Any]) -> None:
    alice, held = overdrawn(world)
    other = world.withdraw(outside(2), "1", world.funded("2", world.account("bob")))
    assert world.broadcast(backend=way(world)).count == 1
    assert (world.row(held).state, world.row(other).state) == ("pending", "broadcasted")
    assert world.row(held).network_transaction_id is None
    assert world.broadcast(backend=way(world)).count == 0
    world.funded("2", alice)
    assert world.broadcast(backend=way(world)).count == 0
    world.funded("1", alice)
    assert world.balance(alice) == 0
    assert world.broadcast(backend=way(world)).count == 1
    assert (world.row(held).state, world.paid(outside(1))) == ("broadcasted", [3])
    world.check()


def test_withdrawal_that_was_bundled_and_waits_is_held_too(world: World) -> None:
    alice = world.funded("5")
    held = world.withdraw(outside(1), "3", alice)
    other = world.withdraw(outside(2), "1", world.funded("2", world.account("bob")))
    world.net.fault("prepare", "refuse")
    assert world.broadcast().count == 0
    reverse_first_deposit(world)
    world.step(3)  # what is left pays the other one only
    assert world.broadcast().count == 1
    assert (world.row(held).state, world.row(other).state) == ("pending", "broadcasted")
    assert world.paid(outside(1)) == []
    world.check()


@pytest.mark.parametrize("way", ["two-step", "one-shot"])
def test_withdrawal_whose_deposit_is_reversed_while_it_is_prepared_is_held(world: World, way: str) -> None:
    world.net.fund(Decimal(50))
    world.withdraw(outside(1), "3", world.funded("5"))
    reverse_once = [True]

    def meanwhile(statement: str) -> None:
        if statement == "prepare" and reverse_once:
            reverse_once.clear()
            reverse_first_deposit(world)

    if way == "two-step":
        world.broadcast(backend=Observed(world.backend, before=meanwhile))
    else:
        broadcaster = world.broadcaster(backend=OneShotSimnet(world))
        assert broadcaster.collect_for_broadcast() == 1
        reverse_first_deposit(world)
        broadcaster.send_broadcasts()
        broadcaster.do_broadcasts()
    assert world.balance() == -3
    assert (world.rows("withdrawal")[0].state, world.paid(outside(1))) == ("pending", [])
    world.check()


def test_withdrawal_that_is_signed_stays_with_what_carries_it(world: World) -> None:
    """What is on the network, or may be, cannot be held any more: put back in the queue it would be paid again."""
    world.net.fund(Decimal(50))
    alice = world.funded("5")
    signed = world.withdraw(outside(1), "3", alice)
    world.net.fault("submit", "refuse")
    assert world.broadcast().count == 0
    reverse_first_deposit(world)
    assert world.balance(alice) == -3
    carrier = world.network_rows("broadcast")[0].id
    assert world.broadcast().count == 1
    world.funded("3", alice)
    assert world.broadcast().count == 0
    assert (world.row(signed).network_transaction_id, world.paid(outside(1))) == (carrier, [3])
    world.check()


def test_what_is_held_is_shown(world: World) -> None:
    overdrawn(world)
    operator = Operator(world)
    assert operator.read("list") == [{"coin": "btc", "held_withdrawals": 1, "amount": "3.00000000"}]
    assert "Held, because their accounts are below zero: 1 btc withdrawals" in operator.run("list").stdout


def test_size_of_a_batch_is_configured(make_world: Callable[..., World]) -> None:
    world = make_world(max_withdrawals_per_broadcast=2)
    world.funded("10", coins=3)
    for number in range(5):
        world.withdraw(outside(number), "1")
    assert world.broadcast().count == 3
    batches = [broadcast.id for broadcast in world.network_rows("broadcast")]
    carriers = [row.network_transaction_id for row in world.rows("withdrawal")]
    assert carriers == [batches[0]] * 2 + [batches[1]] * 2 + [batches[2]]
