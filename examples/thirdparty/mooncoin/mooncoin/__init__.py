"""Mooncoin, an invented altcoin."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_core.hookspecs import hookimpl

MOONCOIN = CoinDescription(
    symbol="moon",
    title="Mooncoin",
    models="mooncoin.models",
    networks={
        "main": AddressRules(p2pkh=(0x33,), p2sh=(0x37,), bech32_hrp="moon"),
        "test": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="tmoon"),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="rmoon"),
    },
    decimals=6,
    dust=Decimal("0.001"),
    coinbase_maturity=60,
    uri_scheme="mooncoin",
)


@hookimpl
def cryptoassets_coins() -> Iterable[CoinDescription]:
    """Bring Mooncoin."""
    return [MOONCOIN]
