"""How long each status page takes, over HTTP, and how large it is, when the books are long."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import sqlalchemy as sa
from support.books import Books, opened_books
from support.history import fill
from support.report import Goal, Measure, Section, Spread, add_options, show

from cryptoassets_core.app import Subsystem
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.testing.postgres import PostgresServer
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer

#: What a page may take and weigh.
GOAL_MS = 200
GOAL_KB = 300


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    accounts: int
    movements: int
    runs: int


FULL = Scale(accounts=100_000, movements=1_000_000, runs=10)
QUICK = Scale(accounts=110, movements=5_000, runs=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    with (
        PostgresServer(durable=True) as server,
        opened_books(server.create_database(), accounts=110) as books,
        tempfile.TemporaryDirectory() as directory,
    ):
        _add_accounts(books, scale.accounts)
        fill(books, movements=scale.movements)
        with served(books, Path(directory)) as url:
            measures = [measure(url, path, scale.runs) for path in paths(books, scale)]
    title = f"Status pages with {scale.movements:,} transactions and {scale.accounts:,} accounts"
    show([Section(title, measures)], as_json=options.json)


def paths(books: Books, scale: Scale) -> list[str]:
    """Return the pages: each list at its beginning, in its middle and searched, and each story."""
    middle, account = scale.movements // 2, books.account_ids[5]
    return [
        "/",
        "/activity",
        "/wallets",
        "/accounts",
        f"/accounts/btc/{account}",
        "/addresses",
        "/addresses?address=deposit4",
        "/transactions",
        f"/transactions?beyond={middle}",
        "/transactions?state=open",
        "/transactions?kind=refund",
        "/transactions?txid=ab12",
        f"/transactions/btc/{middle}",
        "/network_transactions",
        "/network_transactions?kind=broadcast",
        "/broadcasts",
        "/events",
        f"/events/{middle}",
        "/api/status",
        "/metrics",
    ]


def measure(url: str, path: str, runs: int) -> Measure:
    """Ask for a page again and again, on one connection."""
    taken, size = [], 0
    with requests.Session() as session:
        session.get(url + path, timeout=60)  # compiles statements and templates
        for _ in range(runs):
            began = time.perf_counter()
            answer = session.get(url + path, timeout=60)
            taken.append((time.perf_counter() - began) * 1000)
            if answer.status_code != requests.codes.ok:
                raise SystemExit(f"{path} answers {answer.status_code}")
            size = len(answer.content)
    verdict = "" if size < GOAL_KB * 1000 else "TOO LARGE"
    return Measure(path, {"ms": Spread.of(taken), "kB": size / 1000, "size": verdict}, Goal(most=GOAL_MS))


@contextmanager
def served(books: Books, directory: Path) -> Iterator[str]:
    """Serve the pages of a daemon that does nothing else."""
    backend = {"name": "simnet", "path": str(directory / "chain")}
    config = {
        "database": {"url": books.url},
        "coins": {"btc": {"network": "regtest", "backend": backend}},
        "events": {"sink": {"name": "http", "url": "http://127.0.0.1:9/"}},
    }
    service = Service(config, tuple(Subsystem), logging=False)
    figures = Figures(service.app)
    figures.refresh()
    server = BackgroundHTTPServer(make_wsgi_app(service, None, figures), "127.0.0.1", 0, "status-server")
    server.start()
    try:
        yield server.url.rstrip("/")
    finally:
        server.stop()
        service.app.close()


def _add_accounts(books: Books, number: int) -> None:
    """Add accounts that never had anything, by set-based SQL."""
    if books.app.engine is None:
        raise SystemExit("the books have no database")
    with books.app.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO btc_account (wallet_id, name, kind, balance, entries, overdrawn, created_at)"
                " SELECT :wallet, 'idle ' || n, 'user', 0, 0, false, now() FROM generate_series(1, :number) AS n"
            ),
            {"wallet": books.wallet_id, "number": number - len(books.account_ids)},
        )


if __name__ == "__main__":
    main()
