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
from support.load import Job, Outcome, hired, run
from support.pgbench import Anchor
from support.report import Goal, Measure, Section, Spread, add_options, show
from support.servercpu import ServerClock

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
    anchor_seconds=2,
    seconds=3,
    uniform_transfers=100_000,
    few_rows=1_000,
    many_rows=1_000_000,
    repeats=9,
)
QUICK = Scale(
    accounts=110,
    pairs=1,
    anchor_seconds=1,
    seconds=0.1,
    uniform_transfers=100,
    few_rows=200,
    many_rows=1_000,
    repeats=1,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A run and the anchor taken just before it."""

    anchor: float
    outcomes: list[Outcome]
    #: Processor time of the server.
    server_seconds: float

    @property
    def transfers(self) -> int:
        """Of all processes together."""
        return sum(outcome.transfers for outcome in self.outcomes)

    @property
    def per_second(self) -> float:
        """Transfers of all processes together."""
        return self.transfers / max(outcome.seconds for outcome in self.outcomes)

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
                pairs=min(scale.pairs, 3),
                repeats=scale.repeats,
            )
    show(sections, as_json=options.json)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of rates."""

    name: str
    processes: int
    job: Job
    goal: Goal | None = None


def _rows(scale: Scale) -> list[Row]:
    for_a_while = scale.seconds
    calls = scale.uniform_transfers // scale.pairs // PROCESSES
    one, four = Goal(least=0.40, stretch=0.60), Goal(least=0.30, stretch=0.45)
    return [
        Row("1 process, the driver alone", 1, Job("floor", seconds=for_a_while)),
        Row("1 process, Teller.send_internal", 1, Job("teller", seconds=for_a_while), one),
        Row("1 process, managed_transaction", 1, Job("managed", seconds=for_a_while), one),
        Row("1 process, batches of 1000", 1, Job("batch", seconds=for_a_while), Goal(least=8, stretch=25)),
        Row("4 processes, the driver alone", PROCESSES, Job("floor", seconds=for_a_while)),
        Row("4 processes, Teller", PROCESSES, Job("teller", calls=calls), four),
        Row("4 processes, managed", PROCESSES, Job("managed", seconds=for_a_while), four),
        Row(
            "4 processes, one hot receiver",
            PROCESSES,
            Job("hot", seconds=for_a_while),
            Goal(least=0.20, stretch=0.33),
        ),
    ]


def rates(server: PostgresServer, scale: Scale) -> Section:
    """Transfers a second: all rows in turn, again and again, so that what disturbs one disturbs the others too."""
    anchor = Anchor(server.create_database(), accounts=scale.accounts)
    url = server.create_database()
    rows = _rows(scale)
    pairs: dict[str, list[Pair]] = {row.name: [] for row in rows}
    with opened_books(url, accounts=scale.accounts) as books, hired(url, books.wallet_id, processes=PROCESSES) as crew:
        clock = ServerClock(url)
        for row in rows:
            if row.processes == 1:
                run(books, Job(row.job.kind, calls=3))
        for _ in range(scale.pairs):
            for row in rows:
                before = anchor.transfers_per_second(clients=row.processes, seconds=scale.anchor_seconds)
                began = clock.seconds()
                outcomes = [run(books, row.job)] if row.processes == 1 else crew.run(row.job)
                pairs[row.name].append(Pair(before, outcomes, clock.seconds() - began))
        clock.close()
        books.check()
    floors = {row.processes: pairs[row.name] for row in rows if row.job.kind == "floor"}
    measures = [_measure(row, pairs[row.name], floors[row.processes]) for row in rows]
    return Section(f"Transfers, {scale.accounts} accounts, PostgreSQL with default durability", measures)


def _measure(row: Row, pairs: Sequence[Pair], floors: Sequence[Pair]) -> Measure:
    outcomes = [outcome for pair in pairs for outcome in pair.outcomes]
    latencies = sorted(latency for outcome in outcomes for latency in outcome.latencies)
    percentiles = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    transfers = max(sum(pair.transfers for pair in pairs), 1)
    return Measure(
        row.name,
        {
            "ratio": Spread.of(pair.ratio for pair in pairs),
            "of": "A1" if row.processes == 1 else "A4",
            "of driver": Spread.of(
                pair.per_second / floor.per_second for pair, floor in zip(pairs, floors, strict=True)
            ),
            "transfers/s": Spread.of(pair.per_second for pair in pairs),
            "p99 ms": percentiles[98] * 1000,
            "py ms": sum(outcome.cpu_seconds for outcome in outcomes) / transfers * 1000,
            "server ms": sum(pair.server_seconds for pair in pairs) / transfers * 1000,
            "transfers": transfers,
            "retries": sum(outcome.retries for outcome in outcomes),
            "give-ups": sum(outcome.give_ups for outcome in outcomes),
        },
        row.goal,
    )


if __name__ == "__main__":
    main()
