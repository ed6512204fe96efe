"""The pytest plugin ``cryptoassets``: fixtures for tests of the kernel, of plugins and of applications.

pytest loads it wherever the kernel is installed, so it imports nothing before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
