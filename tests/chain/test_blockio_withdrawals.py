"""Broadcasting over a hosted wallet that signs last and tells little: whatever happens, a withdrawal is paid once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from blockio_stage import doge, make_hosted, service, settled, world
from blockio_world import HostedWorld
from chain_world import Wire, WiredResolver

from cryptoassets_blockio.testing import Fault, StandIn, spend_elsewhere
from cryptoassets_core.backend.base import Outpoint
from cryptoassets_core.tools.broadcastagain import submit_again

__all__ = ["doge", "make_hosted", "service", "world"]

pytestmark = pytest.mark.postgres

CHILD = Path(__file__).with_name("blockio_child.py")


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


#: What the service says when it has published a transaction, and should not.
NONSENSE: list[Any] = [{}, {"txid": None}, {"txid": 7}, {"txid": "ab"}, {"txid": ["ab" * 32]}, {"txid": "cd" * 32}]


def test_nonsense_after_a_publication_pays_once_under_the_true_txid(
    world: HostedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.funded("10", coins=8)
    call = world.backend.client.call
    for number, nonsense in enumerate(NONSENSE):

        def spoiled(method: str, said: Any = nonsense, **parameters: object) -> Any:
            data = call(method, **parameters)
            return said if method == "submit_transaction" else data

        world.withdraw(world.outside(number), "3")
        monkeypatch.setattr(world.backend.client, "call", spoiled)
        world.broadcast()
        monkeypatch.setattr(world.backend.client, "call", call)
        world.broadcast()
        assert world.paid(world.outside(number)) == [3], nonsense
        assert world.network_rows("broadcast")[-1].txid in world.service_account.chain.entries
    settled(world)


KilledAt = Callable[[HostedWorld, int], bool]


@pytest.fixture(scope="module")
def killed_at() -> Iterator[KilledAt]:
    """Let a process broadcast and be killed at a moment; tell whether it was, and did not finish before."""
    with subprocess.Popen(
        [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def work(world: HostedWorld, moment: int) -> bool:
            print(json.dumps([world.url, world.symbol, world.service, moment]), file=child.stdin, flush=True)
            code = int(child.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            return code != 0

        yield work
        child.stdin.close()


def rehearse(world: HostedWorld) -> list[str]:
    rehearsal = Wire()
    world.withdraw(world.outside(0), "3")
    resolver = WiredResolver(world.app.conflict_resolver, rehearsal)
    world.broadcast(backend=rehearsal.around(world.backend), resolver=resolver)
    return rehearsal.passed


@pytest.mark.parametrize("symbol", ["btc", "ltc"])
def test_processes_killed_around_publication_pay_once(
    make_hosted: Callable[[str], HostedWorld], killed_at: KilledAt, symbol: str
) -> None:
    world = make_hosted(symbol)
    world.funded("10", coins=8)
    passed = rehearse(world)
    for number, name in enumerate(("hold done", "before submit", "submit done"), start=1):
        world.withdraw(world.outside(number), "3")
        assert killed_at(world, passed.index(name))
        assert world.rows("withdrawal")[-1].state == "pending"
        world.broadcast()
        assert world.paid(world.outside(number)) == [3], name
    settled(world)


@pytest.mark.parametrize("symbol", ["doge", *[pytest.param(each, marks=pytest.mark.stress) for each in ("btc", "ltc")]])
def test_processes_killed_at_any_moment_pay_once(
    make_hosted: Callable[[str], HostedWorld], killed_at: KilledAt, symbol: str
) -> None:
    """Dogecoin before the others: nobody knows its txids before they are published."""
    world = make_hosted(symbol)
    world.funded("10", coins=50)
    moments = {"prepare done", "before submit", "submit done", "hold done", "before commit"}
    assert moments <= set(rehearse(world))
    number, killed = 0, True
    while killed:
        number += 1
        world.withdraw(world.outside(number), "3")
        killed = killed_at(world, number - 1)
        world.broadcast()
        assert world.paid(world.outside(number)) == [3], f"killed at moment {number - 1}"
    assert number > 20
    settled(world)


def submit_what_waits(world: HostedWorld) -> int:
    """Submit again what is unconfirmed or dead, once its pause is over."""
    world.now += timedelta(minutes=11)
    return submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)


def test_stolen_coins_are_found_out_and_the_withdrawal_is_paid_anew(service: StandIn, world: HostedWorld) -> None:
    world.funded("20", coins=2)
    world.withdraw(world.outside(1), "5")
    service.faults.arm("submit_transaction", Fault.DROP_BEFORE)
    world.broadcast()
    inputs = json.loads(world.network_rows("broadcast")[0].inputs)
    spend_elsewhere(world.service_account, [Outpoint(txid, vout) for txid, vout in inputs], world.outside(9))
    world.step(3)
    prepared = service.calls["prepare_transaction"]
    assert world.broadcast().count == 0, "a rival so shallow may be gone tomorrow"
    assert service.calls["prepare_transaction"] == prepared
    world.step(world.coin.max_confirmation_count)
    # Where the txid is known before it is published it was set aside; where it is not, the queue waits behind it.
    submit_what_waits(world)
    world.broadcast()
    world.broadcast()
    assert world.paid(world.outside(1)) == [5]
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]
    world.check()


def test_payment_that_the_service_forgot_is_submitted_again_unchanged(world: HostedWorld) -> None:
    """As a node does that is restarted with an empty mempool; meanwhile its coins may look free."""
    world.funded("20", coins=2)
    world.withdraw(world.outside(1), "5")
    assert world.broadcast().count == 1
    (first,) = world.network_rows("broadcast")
    world.service_account.forget(first.txid)
    assert world.paid(world.outside(1)) == []
    world.updater.follow()
    assert submit_what_waits(world) == 1
    world.step(3)
    (now,) = world.network_rows("broadcast")
    assert (now.id, now.raw, now.state, now.confirmations) == (first.id, first.raw, "live", 3)
    assert world.paid(world.outside(1)) == [5]
    settled(world)


def test_two_daemons_pay_each_withdrawal_once(service: StandIn, world: HostedWorld) -> None:
    world.funded("20", coins=6)
    other = world.reopened()
    for number in range(6):
        world.withdraw(world.outside(number), "5")
    other.now = world.now

    def work(daemon: Any) -> None:
        for _ in range(3):
            daemon.broadcast()

    threads = [threading.Thread(target=work, args=(daemon,)) for daemon in (world, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    world.broadcast()
    assert [world.paid(world.outside(number)) for number in range(6)] == [[5]] * 6
    settled(world)
