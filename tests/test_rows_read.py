"""No query that runs repeatedly scans a table that grows: PostgreSQL counts the rows that each call reads.

What is open in these books, and what fits a page, is a few hundred rows at most; what grows has thousands.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from kit import PaperBackend, seen
from rows_read import RowsRead, rows_read

from cryptoassets_core.backend.syncstate import read_sync_state
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.testing.postgres import PostgresServer

# The calls that the benchmarks time.
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from support.books import Books, opened_books
from support.calls import CALLS, desk
from support.history import fill

pytestmark = pytest.mark.postgres

MOVEMENTS = 50_000

#: Far above what is open, far below what there is of anything that grows.
MOST_ROWS = 1000


@pytest.fixture(scope="module")
def books(postgres_server: PostgresServer) -> Iterator[Books]:
    with postgres_server.database() as url, opened_books(url, accounts=110) as books:
        fill(books, movements=MOVEMENTS)
        yield books


@pytest.mark.parametrize("name", CALLS)
def test_call_reads_few_rows_of_long_books(books: Books, name: str) -> None:
    with books.app.open_session() as session:
        ready = desk(session, books)
        before = rows_read(session)
        CALLS[name](ready)
        read = {table: rows - before.get(table, 0) for table, rows in rows_read(session).items()}
        session.rollback()

    assert {table: rows for table, rows in read.items() if rows > MOST_ROWS} == {}


def test_block_of_many_deposits_reads_none_but_their_rows(books: Books) -> None:
    """So many that PostgreSQL would rather read whole tables."""
    tables, number = books.coin.wallet_model.books(), 1500
    addresses = [f"large block {each}" for each in range(number)]
    new = [{"address": each, "account_id": books.account_ids[0]} for each in addresses]
    books.app.conflict_resolver.run(lambda session: session.execute(sa.insert(tables.address), new))
    updater = TransactionUpdater(books.app.conflict_resolver, PaperBackend(), books.coin)
    state = books.app.conflict_resolver.run(lambda session: read_sync_state(session, tables))
    assert books.app.engine is not None
    rows = RowsRead(books.app.engine)
    for confirmations in (0, 1, 3):
        block = [seen(each, {each: "0.01"}, confirmations) for each in addresses]
        read = rows.by(partial(updater._write_chunk, block, state, None))
        assert {table: rows for table, rows in read.items() if rows > 7 * number} == {}
        assert read[tables.transaction.name] >= number


def test_scan_of_a_table_is_counted(books: Books) -> None:
    transaction = books.coin.wallet_model.books().transaction
    with books.app.open_session() as session:
        session.scalar(sa.select(sa.func.max(transaction.c.amount)))

        assert rows_read(session)[transaction.name] > MOVEMENTS
