"""What the network forgets or kills after it was published: the same bytes again, and never a second payment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside

from cryptoassets_core.errors import BackendUnavailableError, BroadcastDeadError, OutcomeUnknownError
from cryptoassets_core.tools.broadcastagain import submit_again


def again(world: World, backend: Any = None) -> int:
    return submit_again(world.coin, world.app.conflict_resolver, backend or world.backend, clock=lambda: world.now)


def sent(world: World, number: int = 1) -> Any:
    """Publish a withdrawal of 1 and return the broadcast."""
    world.withdraw(outside(number), "1")
    assert world.broadcast().count == 1
    return world.network_rows("broadcast")[-1]


def evict(world: World, txid: str) -> None:
    world.net.mine()
    world.net.reorg(1, drop=[txid])
    assert not world.is_carried(txid)


def test_forgotten_transaction_is_published_again_unchanged(world: World) -> None:
    world.funded("5")
    broadcast = sent(world)
    evict(world, broadcast.txid)
    world.updater.follow()
    world.now += timedelta(minutes=11)
    assert again(world) == 1
    assert world.is_carried(broadcast.txid)
    assert world.paid(outside(1)) == [1]
    world.step(3)
    (now,) = world.network_rows("broadcast")
    assert (now.txid, now.raw, now.confirmations) == (broadcast.txid, broadcast.raw, 3)
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    assert world.total() == world.net.balance()
    world.check()


def test_transaction_that_lost_its_block_is_published_again_at_once(world: World) -> None:
    world.funded("5")
    broadcast = sent(world)
    world.step(2)
    world.now += timedelta(hours=1)
    world.net.reorg(2, drop=[broadcast.txid])
    world.updater.follow()
    assert again(world) == 1
    assert world.is_carried(broadcast.txid)
    world.step()
    assert (world.paid(outside(1)), world.network_rows("broadcast")[0].confirmations) == ([1], 1)
    world.check()


def test_it_is_published_again_only_from_time_to_time_and_until_it_is_in_a_block(world: World) -> None:
    world.funded("5")
    sent(world)
    backend = Observed(world.backend)
    for minutes, submitted in ((9, 0), (2, 1), (9, 1), (2, 2)):
        world.now += timedelta(minutes=minutes)
        again(world, backend)
        assert backend.calls["submit"] == submitted
    world.step()
    world.now += timedelta(hours=1)
    assert again(world, backend) == 0
    assert backend.calls["submit"] == 2
    assert "prepare" not in backend.calls


def test_clock_set_back_delays_nothing_for_long(world: World) -> None:
    world.funded("5")
    broadcast = sent(world)
    world.now += timedelta(hours=1)
    assert again(world) == 1
    evict(world, broadcast.txid)
    world.now -= timedelta(days=1)
    assert again(world) == 1
    world.net.set_down(True)
    world.withdraw(outside(2), "1")
    world.broadcast()
    world.net.set_down(False)
    world.now -= timedelta(days=1)
    assert world.broadcaster().do_broadcasts().count == 1


def test_trouble_with_one_stops_no_other(world: World) -> None:
    world.funded("2", coins=3)
    for number in range(3):
        sent(world, number)
    first, *_ = world.network_rows("broadcast")
    errors: list[Exception] = [OutcomeUnknownError("not now")]

    def fail_once(name: str) -> None:
        if name == "submit" and errors:
            raise errors.pop()

    world.now += timedelta(hours=1)
    assert again(world, Observed(world.backend, before=fail_once)) == 2
    troubled = world.network_rows("broadcast")[0]
    assert (troubled.id, troubled.state, troubled.reason, troubled.attempts) == (first.id, "live", "not now", 1)
    world.now += timedelta(hours=1)
    assert again(world) == 3
    assert (world.network_rows("broadcast")[0].reason, world.network_rows("broadcast")[0].attempts) == (None, 0)


def test_node_that_is_down_is_asked_once(world: World) -> None:
    world.funded("2", coins=2)
    for number in range(2):
        sent(world, number)

    def down(_name: str) -> None:
        raise BackendUnavailableError("down")

    backend = Observed(world.backend, before=down)
    world.now += timedelta(hours=1)
    assert again(world, backend) == 0
    assert backend.calls["submit"] == 1
    assert again(world) == 2


def assert_told_dead(world: World, broadcast: Any, log: str) -> None:
    assert f"broadcast {broadcast.id}, txid {broadcast.txid}, is dead" in log
    (now,) = world.network_rows("broadcast")
    assert now.state == "dead"
    assert world.events("broadcast_dead") == [
        {
            "coin_name": "btc",
            "network_transaction": broadcast.id,
            "txid": broadcast.txid,
            "withdrawals": 1,
            "amount": "1.00000000",
            "reason": now.reason,
        }
    ]


def test_published_transaction_whose_coins_are_gone_stays_reserved_and_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    alice = world.funded("5")
    broadcast = sent(world)
    withdrawals = world.rows("withdrawal")
    world.net.fund(world.total())
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    with caplog.at_level("ERROR", "cryptoassets_core"):
        world.step(3)
    assert_told_dead(world, broadcast, caplog.text)
    world.now += timedelta(hours=1)
    assert (world.broadcast().count, again(world)) == (0, 0)
    assert (world.rows("withdrawal"), world.rows("refund"), world.paid(outside(1))) == (withdrawals, [], [])
    assert world.balance(alice) == -1
    world.check()


def test_published_transaction_that_the_backend_proves_dead_is_told_and_may_come_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.funded("5")
    broadcast = sent(world)

    def dead(_name: str) -> None:
        raise BroadcastDeadError("its input was spent by another one")

    world.now += timedelta(hours=1)
    with caplog.at_level("ERROR", "cryptoassets_core"):
        assert again(world, Observed(world.backend, before=dead)) == 0
    assert_told_dead(world, broadcast, caplog.text)
    assert world.events("txupdate")[-1]["confirmations"] == -1
    assert world.broadcast().count == 0
    world.step()
    (now,) = world.network_rows("broadcast")
    assert (now.state, now.confirmations, now.reason) == ("live", 1, None)
    assert world.paid(outside(1)) == [1]
    world.check()
