"""What this distribution brings to cryptoassets-core.

Classes are given by name: an application that uses another backend does not import the official client.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl


@hookimpl
def cryptoassets_backends() -> Iterable[BackendType]:
    """Bring the backend that configurations call ``blockio``."""
    return [
        BackendType(
            name="blockio",
            factory="cryptoassets_blockio.backend.BlockIoBackend",
            options="cryptoassets_blockio.options.BlockIoOptions",
            legacy_names=("cryptoassets.core.backend.blockio.BlockIo",),
        )
    ]
