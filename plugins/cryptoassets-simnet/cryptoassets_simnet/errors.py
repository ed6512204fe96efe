"""What the simulation itself may refuse; the backend translates it into the kernel's errors."""

from __future__ import annotations

from cryptoassets_core.errors import CryptoAssetsError


class SimnetError(CryptoAssetsError):
    """The simulation refused a command; nothing changed."""


class ChainFileError(SimnetError):
    """The file of a simulated chain cannot be used now: missing, unreadable, locked too long or no chain at all."""


class ChainMismatchError(SimnetError):
    """The file simulates another coin or another network than the one asked for."""
