"""A daemon that is not started, and a client of its status server; long books for what must not read them all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from status_stage import MOVEMENTS, opened_service

from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.testing.postgres import PostgresServer

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
from support.books import Books, opened_books
from support.history import fill


@pytest.fixture
def service(books_url: str, tmp_path: Path) -> Iterator[Service]:
    """A daemon over empty books, on each kind of database in turn."""
    with opened_service(books_url, tmp_path) as service:
        yield service


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return make_wsgi_app(service).test_client()


@pytest.fixture(scope="session")
def long_books(postgres_server: PostgresServer) -> Iterator[Books]:
    """Books on PostgreSQL after years of use; for looking at only."""
    with postgres_server.database() as url, opened_books(url, accounts=110) as books:
        fill(books, movements=MOVEMENTS)
        yield books
