"""How fast the ledger is, against the least that PostgreSQL needs for a transfer; how it grows; what an audit needs.

Every rate is divided by what pgbench reached on the same server just before: A1 with one client, A4 with four.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from support.books import opened_books
from support.growth import growth
from support.load import Crew, Job, Kind, Outcome, hired, run
from support.pgbench import Anchor
from support.report import Goal, Measure, Section, Spread, add_options, show

from cryptoassets_core.testing.postgres import PostgresServer

PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    accounts: int
    pairs: int
    anchor_seconds: int
    seconds: float
    #: Of all processes together and in all pairs: the claim is "no give-up in so many".
    uniform_transfers: int
    few_rows: int
    many_rows: int
    #: Calls whose median is one figure of growth.
    repeats: int


FULL = Scale(
    accounts=1000,
    pairs=5,
    anchor_seconds=4,
    seconds=4,
    uniform_transfers=100_000,
    few_rows=1_000,
    many_rows=1_000_000,
    repeats=15,
)
QUICK = Scale(
    accounts=110,
    pairs=2,
    anchor_seconds=1,
    seconds=0.2,
    uniform_transfers=400,
    few_rows=1_000,
    many_rows=5_000,
    repeats=2,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A run and the anchor taken just before it."""

    anchor: float
    outcomes: list[Outcome]

    @property
    def per_second(self) -> float:
        """Transfers of all processes together."""
        return sum(outcome.transfers for outcome in self.outcomes) / max(outcome.seconds for outcome in self.outcomes)

    @property
    def ratio(self) -> float:
        """Parts of the anchor."""
        return self.per_second / self.anchor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--only", choices=["rates", "growth"], help="measure one part only")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    sections = []
    with PostgresServer(durable=True) as server:
        if options.only != "growth":
            sections.append(rates(server, scale))
        if options.only != "rates":
            sections += growth(
                server,
                accounts=scale.accounts,
                few=scale.few_rows,
                many=scale.many_rows,
                pairs=scale.pairs,
                repeats=scale.repeats,
            )
    show(sections, as_json=options.json)


def rates(server: PostgresServer, scale: Scale) -> Section:
    """Transfers a second."""
    anchor = Anchor(server.create_database(), accounts=scale.accounts)
    url = server.create_database()
    with opened_books(url, accounts=scale.accounts) as books, hired(url, books.wallet_id, processes=PROCESSES) as crew:

        def alone(kind: Kind) -> list[Pair]:
            run(books, Job(kind, calls=3))
            return [
                Pair(
                    anchor.transfers_per_second(clients=1, seconds=scale.anchor_seconds),
                    [run(books, Job(kind, seconds=scale.seconds))],
                )
                for _ in range(scale.pairs)
            ]

        def together(job: Job) -> list[Pair]:
            return [_beside(anchor, crew, job, scale) for _ in range(scale.pairs)]

        calls = scale.uniform_transfers // scale.pairs // PROCESSES
        measures = [
            _measure("1 process, Teller.send_internal", "A1", alone("teller"), Goal(least=0.40, stretch=0.60)),
            _measure("1 process, managed_transaction", "A1", alone("managed"), Goal(least=0.40, stretch=0.60)),
            _measure("4 processes, Teller", "A4", together(Job("teller", calls=calls)), Goal(least=0.30, stretch=0.45)),
            _measure(
                "4 processes, managed", "A4", together(Job("managed", calls=calls)), Goal(least=0.30, stretch=0.45)
            ),
            _measure(
                "4 processes, one hot receiver",
                "A4",
                together(Job("hot", seconds=scale.seconds)),
                Goal(least=0.20, stretch=0.33),
            ),
            _measure("1 process, batches of 1000", "A1", alone("batch"), Goal(least=8, stretch=25)),
        ]
        books.check()
    return Section(f"Transfers, {scale.accounts} accounts, PostgreSQL with default durability", measures)


def _beside(anchor: Anchor, crew: Crew, job: Job, scale: Scale) -> Pair:
    before = anchor.transfers_per_second(clients=PROCESSES, seconds=scale.anchor_seconds)
    return Pair(before, crew.run(job))


def _measure(name: str, unit: str, pairs: Sequence[Pair], goal: Goal) -> Measure:
    outcomes = [outcome for pair in pairs for outcome in pair.outcomes]
    latencies = sorted(latency for outcome in outcomes for latency in outcome.latencies)
    percentiles = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    transfers = sum(outcome.transfers for outcome in outcomes)
    return Measure(
        name,
        {
            "ratio": Spread.of(pair.ratio for pair in pairs),
            "of": unit,
            "transfers/s": Spread.of(pair.per_second for pair in pairs),
            "p50 ms": percentiles[49] * 1000,
            "p99 ms": percentiles[98] * 1000,
            "py ms": sum(outcome.cpu_seconds for outcome in outcomes) / max(transfers, 1) * 1000,
            "transfers": transfers,
            "retries": sum(outcome.retries for outcome in outcomes),
            "give-ups": sum(outcome.give_ups for outcome in outcomes),
        },
        goal,
    )


if __name__ == "__main__":
    main()
