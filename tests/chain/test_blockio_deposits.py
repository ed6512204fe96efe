"""Following a hosted wallet that knows neither blocks nor what it said yesterday."""

from __future__ import annotations

from typing import Any

import pytest
from blockio_stage import doge, make_hosted, service, settled, world
from blockio_world import HostedWorld
from chain_world import Crash, Wire, WiredResolver, see_credited_at_the_third_confirmation
from commands import eventually

from cryptoassets_blockio.options import BlockIoWebsocketOptions
from cryptoassets_blockio.testing import StandIn
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.errors import BadAddress, CannotCreateAddress
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.service.notifyqueue import NotifyQueue

__all__ = ["doge", "make_hosted", "service", "world"]

pytestmark = pytest.mark.postgres


def test_deposit_is_told_and_credited_at_the_third_confirmation(world: HostedWorld) -> None:
    # The service tells of 0, 1 and 3 only; what is deeper is asked for.
    see_credited_at_the_third_confirmation(world)
    settled(world)


def test_reorganisation_takes_confirmations_back(world: HostedWorld) -> None:
    world.funded("5")
    account = world.service_account
    txid = world.pay(world.address(), "2")
    world.step(2)
    with account.lock:
        account.chain.take_back(2)
        account.mine(3, leave=[txid])
    world.updater.poll()
    deposit = world.rows("deposit")[-1]
    assert world.confirmations_told(deposit.id)[-1] == (0, False)
    world.step(3)
    assert world.balance() == 7
    settled(world)


@pytest.mark.parametrize("depth", [3, 8, 20])
def test_reorganisation_however_deep_takes_no_credit_that_the_network_still_carries(
    world: HostedWorld, depth: int
) -> None:
    world.funded("5")
    account = world.service_account
    world.step(depth - 3)
    with account.lock:
        account.chain.take_back(depth)
        account.mine(depth + 1, leave=list(account.chain.waiting))
    world.updater.poll()
    (deposit,) = world.rows("deposit")
    assert world.confirmations_told(deposit.id)[-1] == (0, True)
    world.step(3)
    assert (world.balance(), world.rows("reversal")) == (5, [])
    settled(world)


def worker_of(world: HostedWorld) -> CoinWorker:
    """Make what the daemon has for a coin."""
    return CoinWorker(world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("credited", [False, True])
def test_deposit_the_service_forgot_is_a_problem_and_nothing_else_until_it_comes_back(
    doge: HostedWorld, credited: bool, restarts: bool
) -> None:
    """No answer proves that it is dead, so it is neither credited nor taken back; nor is it lost without a word."""
    account = doge.service_account
    txid = doge.pay(doge.address(), "5")
    worker = worker_of(doge)
    for _ in range(3 if credited else 2):
        account.mine()
        worker.poll()
    balance, told = doge.balance(), doge.events()
    assert (balance, worker.health.problem) == (5 if credited else 0, None)
    entry = account.chain.entries[txid]
    with account.lock:
        account.chain.drop(txid)
    if restarts:
        worker = worker_of(doge)
    account.mine(5)
    worker.poll()
    assert f"knows nothing any more of 1 network transactions with deposits, such as {txid}" in str(
        worker.health.problem
    )
    assert (doge.balance(), doge.events()) == (balance, told)
    assert doge.rows("reversal") == []
    entry.conflicted = False
    account.enter(entry)
    account.mine(3)
    worker.poll()
    assert (doge.balance(), worker.health.problem) == (5, None)
    assert doge.confirmations_told(doge.rows("deposit")[0].id)[-1] == (3, True)
    settled(doge)


def test_deposit_said_to_be_in_conflict_is_reversed(world: HostedWorld) -> None:
    account = world.service_account
    account.behaviour.shows_conflicts = True
    world.funded("5")
    with account.lock:
        account.chain.drop(next(iter(account.chain.entries)))
    world.pay(world.address(), "1")
    world.step()
    assert world.balance() == 0
    assert [row.kind for row in world.rows()][:2] == ["deposit", "deposit"]
    assert len(world.rows("reversal")) == 1
    world.check()


def test_follower_that_dies_at_any_moment_credits_and_tells_once(doge: HostedWorld) -> None:
    """F27: what is told is in the same database transaction as what happened."""
    number, lived = 0, False
    while not lived:
        doge.pay(doge.address(), "1")
        doge.service_account.mine(3)
        wire = Wire(number)
        doge.updater.conflict_resolver = WiredResolver(doge.app.conflict_resolver, wire)
        doge.updater.backend = wire.around(doge.backend)
        try:
            doge.updater.follow()
            lived = True
        except Crash:
            number += 1
        doge.updater.conflict_resolver, doge.updater.backend = doge.app.conflict_resolver, doge.backend
        doge.updater.follow()
    assert doge.balance() == number + 1
    for deposit in doge.rows("deposit"):
        told = doge.confirmations_told(deposit.id)
        assert len(set(told)) == len(told)
        assert (3, True) in told
    settled(doge)


def test_what_was_delivered_is_credited_and_not_what_a_notification_says(service: StandIn, doge: HostedWorld) -> None:
    """F23: every notification of the stand-in names another amount."""
    heard: list[Any] = []

    def look(txids: Any) -> bool:
        heard.extend(txids)
        doge.updater.handle_wallet_notifies([txid for txid in txids if len(txid) == 64])
        return True

    queue = NotifyQueue("doge", look)
    queue.start()
    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), queue.put)
    handler.attach(doge.backend)
    address = doge.address()
    handler.start()
    assert handler.wait_until_ready(10)
    eventually(lambda: service.hooks.subscribers(doge.service_account) == 1)
    txid = doge.pay(address, "7")
    doge.service_account.mine(3)
    eventually(lambda: txid in heard and bool(doge.rows("deposit")))
    handler.stop()
    queue.stop()
    doge.step()
    assert doge.balance() == 7
    settled(doge)


def test_amount_that_changes_between_reports_is_not_credited(
    doge: HostedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F35."""
    doge.pay(doge.address(), "1")
    doge.step()
    call = doge.backend.client.call

    def changed(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        for row in data.get("txs", []):
            row.get("amounts_received", [{}])[0]["amount"] = "5.00000000"
        return data

    monkeypatch.setattr(doge.backend.client, "call", changed)
    doge.step(4)
    assert doge.balance() == 0
    assert [row.amount for row in doge.rows("deposit")] == [1]
    monkeypatch.undo()
    doge.step()
    assert doge.balance() == 1


FOREIGN = (
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
    "nonsense",
)


def test_address_of_another_network_is_neither_paid_nor_given_out(
    world: HostedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F20."""
    account = world.funded("5")
    call = world.backend.client.call
    for foreign in FOREIGN:
        with pytest.raises(BadAddress):
            world.withdraw(foreign, "1", account)

        def other(method: str, made: str = foreign, **parameters: object) -> Any:
            data: Any = call(method, **parameters)
            return {**data, "address": made} if method == "get_new_address" else data

        monkeypatch.setattr(world.backend.client, "call", other)
        with pytest.raises(CannotCreateAddress, match="cannot be used"):
            world.address()
    assert world.balance() == 5
