"""Books on SQLite and on PostgreSQL, with tables from a template."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.testing.postgres import PostgresServer

# The child processes of these tests import it too, and they know no other way.
sys.path.insert(0, str(Path(__file__).parent))

from chain_world import World


def create_tables(url: str) -> None:
    app = CryptoAssetsApp()
    coins: dict[str, Any] = {coin: {"network": "regtest"} for coin in ("btc", "doge", "ltc")}
    Configurator(app).load_from_dict({"database": {"url": url}, "coins": coins})
    app.create_tables()
    app.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    url = postgres_server.create_database()
    create_tables(url)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "books"
    create_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "books")
    return f"sqlite:///{tmp_path / 'books'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of empty books, on each kind of database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def make_world(database_url: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Open the test's books and network, with settings of the coin."""
    made: list[World] = []

    def make(**settings: object) -> World:
        made.append(World(database_url, tmp_path, **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Books with the usual settings: credit at 3 confirmations, follow up to 15."""
    return make_world()


@pytest.fixture
def postgres_world(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    """Books on PostgreSQL, where several processes work at once."""
    world = World(postgres_url, tmp_path)
    yield world
    world.close()


@pytest.fixture
def sqlite_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """Books on SQLite, where the kind of database does not matter."""
    world = World(sqlite_url, tmp_path)
    yield world
    world.close()
