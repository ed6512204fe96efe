"""A coin with Bitcoin's regtest rules, a simulated network of it, and a backend on the same file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_simnet import Simnet
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

REGTEST = AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt")


@pytest.fixture(scope="session")
def coin() -> CoinDescription:
    """Bitcoin on regtest, with rewards that mature soon."""
    return CoinDescription(
        symbol="btc",
        title="Bitcoin",
        models="example.models",
        networks={"regtest": REGTEST, "test": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="tb")},
        dust=Decimal("0.00000546"),
        coinbase_maturity=5,
        uri_scheme="bitcoin",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the chain file is, or will be."""
    return tmp_path / "a chain?#%.simnet"


@pytest.fixture
def simnet(path: Path, coin: CoinDescription) -> Iterator[Simnet]:
    """The outside world."""
    with Simnet(path, coin) as network:
        yield network


@pytest.fixture
def make_backend(path: Path, coin: CoinDescription) -> Iterator[Callable[[], SimnetBackend]]:
    """Backends on the file, each as another process would have it."""
    made: list[SimnetBackend] = []

    def make() -> SimnetBackend:
        made.append(SimnetBackend(coin, "regtest", SimnetOptions(path=path)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(make_backend: Callable[[], SimnetBackend]) -> SimnetBackend:
    """The backend under test."""
    return make_backend()
