"""The pytest plugin ``cryptoassets``: fixtures for tests of the kernel, of plugins and of applications.

pytest loads it wherever the kernel is installed, so it imports nothing before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cryptoassets_core.app import CryptoAssetsApp
    from cryptoassets_core.testing.postgres import PostgresServer

# The suites' assertions tell what they compared, like those of a test module.
_SUITES = ("backendreceiving", "backendsending", "backendsuite", "coinsuite", "eventsinksuite", "walletnotifysuite")
pytest.register_assert_rewrite(*(f"cryptoassets_core.testing.{module}" for module in _SUITES))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server for the whole session; with pytest-xdist, one for each worker."""
    from cryptoassets_core.testing.postgres import PostgresServer, server_path  # noqa: PLC0415
    from cryptoassets_core.testing.requirements import require  # noqa: PLC0415

    require("initdb", "postgresql", path=server_path())
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """URL of the database that each test gets a copy of: empty here, with tables where a ``conftest.py`` overrides it.

    Whoever fills it closes every connection to it.
    """
    return postgres_server.create_database()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """URL of a database of the test's own, dropped afterwards with whatever is still connected."""
    with postgres_server.database(copy_of=postgres_template) as url:
        yield url


@pytest.fixture
def make_sqlite_app(tmp_path: Path) -> Iterator[Callable[..., CryptoAssetsApp]]:
    """Make apps on SQLite files with their tables: ``make_sqlite_app(coins={"btc": {…}})``."""
    from cryptoassets_core.testing.apps import make_app  # noqa: PLC0415

    made: list[CryptoAssetsApp] = []

    def make(*, coins: dict[str, Any], **settings: Any) -> CryptoAssetsApp:
        made.append(make_app(f"sqlite:///{tmp_path / f'books-{len(made)}.sqlite'}", coins, **settings))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def make_postgres_app(postgres_server: PostgresServer) -> Iterator[Callable[..., CryptoAssetsApp]]:
    """Make apps on PostgreSQL databases of their own, likewise."""
    from cryptoassets_core.testing.apps import make_app  # noqa: PLC0415

    made: list[tuple[CryptoAssetsApp, str]] = []

    def make(*, coins: dict[str, Any], **settings: Any) -> CryptoAssetsApp:
        url = postgres_server.create_database()
        made.append((make_app(url, coins, **settings), url))
        return made[-1][0]

    yield make
    for app, url in made:
        app.close()
        postgres_server.drop_database(url)
