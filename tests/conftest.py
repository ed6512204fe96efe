"""Books on every database that the kernel promises."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import Till, create_tables, open_till, sqlite_file

from cryptoassets_core.testing.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_books(postgres_server: PostgresServer) -> str:
    """URL of a PostgreSQL database with tables, to be copied."""
    url = postgres_server.create_database()
    create_tables(url)
    return url


@pytest.fixture(scope="session")
def sqlite_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with tables, to be copied."""
    path = tmp_path_factory.mktemp("books") / "books.sqlite"
    create_tables(sqlite_file(path))
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def books_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database of the test's own that has the tables, on each kind of database in turn."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("sqlite_books"), tmp_path / "books.sqlite")
        yield sqlite_file(path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(copy_of=request.getfixturevalue("postgres_books")) as url:
        yield url


@pytest.fixture
def till(books_url: str) -> Iterator[Till]:
    """Empty books, on each kind of database in turn."""
    with open_till(books_url) as till:
        yield till


@pytest.fixture
def postgres_till(postgres_server: PostgresServer, postgres_books: str) -> Iterator[Till]:
    """Empty books on PostgreSQL, for what only happens where writers work side by side."""
    with postgres_server.database(copy_of=postgres_books) as url, open_till(url) as till:
        yield till
