"""Which models module each installed coin brings; a configuration may name another (``coins.<symbol>.models``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from cryptoassets_core.plugins import Plugins


class _InstalledCoins(Mapping[str, str]):
    """Acronym to dotted module; looked up when first asked for."""

    @cached_property
    def _modules(self) -> dict[str, str]:
        return {coin.name: coin.description.models for _, coin in Plugins().coins.all()}

    def __getitem__(self, symbol: str) -> str:
        return self._modules[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


COIN_MODEL_DEFAULTS: Mapping[str, str] = _InstalledCoins()
