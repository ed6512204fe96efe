"""Which coins and networks the service has, under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import ConfigurationError

#: The service's names.
SERVED: Final[Mapping[tuple[str, Network], str]] = {
    ("btc", "main"): "BTC",
    ("btc", "test"): "BTCTEST",
    ("doge", "main"): "DOGE",
    ("doge", "test"): "DOGETEST",
    ("ltc", "main"): "LTC",
    ("ltc", "test"): "LTCTEST",
}

#: What a configuration may say.
NAMES: Final = tuple(sorted(name.lower() for name in SERVED.values()))

#: Coins whose network knows no segwit.
WITHOUT_SEGWIT: Final = frozenset({"doge"})


def service_network(coin: CoinDescription, network: Network) -> str:
    """Return the service's name of a coin's network.

    :raises ConfigurationError: the service does not have it.
    """
    name = SERVED.get((coin.symbol, network))
    if name is None:
        raise ConfigurationError(
            f"block.io does not serve {coin.symbol} on the network {network!r}; it has {', '.join(NAMES)}"
        )
    return name


def network_named(name: str) -> Network:
    """Return which of a coin's networks a name such as ``dogetest`` means."""
    return "test" if name.lower().endswith("test") else "main"
