"""What the kernel finds through the entry point."""

from __future__ import annotations

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl


@hookimpl
def cryptoassets_backends() -> list[BackendType]:
    """Bring the backend ``acmewallet``; the classes are imported when a configuration asks for them."""
    return [
        BackendType(
            name="acmewallet",
            factory="acmewallet.backend.AcmeBackend",
            options="acmewallet.backend.AcmeOptions",
        )
    ]
