"""Dogecoin for cryptoassets-core."""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_doge.coin import DOGECOIN

__all__ = ["DOGECOIN", "cryptoassets_coins"]


@hookimpl
def cryptoassets_coins() -> Iterable[CoinDescription]:
    """Bring Dogecoin."""
    return (DOGECOIN,)
