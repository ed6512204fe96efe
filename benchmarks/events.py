"""How fast events reach an application over HTTP, how soon after their commit, and what a long queue costs.

PostgreSQL and the application are processes of their own on this machine, so all three share its cores.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import text
from support.listener import ask, listening
from support.processes import memory_mib
from support.report import Goal, Measure, Section, Spread, add_options, show

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.event import outbox
from cryptoassets_core.event.dispatcher import EventDispatcher
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.testing.postgres import PostgresServer

#: Events of one deposit: seen, and some confirmations.
EVENTS_A_SUBJECT = 5
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of nobody


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    runs: int
    events: int
    commits: int
    queue: int
    writer_seconds: float


FULL = Scale(runs=3, events=10_000, commits=300, queue=100_000, writer_seconds=4)
QUICK = Scale(runs=1, events=100, commits=10, queue=300, writer_seconds=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    with PostgresServer(durable=True) as server:
        sections = [
            Section(
                "Delivery to a local HTTP sink",
                [
                    throughput(server, scale, "one connection"),
                    throughput(server, scale, "one connection, signed", secret=SECRET),
                    throughput(server, scale, "four connections", connections=4),
                    latency(server, scale),
                ],
            ),
            Section("A queue that has grown while the sink was down", [drain(server, scale)]),
            Section("What NOTIFY costs those who write events", writers(server, scale)),
        ]
    show(sections, as_json=options.json)


@contextmanager
def outboxes(server: PostgresServer) -> Iterator[CryptoAssetsApp]:
    """Open an app on a database of its own."""
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict({"database": {"url": server.create_database()}})
    app.create_tables()
    app.setup_session()
    try:
        yield app
    finally:
        app.close()


def write(app: CryptoAssetsApp, count: int) -> None:
    """Write events of many subjects in turn, and let the database see how many there are."""
    subjects = max(1, count // EVENTS_A_SUBJECT)
    for begin in range(0, count, 1000):
        events = [event(f"btc:{n % subjects}", n // subjects) for n in range(begin, min(count, begin + 1000))]
        app.conflict_resolver.run(lambda session, events=events: outbox.record(session, events))
    app.conflict_resolver.run(lambda session: session.execute(text("ANALYZE")), isolation_level="AUTOCOMMIT")


def event(subject: str, number: int, **more: object) -> NewEvent:
    """Make an event of the size of a txupdate."""
    facts: dict[str, object] = {
        "coin_name": "btc",
        "txid": "1234c8cd" * 8,
        "address": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "amount": "2.50000000",
        "credited": True,
        "confirmations": 3,
    }
    return NewEvent("txupdate", subject, {"subject": subject, "number": number, **facts, **more})


@contextmanager
def dispatching(app: CryptoAssetsApp, url: str, **options: Any) -> Iterator[None]:
    """Deliver to an application."""
    sink = HTTPEventHandler("application", HTTPEventOptions(url=url, **options))
    dispatcher = EventDispatcher(app.conflict_resolver, [sink], engine=app.engine)
    dispatcher.start()
    try:
        yield
    finally:
        dispatcher.stop()


def wait_for(application: Connection, events: int) -> None:
    """Wait until the application has heard so many events, each in its order."""
    while (heard := ask(application)).events < events:
        time.sleep(0.02)
    if heard.out_of_order or heard.events != events:
        raise SystemExit(f"{heard.events} of {events} events, {heard.out_of_order} out of order: no figures")


def throughput(server: PostgresServer, scale: Scale, name: str, **options: Any) -> Measure:
    """Deliver what waits, as fast as it goes."""
    rates = []
    for _ in range(scale.runs):
        with outboxes(server) as app, listening() as (url, application):
            write(app, scale.events)
            began = time.perf_counter()
            with dispatching(app, url, **options):
                wait_for(application, scale.events)
                rates.append(scale.events / (time.perf_counter() - began))
    return Measure(name, {"events a second": Spread.of(rates)}, Goal(least=1000))


def latency(server: PostgresServer, scale: Scale) -> Measure:
    """Commit one event now and then in an app of its own, as another process would."""
    with outboxes(server) as app, listening() as (url, application), dispatching(app, url):
        time.sleep(0.5)
        for number in range(scale.commits):
            with app.conflict_resolver.transaction() as session:
                outbox.record(session, [event(f"btc:{number}", 0, written_at=time.time())])
            time.sleep(0.02)
        wait_for(application, scale.commits)
        milliseconds = sorted(1000 * each for each in ask(application).latencies)
    p99 = milliseconds[min(len(milliseconds) - 1, len(milliseconds) * 99 // 100)]
    return Measure(
        "one event at a time, from before its commit",
        {"p99 ms": p99, "p50 ms": statistics.median(milliseconds)},
        Goal(most=1000),
    )


def drain(server: PostgresServer, scale: Scale) -> Measure:
    """Deliver a long queue, and watch the memory of this process."""
    with outboxes(server) as app, listening() as (url, application):
        write(app, scale.queue)
        # What the first deliveries load for good does not count.
        with dispatching(app, url):
            while ask(application).events < scale.queue // 50:
                time.sleep(0.02)
            before, most, began = memory_mib(), 0.0, time.perf_counter()
            while (heard := ask(application)).events < scale.queue:
                most = max(most, memory_mib())
                time.sleep(0.1)
            seconds = time.perf_counter() - began
        if heard.out_of_order:
            raise SystemExit("out of order: no figures")
    return Measure(
        f"{scale.queue:,} events",
        {
            "MiB more": max(0.0, most - before),
            "MiB in all": most,
            "events a second": scale.queue * 0.98 / seconds,
        },
        Goal(most=20),
    )


def writers(server: PostgresServer, scale: Scale) -> list[Measure]:
    """Let four threads commit an event at a time, with and without telling listeners, in turn."""
    told, silent = [], []
    for _ in range(scale.runs):
        told.append(_commits_a_second(server, scale.writer_seconds, announces=True))
        silent.append(_commits_a_second(server, scale.writer_seconds, announces=False))
    ratios = [one / other for one, other in zip(told, silent, strict=True)]
    return [
        Measure("4 threads, an event a commit", {"x without NOTIFY": Spread.of(ratios), "commits/s": Spread.of(told)})
    ]


def _commits_a_second(server: PostgresServer, seconds: float, *, announces: bool) -> float:
    announce = outbox.announce
    if not announces:
        outbox.announce = lambda session: None
    counts = [0] * 4
    try:
        with outboxes(server) as app:
            ends_at = time.monotonic() + seconds

            def work(number: int) -> None:
                while time.monotonic() < ends_at:
                    app.conflict_resolver.run(
                        lambda session: outbox.record(session, [event(f"btc:{number}", counts[number])]),
                        isolation_level=outbox.ISOLATION_LEVEL,
                    )
                    counts[number] += 1

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        outbox.announce = announce
    return sum(counts) / seconds


if __name__ == "__main__":
    main()
