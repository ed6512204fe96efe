"""No page scans a table that grows: PostgreSQL counts the rows that each one reads.

A page may look at :py:data:`WINDOW` rows where no index knows what is wanted; these books have ten times as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from rows_read import RowsRead
from status_stage import PAGES, opened_service

from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.tools.listing.paging import WINDOW

pytestmark = pytest.mark.postgres

#: What pages look for that an index has.
INDEXED = (
    "/transactions?state=open",
    "/transactions?state=pending",
    "/transactions?txid=ab12",
    "/transactions?address=deposit-77",
    "/transactions?order=oldest",
    "/transactions?beyond=20000",
    "/transactions/btc/20001",
    "/addresses?address=deposit4",
    "/addresses?account=7",
    "/accounts?name=account%207",
    "/accounts/btc/7",
    "/accounts/btc/7?beyond=100",
    "/network_transactions?txid=ab12",
    "/network_transactions/btc/4000",
    "/events?name=txupdate",
    "/events?subject=btc:77",
    "/events/777",
    "/wallets",
    "/accounts",
    "/addresses",
    "/transactions",
    "/network_transactions",
    "/events",
    "/",
    "/metrics",
    "/api/status",
)

#: Pages that may look at a stretch of one table.
STRETCHED = (
    "/activity",
    "/broadcasts",
    "/network_transactions?kind=broadcast",
    "/transactions?kind=refund",
    "/transactions?state=processed",
    "/transactions?kind=refund&beyond=20000",
)


class Pages:
    """Opens pages, and counts the rows that each table gave for them."""

    def __init__(self, client: FlaskClient, engine: sa.Engine) -> None:
        self._client = client
        self._read = RowsRead(engine)

    def open(self, path: str) -> dict[str, int]:
        read = self._read.by(lambda: self._get(path))
        assert read
        return read

    def _get(self, path: str) -> None:
        assert self._client.get(path).status_code == 200, path


@pytest.fixture(scope="module")
def pages(long_books: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with opened_service(long_books.url, tmp_path_factory.mktemp("daemon")) as service:
        client = make_wsgi_app(service).test_client()
        assert service.app.engine is not None
        yield Pages(client, service.app.engine)


def test_pages_read_few_rows_of_long_books(pages: Pages) -> None:
    assert set(PAGES) <= {*INDEXED, *STRETCHED}
    # What is open is some hundred rows, what fits a page fifty; the newest broadcast lies within a stretch.
    for path in INDEXED:
        most = WINDOW if path in ("/", "/metrics", "/api/status") else 1500
        assert {table: rows for table, rows in pages.open(path).items() if rows > most} == {}, path


def test_pages_look_at_one_stretch_where_no_index_helps(pages: Pages) -> None:
    for path in STRETCHED:
        read = {table: rows for table, rows in pages.open(path).items() if rows > 1500}
        assert all(rows <= 2.5 * WINDOW for rows in read.values()), (path, read)
    # One table, and not all that grows: of what is followed there is an index.
    assert pages.open("/activity")["btc_network_transaction"] <= 1500


def test_accounts_page_reads_only_the_addresses_that_it_shows(pages: Pages) -> None:
    # The account has 180 of them.
    for path in ("/accounts/btc/7", "/addresses?account=7"):
        assert pages.open(path)["btc_address"] <= 120, path


def test_account_without_addresses_is_not_looked_for_in_all_of_them(pages: Pages) -> None:
    assert pages.open("/addresses?account=1000000").get("btc_address", 0) <= 120
