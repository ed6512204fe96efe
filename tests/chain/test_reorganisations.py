"""The network takes back: confirmations go down, credits are reversed, and what returns is credited again, once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from chain_world import World, outside


def test_reorganisation_takes_confirmations_back(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step(2)
    world.net.reorg(2)
    world.updater.poll()
    (deposit,) = world.rows()
    assert world.confirmations_told(deposit.id) == [(1, False), (2, False), (0, False)]
    world.step(3)
    assert world.balance() == 1
    assert world.confirmations_told(deposit.id)[3:] == [(1, False), (2, False), (3, True)]


def test_credit_stands_while_the_deposit_only_waits_again(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step(4)
    world.net.reorg(4)
    world.updater.poll()
    world.step(3)
    assert world.balance() == 1
    assert [row.kind for row in world.rows()] == ["deposit"]
    world.check()


def test_double_spent_credit_is_reversed_with_its_own_row_and_event(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(3)
    world.net.double_spend(txid)
    assert world.updater.poll() == 3
    deposit, reversal = world.rows()
    assert (deposit.state, reversal.kind, reversal.answers_id) == ("reversed", "reversal", deposit.id)
    assert (reversal.amount, reversal.sending_account_id) == (1, world.account())
    assert world.balance() == 0
    assert [len(world.events(name)) for name in ("deposit_reversed", "reorganisation")] == [1, 1]
    told = world.events("txupdate")[-1]
    assert (told["transaction"], told["state"], told["credited"]) == (deposit.id, "reversed", False)
    assert told["confirmations"] < 0
    assert world.step(3) == 0
    world.check()


def test_reversal_of_what_is_spent_takes_the_account_below_zero(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(3))
    world.step(3)
    world.withdraw(outside(1), "2")
    world.net.double_spend(txid)
    world.updater.poll()
    assert world.balance() == -2
    world.check()
    world.net.pay(world.address(), Decimal(5))
    world.step(3)
    assert world.balance() == 3
    world.check()


def test_double_spent_deposit_that_was_not_credited_leaves_no_movement(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(1)
    world.net.double_spend(txid)
    world.updater.poll()
    (deposit,) = world.rows()
    assert (deposit.state, deposit.credited_at, world.balance()) == ("reversed", None, 0)
    world.check()


def test_unconfirmed_deposit_that_was_replaced_is_never_credited(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.updater.handle_wallet_notify(txid)
    world.net.double_spend(txid)
    world.step(5)
    assert (world.rows()[0].state, world.balance()) == ("reversed", 0)


@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_deposit_that_comes_back_is_credited_again_once(world: World, blocks: int) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(3)
    for _ in range(2):
        stolen = world.net.double_spend(txid)
        world.step(blocks)
        assert world.updater.follow() == 0 if blocks else world.updater.poll() == 3
        assert world.balance() == 0
        # Miners take whom they like: now the victim, and not its rival.
        world.net.reorg(4 + blocks, drop=[stolen.rival])
        world.updater.poll()
        assert world.balance() == 0
        world.step(3)
        assert world.balance() == 1
        world.check()
    deposits, reversals = world.rows("deposit"), world.rows("reversal")
    assert [row.state for row in deposits] == ["reversed", "reversed", "incoming"]
    assert [row.answers_id for row in reversals] == [row.id for row in deposits[:2]]
    assert [row.answers_id for row in deposits] == [None, deposits[0].id, deposits[1].id]
    assert world.balance() == world.net.balance()


@pytest.mark.parametrize("depth", range(13, 19))
def test_no_depth_hides_a_double_spend(make_world: Callable[..., World], depth: int) -> None:
    """Around the depth to which confirmations are followed, two ways to find out must overlap."""
    world = make_world()
    txids = []
    for _ in range(depth + 3):
        txids.append(world.net.pay(world.address(), Decimal(1)))
        world.step()
    world.net.double_spend(txids[3])
    # Found by a process that was off meanwhile as well as by one that was not.
    world.updater.poll()
    states = [row.state for row in world.rows("deposit")]
    assert states[3] == "reversed"
    world.step(4)
    assert world.balance() == len(txids) - 1 == world.net.balance()
    world.check()


@pytest.mark.parametrize("depth", [20, 130])
def test_deep_reorganisation_is_found_after_downtime(world: World, depth: int) -> None:
    lost = [world.net.pay(world.address(), Decimal(1)), world.net.pay(world.address(), Decimal(2))]
    world.step(3)
    world.net.mine(depth - 3)
    world.updater.poll()
    kept = world.net.pay(world.address(), Decimal(4))
    world.step(3)
    world.net.double_spend(lost[1])
    later = world.reopened()
    later.updater.follow()
    later.step(4)
    assert world.balance() == 5 == world.net.balance()
    states = {row.amount: row.state for row in world.rows("deposit")}
    assert states == {Decimal(1): "incoming", Decimal(2): "reversed", Decimal(4): "incoming"}
    assert kept
    world.check()
    later.close()


def test_broadcast_that_leaves_the_chain_is_told_and_not_paid_again(world: World) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.broadcast()
    world.step(3)
    world.net.reorg(3)
    world.updater.poll()
    assert world.confirmations_told(withdrawal)[-1] == (0, False)
    assert world.broadcast().count == 0
    world.step(3)
    assert world.confirmations_told(withdrawal)[-1] == (3, True)
    assert world.paid(outside(1)) == [1]
    world.check()


def test_deposit_that_was_final_is_followed_again_once_it_left_its_block(world: World) -> None:
    """Nobody lists a deposit that is double-spent: what is not followed is not missed."""
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(16)
    assert (world.network_rows("deposit")[0].tracked, world.balance()) == (False, 1)
    world.net.reorg(16)
    world.updater.follow()
    assert (world.network_rows("deposit")[0].confirmations < 16, world.balance()) == (True, 1)
    world.net.double_spend(txid)
    world.step()
    assert world.balance() == 0
    world.check()
