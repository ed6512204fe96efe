"""Stages for whole stories: those of ``examples/story``, on each network that there is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# The story is a directory of scripts, as a person would run it.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "story"))

from litecoind_network import LitecoindNetwork
from network import Network, SimulatedNetwork
from ports import Ports
from stage import Stage

from cryptoassets_core.testing.requirements import require

#: Sets up a stage, once in a test; takes the keyword arguments of Stage.
OpenStage = Callable[..., Stage]

ON_LITECOIND = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture
def simnet_stage(tmp_path: Path) -> Iterator[OpenStage]:
    """SQLite and the simulated network."""
    yield from _stages(tmp_path, lambda _port: SimulatedNetwork(tmp_path))


@pytest.fixture
def litecoind_stage(tmp_path: Path, postgres_url: str) -> Iterator[OpenStage]:
    """PostgreSQL and a real daemon."""
    require("litecoind", "litecoind")
    require("curl", "curl")
    yield from _stages(tmp_path, lambda port: LitecoindNetwork(walletnotify_port=port, database_url=postgres_url))


@pytest.fixture(params=["simnet", pytest.param("litecoind", marks=ON_LITECOIND)])
def any_stage(request: pytest.FixtureRequest) -> OpenStage:
    """Either of the two."""
    opener: OpenStage = request.getfixturevalue(f"{request.param}_stage")
    return opener


def _stages(directory: Path, make_network: Callable[[int], SimulatedNetwork | LitecoindNetwork]) -> Iterator[OpenStage]:
    with ExitStack() as stack:
        ports = stack.enter_context(Ports())

        def open_stage(*, broadcast_period: float = 0.5) -> Stage:
            network: Network = stack.enter_context(make_network(ports.lend()))
            return stack.enter_context(Stage(network, directory, ports, broadcast_period=broadcast_period))

        yield open_stage
