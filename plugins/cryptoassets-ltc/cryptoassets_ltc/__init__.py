"""Litecoin for cryptoassets-core."""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_ltc.coin import LITECOIN

__all__ = ["LITECOIN", "cryptoassets_coins"]


@hookimpl
def cryptoassets_coins() -> Iterable[CoinDescription]:
    """Bring Litecoin."""
    return (LITECOIN,)
