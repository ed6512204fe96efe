"""A stand-in for the service, with an account of each coin that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.client import BlockIoClient
from cryptoassets_blockio.options import BlockIoOptions
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_doge.coin import DOGECOIN
from cryptoassets_ltc.coin import LITECOIN

COINS = {"btc": BITCOIN, "doge": DOGECOIN, "ltc": LITECOIN}


@pytest.fixture
def service() -> Iterator[StandIn]:
    """A stand-in of its own for each test."""
    with StandIn() as running:
        yield running


@pytest.fixture(params=sorted(COINS))
def coin(request: pytest.FixtureRequest) -> CoinDescription:
    """Each coin that the service has."""
    return COINS[request.param]


@pytest.fixture
def account(service: StandIn, coin: CoinDescription) -> Account:
    """An account of the coin."""
    return service.open_account(coin)


@pytest.fixture
def btc(service: StandIn) -> Account:
    """An account for Bitcoin."""
    return service.open_account(BITCOIN)


@pytest.fixture
def make_backend(service: StandIn) -> Iterator[Callable[..., BlockIoBackend]]:
    """Make backends on accounts, with further options."""
    made: list[BlockIoBackend] = []

    def make(account: Account, **options: Any) -> BlockIoBackend:
        given = {"api_key": account.api_key, "pin": account.pin, "url": service.url, "timeout": 5, **options}
        made.append(BlockIoBackend(account.coin, account.network, BlockIoOptions.model_validate(given)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def client(service: StandIn, btc: Account) -> BlockIoClient:
    """A client of the Bitcoin account, which is in a hurry."""
    return BlockIoClient(btc.api_key, base=service.url, timeout=1)
