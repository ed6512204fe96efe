"""What this distribution brings to cryptoassets-core.

Classes are given by name: an application that uses another backend imports neither client nor parser.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl


@hookimpl
def cryptoassets_backends() -> Iterable[BackendType]:
    """Bring the backend that configurations call ``bitcoind``."""
    return [
        BackendType(
            name="bitcoind",
            factory="cryptoassets_bitcoind.backend.BitcoindBackend",
            options="cryptoassets_bitcoind.options.BitcoindOptions",
            legacy_names=("cryptoassets.core.backend.bitcoind.Bitcoind",),
        )
    ]
