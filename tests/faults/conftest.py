"""A stage for each test on PostgreSQL and a real node, with a proxy in front of the node."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

# The stages of the story, and what is here; both are directories of scripts.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "examples" / "story")]
pytest.register_assert_rewrite("fault_stage")

from fault_stage import FaultyNetwork, Trial, create_tables  # noqa: E402 - its assertions are rewritten from here on
from ports import Ports  # noqa: E402

from cryptoassets_core.testing.postgres import PostgresServer  # noqa: E402
from cryptoassets_core.testing.requirements import require  # noqa: E402

REAL = [pytest.mark.postgres, pytest.mark.regtest]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for mark in REAL:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """Books without an entry; a command that makes them for each test would take longer than some tests."""
    url = postgres_server.create_database()
    create_tables(url)
    return url


@pytest.fixture
def trial(tmp_path: Path, postgres_url: str) -> Iterator[Trial]:
    """Set everything up; the daemon is not started yet."""
    require("litecoind", "litecoind")
    require("curl", "curl")
    with Ports() as ports:
        network = FaultyNetwork(walletnotify_port=ports.lend(), database_url=postgres_url)
        with network, closing(Trial(network, tmp_path, ports)) as made:
            yield made
