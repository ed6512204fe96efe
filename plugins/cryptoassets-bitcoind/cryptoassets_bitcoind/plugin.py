"""What this distribution brings to cryptoassets-core."""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.options import BitcoindOptions
from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl


@hookimpl
def cryptoassets_backends() -> Iterable[BackendType]:
    """Bring the backend that configurations call ``bitcoind``."""
    return [
        BackendType(
            name="bitcoind",
            factory=BitcoindBackend,
            options=BitcoindOptions,
            legacy_names=("cryptoassets.core.backend.bitcoind.Bitcoind",),
        )
    ]
