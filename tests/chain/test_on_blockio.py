"""The core of it all again, with a hosted wallet that signs last and tells little, and the books on PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from blockio_world import HostedWorld
from chain_world import Crash, Wire, WiredResolver

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.options import BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Fault, StandIn, spend_elsewhere
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_btc import BITCOIN
from cryptoassets_core.errors import BadAddress, CannotCreateAddress
from cryptoassets_core.service.notifyqueue import NotifyQueue
from cryptoassets_doge.coin import DOGECOIN
from cryptoassets_ltc.coin import LITECOIN

pytestmark = pytest.mark.postgres

CHILD = Path(__file__).with_name("blockio_child.py")
COINS = {"btc": BITCOIN, "doge": DOGECOIN, "ltc": LITECOIN}


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def make_hosted(
    service: StandIn, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], HostedWorld]]:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0,))
    monkeypatch.setattr(client_module, "SLOW_SECONDS", 2.0)
    made: list[HostedWorld] = []

    def make(symbol: str) -> HostedWorld:
        made.append(HostedWorld(postgres_url, service.open_account(COINS[symbol]), service.url))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(params=sorted(COINS))
def world(request: pytest.FixtureRequest, make_hosted: Callable[[str], HostedWorld]) -> HostedWorld:
    """Books of each coin that the service has."""
    return make_hosted(request.param)


@pytest.fixture
def doge(make_hosted: Callable[[str], HostedWorld]) -> HostedWorld:
    """Books of the coin whose txids nobody can foresee."""
    return make_hosted("doge")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def settled(world: HostedWorld) -> None:
    """See that books and wallet agree to the smallest unit."""
    world.step(2)
    assert world.total() == world.backend.get_backend_balance()
    fees = [row.amount for row in world.rows("network_fee")]
    assert fees == [row.fee for row in world.network_rows("broadcast") if row.state == "live"]
    world.check()


def test_deposit_is_told_and_credited_at_the_third_confirmation(world: HostedWorld) -> None:
    txid = world.pay(world.address(), "1.5")
    world.updater.handle_wallet_notify(txid)
    seen = [world.balance()]
    for _ in range(4):
        world.step()
        seen.append(world.balance())
    assert seen == [0, 0, 0, Decimal("1.5"), Decimal("1.5")]
    (deposit,) = world.rows()
    # The service tells of 0, 1 and 3 only; what is deeper is asked for.
    told = [(0, False), (1, False), (2, False), (3, True), (4, True)]
    assert world.confirmations_told(deposit.id) == told
    assert world.updater.rescan() == 0
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


def test_deposit_the_service_forgot_is_not_debited_and_comes_back(doge: HostedWorld) -> None:
    doge.funded("5")
    account = doge.service_account
    with account.lock:
        entry = next(entry for entry in account.chain.entries.values() if not entry.own)
        account.chain.drop(entry.txid)
    doge.pay(doge.address(), "1")
    doge.step()
    assert doge.balance() == 5
    assert doge.confirmations_told(doge.rows("deposit")[0].id)[-1] == (0, True)
    entry.conflicted = False
    account.enter(entry)
    doge.step(4)
    assert doge.balance() == 6
    settled(doge)


def test_deposit_said_to_be_in_conflict_is_reversed(doge: HostedWorld) -> None:
    account = doge.service_account
    account.behaviour.shows_conflicts = True
    doge.funded("5")
    with account.lock:
        account.chain.drop(next(iter(account.chain.entries)))
    doge.pay(doge.address(), "1")
    doge.step()
    assert doge.balance() == 0
    assert [row.kind for row in doge.rows()][:2] == ["deposit", "deposit"]
    assert len(doge.rows("reversal")) == 1


def test_hundred_withdrawals_are_one_transaction(service: StandIn, doge: HostedWorld) -> None:
    doge.funded("300")
    for number in range(100):
        doge.withdraw(doge.outside(number), "1.5")
    before = service.calls.copy()
    assert doge.broadcast().count == 1
    spent = service.calls - before
    assert (spent["prepare_transaction"], spent["submit_transaction"]) == (1, 1)
    assert [doge.paid(doge.outside(number)) for number in range(100)] == [[Decimal("1.5")]] * 100
    settled(doge)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
def test_lost_answer_and_a_restart_pay_once(service: StandIn, world: HostedWorld, fault: Fault) -> None:
    """F05."""
    world.service_account.behaviour.repeat = "refuse"
    world.funded("20", coins=2)
    payee = world.outside(1)
    world.withdraw(payee, "10")
    service.faults.arm("submit_transaction", fault)
    assert world.broadcast().count == 0
    assert world.network_rows("broadcast")[0].state == "prepared"
    calls = service.calls["prepare_transaction"]
    restarted = world.reopened()
    restarted.now = world.now
    assert restarted.broadcast().count == 1
    restarted.close()
    assert service.calls["prepare_transaction"] == calls, "nothing else is prepared while the first may be alive"
    assert world.paid(payee) == [10]
    world.step(3)
    assert world.broadcast().count == 0
    assert world.confirmations_told(world.rows("withdrawal")[0].id)[-1] == (3, True)
    settled(world)


def test_broadcaster_that_dies_at_any_moment_pays_once(doge: HostedWorld) -> None:
    doge.funded("10", coins=40)
    moments: list[str] = []
    while not moments or moments[-1] != "it lived":
        number = len(moments)
        doge.withdraw(doge.outside(number), "3")
        wire = Wire(number)
        resolver = WiredResolver(doge.app.conflict_resolver, wire)
        try:
            doge.broadcast(backend=wire.around(doge.backend), resolver=resolver)
            moments.append("it lived")
        except Crash as crash:
            moments.append(str(crash))
        doge.broadcast()
        assert doge.paid(doge.outside(number)) == [3], moments
    assert {"prepare done", "before submit", "submit done", "hold done", "before commit"} <= set(moments)
    settled(doge)


def killed_at(world: HostedWorld, moment: int) -> bool:
    """Let a process broadcast and be killed; tell whether it was, and did not finish before."""
    arguments = [world.url, world.symbol, json.dumps(world.service), str(moment)]
    code = subprocess.call([sys.executable, str(CHILD), *arguments])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def rehearse(world: HostedWorld) -> list[str]:
    rehearsal = Wire()
    world.withdraw(world.outside(0), "3")
    resolver = WiredResolver(world.app.conflict_resolver, rehearsal)
    world.broadcast(backend=rehearsal.around(world.backend), resolver=resolver)
    return rehearsal.passed


@pytest.mark.parametrize("name", ["before submit", "submit done"])
def test_process_killed_around_publication_pays_once(doge: HostedWorld, name: str) -> None:
    doge.funded("10", coins=4)
    passed = rehearse(doge)
    doge.withdraw(doge.outside(1), "3")
    assert killed_at(doge, passed.index(name))
    assert [row.state for row in doge.rows("withdrawal")] == ["broadcasted", "pending"]
    doge.broadcast()
    assert doge.paid(doge.outside(1)) == [3]
    settled(doge)


@pytest.mark.stress
def test_process_killed_at_any_moment_pays_once(world: HostedWorld) -> None:
    world.funded("10", coins=60)
    number, killed = 0, True
    while killed:
        world.withdraw(world.outside(number), "3")
        killed = killed_at(world, number)
        world.broadcast()
        assert world.paid(world.outside(number)) == [3]
        number += 1
    assert number > 20
    settled(world)


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


def test_stolen_coins_are_found_out_and_the_withdrawal_is_paid_anew(service: StandIn, doge: HostedWorld) -> None:
    doge.funded("20", coins=2)
    doge.withdraw(doge.outside(1), "5")
    service.faults.arm("submit_transaction", Fault.DROP_BEFORE)
    doge.broadcast()
    inputs = json.loads(doge.network_rows("broadcast")[0].inputs)
    outpoints = [type(next(iter(doge.service_account.coins()))[0])(txid, vout) for txid, vout in inputs]
    spend_elsewhere(doge.service_account, outpoints, doge.outside(9))
    doge.step(3)
    assert doge.broadcast().count == 0, "a rival so shallow may be gone tomorrow"
    doge.step(doge.coin.max_confirmation_count)
    doge.broadcast()
    doge.broadcast()
    assert doge.paid(doge.outside(1)) == [5]
    assert [row.state for row in doge.network_rows("broadcast")] == ["dead", "live"]
    doge.check()


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
    until(lambda: service.hooks.subscribers(doge.service_account) == 1)
    txid = doge.pay(address, "7")
    doge.service_account.mine(3)
    until(lambda: txid in heard and bool(doge.rows("deposit")))
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


@pytest.mark.parametrize(
    "foreign",
    [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        "nonsense",
    ],
)
def test_address_of_another_network_is_neither_paid_nor_given_out(
    world: HostedWorld, monkeypatch: pytest.MonkeyPatch, foreign: str
) -> None:
    """F20."""
    account = world.funded("5")
    with pytest.raises(BadAddress):
        world.withdraw(foreign, "1", account)
    call = world.backend.client.call

    def other(method: str, **parameters: object) -> Any:
        data: Any = call(method, **parameters)
        return {**data, "address": foreign} if method == "get_new_address" else data

    monkeypatch.setattr(world.backend.client, "call", other)
    with pytest.raises(CannotCreateAddress, match="cannot be used"):
        world.address()
