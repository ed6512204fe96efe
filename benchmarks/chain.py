"""What following the chain and broadcasting cost: calls to the backend, SQL statements, and time of our own.

Own time is without what the backend took. The backend's own time is the floor that nobody gets below; the column
"x backend" is the whole in multiples of it.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from support.books import account_ids, configured_app, opened_books
from support.counting import Cost, Meter
from support.history import fill
from support.processes import memory_mib
from support.report import Goal, Measure, Section, Spread, add_options, show
from support.worlds import AMOUNT, NodeWorld, SimulatedWorld, World, running_node

from cryptoassets_bitcoind.testing import DAEMON
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.testing.postgres import PostgresServer
from cryptoassets_core.tools.reconcile import reconcile

WITHDRAWALS = 100

MakeWorld = Callable[[str], World]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    runs: int
    open_deposits: tuple[int, ...]
    #: Movements in the books beforehand; two of ten are credited deposits.
    history: int
    #: Deposits in one block.
    block: int
    #: Wallet transactions that were missed, for two catch-ups: on the simulated network,
    missed: tuple[int, int]
    #: and on the daemon, which takes longer to make them.
    missed_on_daemon: tuple[int, int]


FULL = Scale(
    runs=5,
    open_deposits=(10, 100, 1000, 10_000),
    history=500_000,
    block=2000,
    missed=(10_000, 40_000),
    missed_on_daemon=(2500, 10_000),
)
QUICK = Scale(runs=1, open_deposits=(3, 6), history=500, block=20, missed=(10, 20), missed_on_daemon=(10, 20))

#: Accounts of the long history.
ACCOUNTS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--simnet-only", action="store_true", help=f"leave {DAEMON} out")
    only.add_argument("--daemon-only", action="store_true", help="leave the simulated network out")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    with PostgresServer(durable=True) as server, tempfile.TemporaryDirectory() as directory:
        sections = []
        if not options.daemon_only:
            sections.append(deposit_block(server, Path(directory), scale))
            sections += sections_of(
                "simnet", server, lambda url: SimulatedWorld(url, Path(directory)), scale, scale.missed
            )
        if options.daemon_only or (not options.simnet_only and shutil.which(DAEMON)):
            with running_node() as node:
                sections += sections_of(DAEMON, server, lambda url: NodeWorld(url, node), scale, scale.missed_on_daemon)
    show(sections, as_json=options.json)


def sections_of(
    name: str, server: PostgresServer, make_world: MakeWorld, scale: Scale, missed: Sequence[int]
) -> list[Section]:
    """Measure everything in one kind of world."""

    @contextmanager
    def world() -> Iterator[World]:
        with server.database() as url:
            made = make_world(url)
            try:
                yield made
            finally:
                made.close()

    with world() as one:
        broadcasts = [broadcast(one, first=number == 0) for number in range(scale.runs)]
    polls = []
    for number in scale.open_deposits:
        with world() as one:
            idle, busy = poll(one, number, scale.runs)
        requests = 2 + -(-number // 100)
        polls += [
            _measure(f"{number:,} open, nothing new", idle, Goal(most=1)),
            _measure(f"{number:,} open, a new block", busy, Goal(most=requests)),
        ]
    caught_up, reconciled = [], []
    for number in missed:
        with world() as one:
            caught_up.append(catch_up(one, number))
            reconciled.append(compare(one, number))
    return [
        Section(f"{name}: catching up after downtime (goal: seconds in all)", caught_up),
        Section(f"{name}: the books against the backend", reconciled),
        Section(
            f"{name}: {WITHDRAWALS} queued withdrawals go out in one network transaction",
            [_measure("do_broadcasts", broadcasts)],
        ),
        Section(f"{name}: a confirmation poll with open deposits (goal: calls to the backend)", polls),
    ]


def deposit_block(server: PostgresServer, directory: Path, scale: Scale) -> Section:
    """Take a block of deposits from first sight to credited, on books with a long history."""
    with server.database() as history:
        with opened_books(history, accounts=ACCOUNTS) as books:
            fill(books, movements=scale.history)
        lives = []
        for _ in range(scale.runs):
            with server.database(copy_of=history) as url:
                world = SimulatedWorld(url, directory)
                try:
                    lives.append(life_of_a_block(world, scale.block))
                finally:
                    world.close()
    steps = ["first sight", *(f"{blocks} confirmations" for blocks in range(1, 4))]
    return Section(
        f"A block of {scale.block:,} deposits, {scale.history // 5:,} deposits in the books (goal: own seconds)",
        [
            _seconds("first sight to credited", [_sum(life) for life in lives], Goal(most=2, stretch=0.8)),
            *(_seconds(step, costs, None) for step, costs in zip(steps, zip(*lives, strict=True), strict=True)),
        ],
    )


def life_of_a_block(world: SimulatedWorld, deposits: int) -> list[Cost]:
    """Follow deposits from the mempool to the third confirmation and return what each step took."""
    accounts = account_ids(world.app, world.coin, world.wallet_id)
    world.pay(world.receiving_addresses(deposits, accounts), AMOUNT)
    gc.collect()
    gc.freeze()  # as the daemon does
    costs = []
    for _ in range(4):
        told: list[int] = []
        costs.append(world.meter.measure(lambda told=told: told.append(world.updater.follow())))  # type: ignore[misc]
        if told != [deposits]:
            raise SystemExit(f"{deposits} deposits changed and {told} events were written")
        world.mine()
    return costs


def catch_up(world: World, missed: int) -> Measure:
    """Follow the chain after so many wallet transactions that nobody looked at, all of them deep in the chain."""
    world.updater.follow()
    addresses = world.receiving_addresses(min(missed, 1000))
    world.pay([addresses[each % len(addresses)] for each in range(missed)], AMOUNT)
    for _ in range(world.coin.max_confirmation_count + 5):
        world.mine()
    # In a process of its own, as after downtime: ours has taken memory for the payments, and used it again.
    with get_context("spawn").Pool(1) as process:
        told, cost, memory = process.apply(follow_alone, world.place)
    if told != missed:
        raise SystemExit(f"{missed} deposits were missed and {told} events were written")
    return Measure(
        f"{missed:,} missed wallet transactions",
        {
            "seconds": cost.seconds,
            "own seconds": cost.own_seconds,
            "backend calls": float(cost.backend_calls),
            "HTTP requests": float(cost.http_requests),
            "SQL statements": float(cost.statements),
            "MiB more at the peak": memory,
        },
        Goal(most=15),
    )


def follow_alone(url: str, symbol: str, backend: dict[str, Any]) -> tuple[int, Cost, float]:
    """Follow the chain of a world; returns the events, what it took, and the MiB more than before."""
    with opened_alone(url, symbol, backend) as (app, coin, connected, meter):
        updater = TransactionUpdater(app.conflict_resolver, connected, coin)
        told: list[int] = []
        with peak_memory() as memory:
            cost = meter.measure(lambda: told.append(updater.follow()))
        return told[0], cost, memory[0]


def compare(world: World, number: int) -> Measure:
    """Reconcile the books with a wallet of so many transactions, as the command does in a process of its own."""
    with get_context("spawn").Pool(1) as process:
        balanced, cost, memory = process.apply(reconcile_alone, world.place)
    if not balanced:
        raise SystemExit("books and backend differ")
    return Measure(
        f"{number:,} wallet transactions",
        {
            "seconds": cost.seconds,
            "own seconds": cost.own_seconds,
            "SQL statements": float(cost.statements),
            "MiB more at the peak": memory,
        },
        None,
    )


def reconcile_alone(url: str, symbol: str, backend: dict[str, Any]) -> tuple[bool, Cost, float]:
    """Compare the books of a world with its backend; returns whether they agree, and what it took."""
    with opened_alone(url, symbol, backend) as (app, coin, connected, meter):
        found: list[bool] = []
        with app.open_readonly_session() as session, peak_memory() as memory:
            cost = meter.measure(lambda: found.append(reconcile(session, coin, connected).balanced))
        return found[0], cost, memory[0]


@contextmanager
def opened_alone(
    url: str, symbol: str, backend: dict[str, Any]
) -> Iterator[tuple[CryptoAssetsApp, Coin, CoinBackend, Meter]]:
    """Open a world in another process than that which made it."""
    app = configured_app(url, symbol=symbol, backend=backend)
    coin = app.coins.get(symbol)
    if coin.backend is None or app.engine is None:
        raise SystemExit("the world has a database and a backend")
    coin.backend.check()
    try:
        yield app, coin, coin.backend, Meter(app.engine, coin.backend)
    finally:
        app.close()


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Take how many MiB more than before this process had in memory at most."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from now on
    before = memory_mib()
    taken = [0.0]
    yield taken
    taken[0] = max(0.0, memory_mib(which="VmHWM") - before)


def broadcast(world: World, *, first: bool) -> Cost:
    """Send a hundred queued withdrawals."""
    if first:
        world.pay(world.receiving_addresses(10), Decimal(1))
        for _ in range(world.coin.confirmation_count):
            world.mine()
            world.updater.poll()
    world.queue_withdrawals(WITHDRAWALS, Decimal("0.001"))
    broadcaster = world.broadcaster()
    sent: list[int] = []
    cost = world.meter.measure(lambda: sent.append(broadcaster.do_broadcasts().count))
    if sent != [1]:
        raise SystemExit(f"{WITHDRAWALS} withdrawals went out in {sent} network transactions")
    world.mine()  # the change is spent next time
    world.updater.poll()
    return cost


def poll(world: World, number: int, runs: int) -> tuple[list[Cost], list[Cost]]:
    """Follow the chain with so many open deposits, without and with a new block."""
    world.pay(world.receiving_addresses(number), AMOUNT)
    world.mine()
    world.updater.follow()
    idle, busy = [], []
    for _ in range(runs):
        idle.append(world.meter.measure(world.updater.poll))
        world.mine()
        events: list[int] = []
        busy.append(world.meter.measure(lambda told=events: told.append(world.updater.poll())))  # type: ignore[misc]
        if events != [number]:
            raise SystemExit(f"a block changed {number} deposits and {events} events were written")
    return idle, busy


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statements=sum(cost.statements for cost in costs),
        backend_calls=sum(cost.backend_calls for cost in costs),
        http_requests=sum(cost.http_requests for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
        backend_seconds=sum(cost.backend_seconds for cost in costs),
    )


def _seconds(name: str, costs: Sequence[Cost], goal: Goal | None) -> Measure:
    return Measure(
        name,
        {
            "own seconds": Spread.of(cost.own_seconds for cost in costs),
            "SQL statements": Spread.of(cost.statements for cost in costs),
            "backend calls": Spread.of(cost.backend_calls for cost in costs),
        },
        goal,
    )


def _measure(name: str, costs: Sequence[Cost], goal: Goal | None = None) -> Measure:
    return Measure(
        name,
        {
            "backend calls": Spread.of(cost.backend_calls for cost in costs),
            "HTTP requests": Spread.of(cost.http_requests for cost in costs),
            "SQL statements": Spread.of(cost.statements for cost in costs),
            "own ms": Spread.of(cost.own_seconds * 1000 for cost in costs),
            "backend ms": Spread.of(cost.backend_seconds * 1000 for cost in costs),
            "x backend": Spread.of(cost.seconds / max(cost.backend_seconds, 1e-9) for cost in costs),
        },
        goal,
    )


if __name__ == "__main__":
    main()
