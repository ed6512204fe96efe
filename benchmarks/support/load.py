"""Transfers made as an application makes them, in this process or in several at once."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any, Literal

import psycopg2
from sqlalchemy import URL
from sqlalchemy.orm import Session

from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.tools.teller import Teller
from support.books import Books, account_ids, opened_app

AMOUNT = Decimal("0.0001")

#: ``teller``: each transfer in a transaction of its own. ``managed``: by a managed function, which loads the wallet.
#: ``hot``: like ``teller``, all to one account. ``batch``: 1000 in one call. ``floor``: what ``teller`` has the server
#: do, by the driver alone: no Python could be faster.
Kind = Literal["floor", "teller", "managed", "hot", "batch"]

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """How long to go on: for some seconds, or for a number of calls."""

    kind: Kind
    seconds: float | None = None
    calls: int | None = None


@dataclass(slots=True)
class Outcome:
    """What one process did."""

    transfers: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    give_ups: int = 0
    retries: int = 0
    #: Of each call, in seconds.
    latencies: list[float] = field(default_factory=list)


def run(books: Books, job: Job) -> Outcome:
    """Do a job in this process."""
    outcome = Outcome()
    call = _call(books, job.kind)
    per_call = BATCH if job.kind == "batch" else 1
    stats = books.app.conflict_resolver.stats
    retries, began, cpu = stats["retries"], time.perf_counter(), time.process_time()
    deadline = began + (job.seconds or float("inf"))
    now = began
    while now < deadline and (job.calls is None or len(outcome.latencies) < job.calls):
        try:
            call()
            outcome.transfers += per_call
        except CannotResolveDatabaseConflict:
            outcome.give_ups += 1
        before, now = now, time.perf_counter()
        outcome.latencies.append(now - before)
    outcome.seconds, outcome.cpu_seconds = now - began, time.process_time() - cpu
    outcome.retries = stats["retries"] - retries
    return outcome


def _call(books: Books, kind: Kind) -> Callable[[], object]:
    teller = Teller(books.coin, books.app.conflict_resolver)
    ids = books.account_ids
    hot, others = ids[0], ids[1:]

    def order(sender: int, receiver: int) -> TransferOrder:
        return TransferOrder(
            wallet_id=books.wallet_id, sending_account_id=sender, receiving_account_id=receiver, amount=AMOUNT
        )

    def pair() -> tuple[int, int]:
        sender, receiver = random.sample(ids, 2)
        return sender, receiver

    @books.app.conflict_resolver.managed_transaction
    def managed(session: Session, sender: int, receiver: int) -> int:
        wallet = books.coin.wallet_model.get_by_id(session, books.wallet_id)
        return wallet.send_internal(sender, receiver, AMOUNT, None).id

    # Made beforehand: to ask for a transfer is the application's work.
    batches = itertools.cycle([[order(*pair()) for _ in range(BATCH)] for _ in range(10 if kind == "batch" else 0)])
    cursor = _driver(books.app.engine.url).cursor() if kind == "floor" and books.app.engine else None

    def floor(sender: int, receiver: int) -> None:
        assert cursor is not None  # for the type checker
        values = (books.wallet_id, sender, receiver, 10_000, 2**62, None, None, None, datetime.now(UTC))
        cursor.execute("SELECT * FROM btc_transfer(%s, %s, %s, %s, %s, %s, %s, %s, %s)", values)
        if cursor.fetchone()[0] is None:
            raise SystemExit("the floor's transfer was refused")

    calls: dict[Kind, Callable[[], object]] = {
        "floor": lambda: floor(*pair()),
        "teller": lambda: teller.send_internal(order(*pair())),
        "managed": lambda: managed(*pair()),
        "hot": lambda: teller.send_internal(order(random.sample(others, 1)[0], hot)),
        "batch": lambda: teller.send_internal_many(books.wallet_id, next(batches)),
    }
    return calls[kind]


@functools.cache
def _driver(url: URL) -> Any:
    """Return a connection of the driver, on which each statement is a transaction of its own."""
    driver = psycopg2.connect(user=url.username, dbname=url.database, **url.query)
    driver.autocommit = True
    return driver


class Crew:
    """Processes that do the same job at once; started once, because importing takes longer than a short run."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def run(self, job: Job) -> list[Outcome]:
        """Have every process do the job."""
        for pipe in self._pipes:
            pipe.send(job)
        return [pipe.recv() for pipe in self._pipes]


@contextmanager
def hired(url: str, wallet_id: int, *, processes: int) -> Iterator[Crew]:
    """Lend a crew that works on a database."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(url, wallet_id, theirs), daemon=True)
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    try:
        for pipe in pipes:
            pipe.recv()
        yield Crew(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.join()


def _work(url: str, wallet_id: int, pipe: Connection) -> None:
    random.seed()
    with opened_app(url) as app:
        coin = app.coins.get("btc")
        books = Books(app, coin, wallet_id, account_ids(app, coin, wallet_id))
        run(books, Job("teller", calls=20))  # a first connection and a compiled statement
        pipe.send("ready")
        try:
            while True:
                pipe.send(run(books, pipe.recv()))
        except EOFError:
            return
