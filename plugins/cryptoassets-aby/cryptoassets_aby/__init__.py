"""AppleByte for cryptoassets-core."""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_aby.coin import APPLEBYTE
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.hookspecs import hookimpl

__all__ = ["APPLEBYTE", "cryptoassets_coins"]


@hookimpl
def cryptoassets_coins() -> Iterable[CoinDescription]:
    """Bring AppleByte."""
    return (APPLEBYTE,)
