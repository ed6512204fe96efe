"""How the time of each call grows with the books, and how much memory an audit of long books takes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from cryptoassets_core.testing.postgres import PostgresServer
from cryptoassets_core.tools.audit import audit
from support.books import Books, opened_app, opened_books
from support.calls import CALLS, Call, desk
from support.history import fill
from support.report import Goal, Measure, Section, Spread

MIB = 1024 * 1024


def growth(server: PostgresServer, *, accounts: int, few: int, many: int, pairs: int, repeats: int) -> list[Section]:
    """Time every call on short and on long books in turn.

    :param repeats: calls whose median is one figure of a pair.
    """
    short_url, long_url = server.create_database(), server.create_database()
    with opened_books(short_url, accounts=accounts) as short, opened_books(long_url, accounts=accounts) as long:
        fill(short, movements=few)
        fill(long, movements=many)
        for call in CALLS.values():  # statements are compiled and connections made
            for books in (short, long):
                _seconds(books, call, 2)
        measures = []
        for name, call in CALLS.items():
            taken = [(_seconds(short, call, repeats), _seconds(long, call, repeats)) for _ in range(pairs)]
            measures.append(_measure(name, taken, few, many))
    return [
        Section(f"Growth: the same call with {few:,} and with {many:,} transactions in the tables", measures),
        Section(f"Audit of {many:,} transactions, in a process of its own", [_audit(long_url)]),
    ]


def _measure(name: str, taken: Sequence[tuple[float, float]], few: int, many: int) -> Measure:
    return Measure(
        name,
        {
            "ratio": Spread.of(after / before for before, after in taken),
            f"ms at {few:,}": Spread.of(before * 1000 for before, _ in taken),
            f"ms at {many:,}": Spread.of(after * 1000 for _, after in taken),
        },
        Goal(most=1.5),
    )


def _seconds(books: Books, call: Call, repeats: int) -> float:
    return median(_once(books, call) for _ in range(repeats))


def _once(books: Books, call: Call) -> float:
    session = books.app.open_session()
    try:
        # What waits in the session, such as the withdrawal made for the call, is no part of it.
        ready = desk(session, books)
        began = time.perf_counter()
        call(ready)
        return time.perf_counter() - began
    finally:
        session.rollback()
        session.close()


def _audit(url: str) -> Measure:
    done = subprocess.run(
        [sys.executable, "-m", "support.growth", url],
        cwd=sys.path[0],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"the audit failed: {done.stderr}")
    seconds, rss, findings = done.stdout.split()
    if int(findings):
        raise SystemExit(f"the audit of the written history names {findings} rows; the history is wrong")
    return Measure("audit", {"peak MiB": float(rss), "seconds": float(seconds)}, Goal(most=200))


def main(arguments: Sequence[str]) -> None:
    """Audit a database and print seconds, peak memory in MiB and the number of findings."""
    with opened_app(arguments[0]) as app:
        began = time.perf_counter()
        with app.open_readonly_session() as session:
            findings = sum(1 for _ in audit(session, app.coins.get("btc")))
        # Linux counts in KiB. Source: getrusage(2).
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(time.perf_counter() - began, peak / MIB, findings)


if __name__ == "__main__":
    main(sys.argv[1:])
