"""Faults of the node while withdrawals leave: what waits, and for how long, and that nobody is paid twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside

from cryptoassets_core.tools.broadcastagain import submit_again


@pytest.mark.parametrize("method", ["prepare", "submit", "hold", "release"])
@pytest.mark.parametrize("kind", ["refuse", "timeout-before", "timeout-after"])
def test_fault_of_the_node_pays_nobody_twice_and_nobody_never(world: World, method: str, kind: str) -> None:
    world.funded("1", coins=12)
    world.withdraw(outside(1), "1")
    world.net.fault("submit", "refuse")  # so that hold is called too
    world.net.fault(method, kind, count=2)
    for number in range(2, 6):
        world.broadcast()
        world.withdraw(outside(number), "1")
    world.broadcast()
    assert [world.paid(outside(number)) for number in range(1, 6)] == [[1]] * 5
    assert world.withdrawal_states() == ["broadcasted"] * 5
    carried = [broadcast.fee for broadcast in world.network_rows("broadcast")]
    assert [row.amount for row in world.rows("network_fee")] == carried
    assert world.total() == world.net.balance()
    world.check()


def test_node_that_is_down_is_asked_again_after_a_pause(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    assert world.broadcast().count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.attempts, waiting.next_attempt_at > world.now) == (1, True)
    world.net.set_down(False)
    assert world.broadcaster().do_broadcasts().count == 0  # not before the pause is over
    assert world.paid(outside(1)) == []
    world.now += timedelta(seconds=6)
    assert world.broadcaster().do_broadcasts().count == 1
    (sent,) = world.network_rows("broadcast")
    assert (sent.attempts, sent.next_attempt_at, sent.reason) == (0, None, None)


def test_application_sees_why_a_withdrawal_waits_and_until_when(world: World) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.net.set_down(True)
    world.broadcast()
    with world.app.open_readonly_session() as session:
        waiting = session.get_one(world.coin.transaction_model, withdrawal)
        assert waiting.state == "pending"
        assert "is down" in waiting.reason
        assert waiting.next_attempt_at > world.now
    world.net.set_down(False)
    world.broadcast()
    with world.app.open_readonly_session() as session:
        sent = session.get_one(world.coin.transaction_model, withdrawal)
        assert (sent.state, sent.reason, sent.next_attempt_at) == ("broadcasted", None, None)


@pytest.mark.parametrize("days", [-1, 365])
def test_clock_that_jumps_neither_delays_a_withdrawal_nor_pays_it_twice(world: World, days: int) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.fault("submit", "timeout-after")
    world.broadcast()
    world.now += timedelta(days=days)
    assert world.broadcaster().do_broadcasts().count == 1
    world.now -= timedelta(days=days)
    world.broadcast()
    submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
    assert world.paid(outside(1)) == [1]
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    world.check()


def test_pauses_grow_up_to_a_limit(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    pauses = []
    for _ in range(10):
        world.broadcast()
        pauses.append((world.network_rows("broadcast")[0].next_attempt_at - world.now).total_seconds())
    assert 2.5 <= pauses[0] <= 5
    assert all(300 <= pause <= 600 for pause in pauses[-2:])


def test_inputs_are_held_again_before_a_stored_transaction_is_submitted(world: World) -> None:
    world.funded("1", coins=3)
    world.withdraw(outside(1), "0.9")
    world.net.fault("submit", "refuse")
    world.broadcast()
    world.net.forget_locks()  # the node was restarted
    rivals: list[Any] = []

    def other_user(name: str) -> None:
        if name == "submit":  # of the same hot wallet, at the worst moment
            rivals.append(world.backend.prepare({outside(9): Decimal("1.5")}))
            world.backend.submit(rivals[0])

    world.broadcast(backend=Observed(world.backend, before=other_user))
    assert len(rivals) == 1
    assert (world.paid(outside(1)), world.paid(outside(9))) == ([Decimal("0.9")], [Decimal("1.5")])
