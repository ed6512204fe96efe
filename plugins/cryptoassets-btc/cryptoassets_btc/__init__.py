"""Bitcoin for cryptoassets-core."""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.hookspecs import hookimpl

__all__ = ["BITCOIN", "cryptoassets_coins"]


@hookimpl
def cryptoassets_coins() -> Iterable[CoinDescription]:
    """Bring Bitcoin."""
    return (BITCOIN,)
