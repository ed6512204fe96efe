"""Books on a hosted wallet for tests: the service's stand-in in this process, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from blockio_world import HostedWorld

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.testing import StandIn
from cryptoassets_btc import BITCOIN
from cryptoassets_doge.coin import DOGECOIN
from cryptoassets_ltc.coin import LITECOIN

COINS = {"btc": BITCOIN, "doge": DOGECOIN, "ltc": LITECOIN}


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def make_hosted(
    service: StandIn, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], HostedWorld]]:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0,))
    monkeypatch.setattr(client_module, "SLOW_SECONDS", 2.0)
    made: list[HostedWorld] = []

    def make(symbol: str) -> HostedWorld:
        made.append(HostedWorld(postgres_url, service.open_account(COINS[symbol]), service.url))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(params=sorted(COINS))
def world(request: pytest.FixtureRequest, make_hosted: Callable[[str], HostedWorld]) -> HostedWorld:
    """Books of each coin that the service has."""
    return make_hosted(request.param)


@pytest.fixture
def doge(make_hosted: Callable[[str], HostedWorld]) -> HostedWorld:
    """Books of the coin whose txids nobody can foresee."""
    return make_hosted("doge")


def settled(world: HostedWorld) -> None:
    """See that books and wallet agree to the smallest unit."""
    world.step(2)
    assert world.total() == world.backend.get_backend_balance()
    fees = [row.amount for row in world.rows("network_fee")]
    assert fees == [row.fee for row in world.network_rows("broadcast") if row.state == "live"]
    world.check()
