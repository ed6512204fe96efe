"""What the network forgets or kills after it was published: the same bytes again, and never a second payment."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside

from cryptoassets_core.backend.base import BlockHash, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.errors import BackendUnavailableError, BroadcastDeadError, OutcomeUnknownError
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.tools.broadcastagain import submit_again
from cryptoassets_core.tools.broadcastrows import stored_transaction
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.reconciliation import Cause


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
    errors = [OutcomeUnknownError("not now")]

    def fail_once(name: str) -> None:
        raising(errors.pop() if name == "submit" and errors else None)

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


def killed(world: World) -> Any:
    """Publish a withdrawal of 1 that spends a deposit which is double-spent then, and return the broadcast."""
    world.funded("5")
    broadcast = sent(world)
    world.net.fund(Decimal(20))
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.updater.follow()
    assert world.network_rows("broadcast")[0].state == "dead"
    return broadcast


def test_broadcast_that_died_is_built_anew_once_it_cannot_come_back(world: World) -> None:
    broadcast = killed(world)
    depth = -world.network_rows("broadcast")[0].confirmations
    world.funded("3")  # its account is above zero again
    for _ in range(14 - depth - 3):
        world.step()
        world.now += timedelta(minutes=11)
        assert (again(world), world.broadcast().count) == (0, 0)
    world.check()
    assert "14 blocks deep, and it is built anew at 15" in world.network_rows("broadcast")[0].reason
    assert (world.rows("refund"), world.events("broadcast_rebuilt")) == ([], [])
    world.step()
    world.now += timedelta(minutes=11)
    assert again(world) == 0
    (withdrawal,) = world.rows("withdrawal")
    assert (withdrawal.state, withdrawal.network_transaction_id) == ("pending", None)
    world.check()
    assert world.broadcast().count == 1
    assert (world.paid(outside(1)), world.balance()) == ([1], 2)
    dead, alive = world.network_rows("broadcast")
    assert (dead.txid, dead.state, alive.state) == (broadcast.txid, "dead", "live")
    # Each has its fee, and the first one's is given back: the network has not taken it.
    assert [row.amount for row in world.rows("network_fee")] == [FEE, FEE]
    assert [(row.amount, row.network_transaction_id) for row in world.rows("refund")] == [(FEE, broadcast.id)]
    assert world.balance(world.fee_account()) == -FEE
    (told,) = world.events("broadcast_rebuilt")
    assert (told["network_transaction"], told["txid"], told["withdrawals"], told["amount"]) == (
        broadcast.id, broadcast.txid, 1, "1.00000000",
    )  # fmt: skip
    world.step(15)
    world.now += timedelta(hours=1)
    assert (again(world), world.broadcast().count) == (0, 0)
    assert world.total() == world.net.balance() - 20
    with world.app.open_readonly_session() as session:
        compared = reconcile(session, world.coin, world.backend)
    assert ([each.cause for each in compared.differences], compared.unexplained) == ([Cause.TOP_UP], 0)
    world.check()


def test_death_and_revival_are_looked_into_at_once(world: World) -> None:
    """A broadcast that was just published again is not due for ten minutes, unless the chain says something new."""
    world.funded("5")
    sent(world)
    world.net.fund(Decimal(20))
    backend = Observed(world.backend)
    world.now += timedelta(minutes=11)
    assert (again(world, backend), again(world, backend)) == (1, 0)
    assert backend.calls["submit"] == 1
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.updater.follow()
    assert again(world, backend) == 0
    assert backend.calls["submit"] == 2
    (dead,) = world.network_rows("broadcast")
    assert "blocks deep, and it is built anew at 15" in dead.reason
    assert dead.next_attempt_at > world.now
    again(world, backend)
    assert backend.calls["submit"] == 2
    world.check()


def test_coins_of_what_is_dead_for_good_are_given_back(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("5", coins=2)
    world.withdraw(outside(1), "7")
    world.broadcast()
    world.net.double_spend(world.network_rows("deposit")[0].txid)  # one of the two that it spends
    world.net.fund(Decimal(20))
    world.step(15)
    world.backend.hold(stored_transaction(world.network_rows("broadcast")[0]))
    assert world.locked()
    world.now += timedelta(minutes=11)
    again(world)
    assert (len(world.events("broadcast_rebuilt")), world.locked()) == (1, set())
    world.check()


def test_withdrawal_that_the_application_has_acknowledged_is_paid_anew_too(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("5")
    sent(world)
    world.acknowledge(world.rows("withdrawal")[0].id)
    world.net.fund(Decimal(20))
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.funded("3")
    world.step(15)
    again(world)
    assert world.broadcast().count == 1
    assert world.paid(outside(1)) == [1]
    world.check()


@pytest.mark.parametrize(
    ("leads", "calls"), [([True], {"submit", "prepare"}), ([False], set()), ([True, False], {"submit"})]
)
def test_daemon_publishes_and_signs_only_as_long_as_it_leads(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, leads: list[bool], calls: set[str]
) -> None:
    world = sqlite_world
    killed(world)
    world.funded("3")
    world.withdraw(outside(2), "1")
    called: set[str] = set()
    for name in ("submit", "prepare"):
        method = getattr(world.backend, name)
        monkeypatch.setattr(world.backend, name, lambda *given, n=name, m=method: (called.add(n), m(*given))[1])

    def still_leads() -> bool:
        return leads[0] if len(leads) == 1 else leads.pop(0)

    worker = CoinWorker(
        world.coin,
        world.backend,
        world.app.conflict_resolver,
        walletnotify=None,
        on_events=lambda: None,
        leads=still_leads,
    )
    worker.broadcast()
    assert called == calls


def test_two_daemons_build_anew_once(world: World) -> None:
    killed(world)
    world.funded("3")
    world.step(15)

    def meanwhile(name: str) -> None:
        if name == "submit":
            again(world)  # the other one, between our look and our word

    again(world, Observed(world.backend, before=meanwhile))
    assert len(world.events("broadcast_rebuilt")) == len(world.rows("refund")) == 1
    world.broadcast()
    assert world.paid(outside(1)) == [1]
    world.check()


def test_backend_that_cannot_tell_how_deep_leaves_it_to_a_person(world: World) -> None:
    killed(world)
    world.step(20)

    def dead(_name: str) -> None:
        raise BroadcastDeadError("its input was spent by another one")

    again(world, Observed(world.backend, before=dead))
    (now,) = world.network_rows("broadcast")
    assert "a person decides" in now.reason
    assert [row.state for row in world.rows("withdrawal")] == ["broadcasted"]
    world.check()


def raising(error: Exception | None) -> None:
    if error is not None:
        raise error


class Carried:
    """Finds what is submitted under another txid."""

    def __init__(self, backend: Any, txid: Txid) -> None:
        self._backend = backend
        self._txid = txid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def submit(self, _prepared: Any) -> Txid:
        return self._txid


@pytest.mark.parametrize("state", ["live", "dead"])
def test_payment_that_is_carried_under_another_txid_goes_on_under_that_one(world: World, state: str) -> None:
    """Anybody can change the txid of a transaction whose inputs are not segwit, and nothing else of it."""
    world.funded("5")
    broadcast = sent(world)
    withdrawal = world.rows("withdrawal")[0].id
    if state == "dead":
        world.net.double_spend(world.network_rows("deposit")[0].txid)
        world.step(20)
        world.now += timedelta(hours=1)
        refuse: Any = {"submit": OutcomeUnknownError("not now")}
        again(world, Observed(world.backend, before=lambda name: raising(refuse.get(name))))
    before = world.network_rows("broadcast")[0]
    assert (before.state, before.tracked, before.attempts > 0) == (state, state == "live", state == "dead")
    twin = Txid("ab" * 32)
    world.now += timedelta(hours=1)
    assert again(world, Carried(world.backend, twin)) == 1
    (now,) = world.network_rows("broadcast")
    assert (now.id, now.state, now.txid, now.tracked) == (broadcast.id, "live", twin, True)
    assert (now.confirmations, now.attempts, now.reason) == (0, 0, None)
    assert world.events("txupdate")[-1]["txid"] == twin
    assert world.row(withdrawal).state == "broadcasted"
    mined = WalletTransaction(txid=twin, confirmations=3, block_hash=BlockHash("cd" * 32), fee=FEE, sent=Decimal(1))
    world.run(lambda session: apply_transactions(session, world.coin, [mined]))
    assert world.confirmations_told(withdrawal)[-1] == (3, True)
    assert (world.broadcast().count, world.rows("refund")) == (0, [])
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    world.check()
