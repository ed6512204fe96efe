"""Processes die at every moment, and several work at once: each recipient is paid exactly once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from chain_world import Crash, Wire, WiredResolver, World, outside

from cryptoassets_core.backend.transactionupdater import TransactionUpdater

CHILD = Path(__file__).with_name("chain_child.py")


def test_broadcaster_that_dies_at_any_moment_pays_once(world: World) -> None:
    world.funded("1", coins=60)
    moments: list[str] = []
    while not moments or moments[-1] != "it lived":
        number = len(moments)
        world.withdraw(outside(number), "0.3")
        wire = Wire(number)
        resolver = WiredResolver(world.app.conflict_resolver, wire)
        try:
            world.broadcast(backend=wire.around(world.backend), resolver=resolver)
            moments.append("it lived")
        except Crash as crash:
            moments.append(str(crash))
        world.check()
        after = world.reopened()
        after.broadcast()
        after.close()
        assert world.paid(outside(number)) == [Decimal("0.3")], moments
        world.check()
    fees = [row.amount for row in world.rows("network_fee")]
    assert fees == [broadcast.fee for broadcast in world.network_rows("broadcast")]
    assert world.total() == world.net.balance()
    assert {"before prepare", "prepare done", "before submit", "submit done", "before commit"} <= set(moments)
    assert len(moments) > 20


def test_resumed_broadcast_that_dies_at_any_moment_pays_once(world: World) -> None:
    world.funded("1", coins=60)
    number, lived = 0, False
    while not lived:
        world.withdraw(outside(number), "0.3")
        world.net.fault("submit", "timeout-after" if number % 2 else "refuse")
        world.broadcast()
        assert world.network_rows("broadcast")[-1].state == "prepared"
        world.net.forget_locks()
        wire = Wire(number)
        try:
            world.broadcast(
                backend=wire.around(world.backend), resolver=WiredResolver(world.app.conflict_resolver, wire)
            )
            lived = True
        except Crash:
            world.broadcast()
        assert world.paid(outside(number)) == [Decimal("0.3")], wire.passed
        number += 1
    assert world.total() == world.net.balance()
    assert "hold done" in wire.passed
    world.check()


def test_follower_that_dies_at_any_moment_credits_once(world: World) -> None:
    number, lived = 0, False
    lost = world.net.pay(world.address(), Decimal(100))
    world.step(3)
    while not lived:
        world.net.pay(world.address(), Decimal(1))
        world.net.mine(20)  # so deep that the next listing does not repeat it
        if number == 4:
            world.net.double_spend(lost)
        wire = Wire(number)
        updater = TransactionUpdater(
            WiredResolver(world.app.conflict_resolver, wire), wire.around(world.backend), world.coin
        )
        try:
            updater.poll()
            lived = True
        except Crash:
            world.check()
            world.updater.poll()
        number += 1
        world.check()
    world.step(5)
    assert world.balance() == number == world.net.balance()
    assert len(world.rows("reversal")) == 1


@contextmanager
def children(world: World, *tasks: tuple[str, ...]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run processes on the world's books until the test is through with them; each must end well."""
    started = [subprocess.Popen([sys.executable, str(CHILD), world.url, str(world.directory), *task]) for task in tasks]
    try:
        while len(list(world.directory.glob("ready-*"))) < len(tasks):
            assert all(child.poll() is None for child in started)
            time.sleep(0.02)
        yield started
        (world.directory / "stop").touch()
        assert [child.wait(60) for child in started] == [0] * len(tasks)
    finally:
        for child in started:
            child.kill()
            child.wait()


def killed_at(world: World, moment: int, *, task: str = "die") -> bool:
    """Let a process work (broadcast, by default) and be killed; tell whether it was, and did not finish before."""
    code = subprocess.call([sys.executable, str(CHILD), world.url, str(world.directory), task, str(moment)])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize("name", ["prepare done", "before submit", "submit done"])
def test_process_killed_around_publication_pays_once(world: World, name: str) -> None:
    world.funded("1", coins=4)
    rehearsal = Wire()
    world.withdraw(outside(0), "0.3")
    world.broadcast(
        backend=rehearsal.around(world.backend), resolver=WiredResolver(world.app.conflict_resolver, rehearsal)
    )
    world.withdraw(outside(1), "0.3")
    assert killed_at(world, rehearsal.passed.index(name))
    assert [row.state for row in world.rows("withdrawal")] == ["broadcasted", "pending"]
    world.broadcast()
    assert world.paid(outside(1)) == [Decimal("0.3")]
    assert world.total() == world.net.balance()
    world.check()


@pytest.mark.parametrize("chunk", [2, 4])
@pytest.mark.parametrize("name", ["before commit", "committed"])
def test_process_killed_while_it_catches_up_credits_once(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, chunk: int
) -> None:
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 5)
    rehearsal, addresses = Wire(), [world.address() for _ in range(24)]
    for wire in (rehearsal, None):
        for address in addresses:
            world.net.pay(address, Decimal("0.01"))
        world.net.mine(40)
        if wire is not None:
            resolver = WiredResolver(world.app.conflict_resolver, wire)
            TransactionUpdater(resolver, wire.around(world.backend), world.coin).follow()
    # The transactions that read come first; from the end on, these are the five chunks.
    commits = [moment for moment, passed in enumerate(rehearsal.passed) if passed == name][-5:]
    assert killed_at(world, commits[chunk], task="follow")
    stored = 24 + 5 * (chunk + (name == "committed"))
    assert len(world.rows()) == min(stored, 48)
    world.updater.follow()
    assert (len(world.rows()), world.balance()) == (48, Decimal("0.48"))
    assert len(world.events("txupdate")) == 48
    world.check()


@pytest.mark.stress
def test_process_killed_at_any_moment_pays_once(world: World) -> None:
    world.funded("1", coins=60)
    number, killed = 0, True
    while killed:
        world.withdraw(outside(number), "0.3")
        killed = killed_at(world, number)
        world.broadcast()
        assert world.paid(outside(number)) == [Decimal("0.3")]
        number += 1
    assert number > 20
    assert world.total() == world.net.balance()
    world.check()


@pytest.mark.parametrize("world_of", ["postgres_world", "sqlite_world"])
def test_broadcasters_in_several_processes_pay_once(request: pytest.FixtureRequest, world_of: str) -> None:
    world: World = request.getfixturevalue(world_of)
    world.funded("1", coins=60)
    with children(world, ("broadcast",), ("broadcast",)):
        for wave in range(8):
            for number in range(4):
                world.withdraw(outside(10 * wave + number), "0.2")
            if wave % 3 == 1:
                world.net.fault("submit", "timeout-after" if wave % 2 else "refuse")
            world.net.mine()
            world.broadcast()
    world.now += timedelta(days=10_000)  # past every pause by the clocks of the others
    world.broadcast()
    assert {row.state for row in world.rows("withdrawal")} == {"broadcasted"}
    for wave in range(8):
        for number in range(4):
            assert sum(world.paid(outside(10 * wave + number))) == Decimal("0.2")
    fees = [row.amount for row in world.rows("network_fee")]
    assert fees == [row.fee for row in world.network_rows("broadcast")]
    assert world.total() == world.net.balance()
    world.check()


@pytest.mark.parametrize("world_of", ["postgres_world", "sqlite_world"])
def test_rescan_beside_a_follower_credits_once(request: pytest.FixtureRequest, world_of: str) -> None:
    world: World = request.getfixturevalue(world_of)
    addresses = [world.address(world.account(name)) for name in ("alice", "bob", "carol")]
    lost = []
    with children(world, ("rescan",)):
        for turn in range(12):
            txid = world.net.pay_many([(address, Decimal(1)) for address in addresses])
            world.updater.handle_wallet_notify(txid)
            world.step(3)
            if turn % 4 == 2:
                lost.append(txid)
                world.net.double_spend(txid)
                world.updater.poll()
    world.step(4)
    deposits = world.rows("deposit")
    assert len([row for row in deposits if row.state == "incoming" and row.credited_at]) == 3 * (12 - len(lost))
    assert world.total() == 3 * (12 - len(lost)) == world.net.balance()
    world.check()
