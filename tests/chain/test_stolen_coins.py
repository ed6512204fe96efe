"""Somebody else spends the coins of a signed withdrawal before it is published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside, stolen

from cryptoassets_core.errors import BackendUnavailableError, BroadcastDeadError
from cryptoassets_core.tools.broadcastagain import submit_again


def again(world: World) -> int:
    world.now += timedelta(minutes=11)
    return submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)


def test_withdrawal_whose_coins_are_stolen_is_paid_anew_once_that_is_final(world: World) -> None:
    stolen(world)
    (dead,) = world.network_rows("broadcast")
    world.broadcast()
    # Unconfirmed it proves nothing: the withdrawal could be the one that gets into a block.
    assert world.network_rows("broadcast")[0].state == "prepared"
    for blocks in (1, 13):
        world.net.mine(blocks)
        world.updater.follow()
        assert (world.broadcast().count, again(world)) == (0, 0)
        (now,) = world.network_rows("broadcast")
        # What is not deep could be reorganised away.
        assert (now.state, world.withdrawal_states(), world.rows("refund")) == ("dead", ["broadcasted"], [])
        world.check()
    assert "14 blocks deep, and it is built anew at 15" in now.reason
    world.net.mine()
    again(world)
    world.broadcast()
    world.broadcast()
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]
    assert world.paid(outside(1)) == [2]
    assert not world.is_carried(dead.txid)
    assert [row.amount for row in world.rows("network_fee")] == [FEE, FEE]
    assert [(row.amount, row.network_transaction_id) for row in world.rows("refund")] == [(FEE, dead.id)]
    assert world.withdrawal_states() == ["broadcasted"]
    world.check()


def test_six_blocks_prove_it_at_the_earliest_however_few_a_coin_is_followed_for(
    make_world: Callable[..., World],
) -> None:
    world = make_world(confirmation_count=1, max_confirmation_count=1)
    stolen(world)
    for blocks in range(1, 6):
        world.net.mine()
        world.updater.follow()
        assert (blocks, world.broadcast().count, again(world)) == (blocks, 0, 0)
        assert (world.withdrawal_states(), world.paid(outside(1))) == (["broadcasted"], [])
    world.net.mine()
    again(world)
    world.broadcast()
    assert world.paid(outside(1)) == [2]
    world.check()


def test_theft_that_is_found_when_it_is_final_already_is_answered_at_once(world: World) -> None:
    stolen(world)
    world.net.mine(15)
    world.broadcast()
    world.broadcast()
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]
    assert world.paid(outside(1)) == [2]
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    assert len(world.events("broadcast_rebuilt")) == 1
    world.check()


def test_others_are_paid_from_other_coins_as_soon_as_the_thief_is_in_a_block(world: World) -> None:
    stolen(world)
    others = [world.withdraw(outside(number), "0.5") for number in (2, 3)]
    assert world.broadcast().count == 0
    world.net.mine()
    assert (world.broadcast().count, world.broadcast().count) == (0, 1)  # one round finds it, the next one goes on
    assert [world.row(each).state for each in others] == ["broadcasted"] * 2
    assert [world.paid(outside(number)) for number in (1, 2, 3)] == [[], [Decimal("0.5")], [Decimal("0.5")]]
    (told,) = world.events("broadcast_dead")
    assert (told["withdrawals"], told["amount"]) == (1, "2.00000000")
    assert "is built anew at 15" in told["reason"]
    world.check()


def test_theft_that_is_reorganised_away_lets_the_stored_transaction_go(world: World) -> None:
    rival = stolen(world)
    world.net.mine()
    world.broadcast()
    (dead,) = world.network_rows("broadcast")
    assert dead.state == "dead"
    world.net.reorg(1, drop=[rival.txid])
    world.updater.follow()
    assert again(world) == 1
    assert (world.broadcast().count, world.paid(outside(1))) == (0, [2])
    world.step(3)
    (now,) = world.network_rows("broadcast")
    assert (now.txid, now.raw, now.state, now.confirmations) == (dead.txid, dead.raw, "live", 3)
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    assert world.rows("refund") == []
    world.check()


@pytest.mark.parametrize("blocks", [1, 15], ids=["set aside", "dead for good"])
def test_coins_that_were_not_stolen_are_free_for_others(world: World, blocks: int) -> None:
    world.funded("5", coins=2)
    world.withdraw(outside(1), "7")
    world.net.fault("submit", "refuse")
    world.broadcast()
    assert len(world.locked()) == 2
    world.net.forget_locks()
    world.backend.submit(world.backend.prepare({outside(9): Decimal("4.9")}))  # which takes one of them
    world.net.mine(blocks)
    world.broadcast()
    assert (world.network_rows("broadcast")[0].state, world.locked()) == ("dead", set())
    world.check()


def dead_at(world: World, depth: int | None) -> Any:
    """Return the backend with a word for everything that is submitted: it is dead for so many blocks."""

    def dead(name: str) -> None:
        if name == "submit":
            raise BroadcastDeadError("its input was spent by another one", depth=depth)

    return Observed(world.backend, before=dead)


def test_thief_that_is_in_no_block_may_be_gone_in_a_moment(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast(backend=dead_at(world, 0))
    assert world.network_rows("broadcast")[0].state == "prepared"
    world.broadcast()
    assert world.paid(outside(1)) == [1]
    world.check()


def test_person_decides_where_the_backend_cannot_tell_how_deep_the_thief_is_and_others_go_on(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast(backend=dead_at(world, None))
    world.withdraw(outside(2), "1")
    assert world.broadcast().count == 1
    dead, _ = world.network_rows("broadcast")
    assert (dead.state, "so a person decides" in dead.reason) == ("dead", True)
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([], [1])
    world.check()


def test_broadcast_without_a_txid_waits_for_one(world: World) -> None:
    """Nobody could recognise it in the chain."""
    world.funded("5")
    world.withdraw(outside(1), "1")

    def signed_last(name: str, answer: Any) -> Any:
        return replace(answer, txid=None) if name == "prepare" else answer

    world.broadcast(backend=Observed(dead_at(world, 1), after=signed_last))
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.state, waiting.txid, waiting.attempts) == ("prepared", None, 1)
    world.check()


def test_backend_that_takes_everything_for_dead_sets_one_broadcast_aside_at_a_time(
    make_world: Callable[..., World],
) -> None:
    world = make_world(max_withdrawals_per_broadcast=1)
    world.funded("2", coins=3)
    for number in range(3):
        world.withdraw(outside(number), "1")

    for rounds in (1, 2):
        world.broadcast(backend=dead_at(world, 1))
        assert [row.state for row in world.network_rows("broadcast")] == ["dead"] * rounds


def test_theft_is_written_down_once_by_two_daemons(world: World) -> None:
    stolen(world)
    world.net.mine()

    def meanwhile(name: str) -> None:
        if name == "submit":
            world.broadcaster().do_broadcasts()

    world.broadcast(backend=Observed(world.backend, before=meanwhile))
    assert len(world.events("broadcast_dead")) == len(world.rows("network_fee")) == 1
    assert world.withdrawal_states() == ["broadcasted"]
    world.check()


def test_coins_that_cannot_be_given_back_keep_no_others_waiting(world: World) -> None:
    stolen(world)
    world.net.mine()

    def fails(name: str) -> Any:
        if name == "release":
            raise BackendUnavailableError("down")

    world.broadcast(backend=Observed(world.backend, before=fails))
    assert world.network_rows("broadcast")[0].state == "dead"
    world.withdraw(outside(2), "0.5")
    assert world.broadcast().count == 1
    world.check()
