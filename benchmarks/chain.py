"""What following the chain and broadcasting cost: calls to the backend, SQL statements, and time of our own.

Own time is without what the backend took. The backend's own time is the floor that nobody gets below; the column
"x backend" is the whole in multiples of it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from support.counting import Cost
from support.report import Goal, Measure, Section, Spread, add_options, show
from support.worlds import AMOUNT, NodeWorld, SimulatedWorld, World, running_node

from cryptoassets_bitcoind.testing import DAEMON
from cryptoassets_core.testing.postgres import PostgresServer

WITHDRAWALS = 100

MakeWorld = Callable[[str], World]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    runs: int
    open_deposits: tuple[int, ...]


FULL = Scale(runs=5, open_deposits=(10, 100, 1000))
QUICK = Scale(runs=2, open_deposits=(3, 6))


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
            sections += sections_of("simnet", server, lambda url: SimulatedWorld(url, Path(directory)), scale)
        if options.daemon_only or (not options.simnet_only and shutil.which(DAEMON)):
            with running_node() as node:
                sections += sections_of(DAEMON, server, lambda url: NodeWorld(url, node), scale)
    show(sections, as_json=options.json)


def sections_of(name: str, server: PostgresServer, make_world: MakeWorld, scale: Scale) -> list[Section]:
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
    return [
        Section(
            f"{name}: {WITHDRAWALS} queued withdrawals go out in one network transaction",
            [_measure("do_broadcasts", broadcasts)],
        ),
        Section(f"{name}: a confirmation poll with open deposits (goal: calls to the backend)", polls),
    ]


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
