"""What the kernel finds through the entry point: the backend, its notifications and the commands.

Classes are given by name: an application that uses another backend imports no simulated network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType

if TYPE_CHECKING:
    import click


@hookimpl
def cryptoassets_backends() -> Iterable[BackendType]:
    """Bring the backend ``simnet``."""
    return [
        BackendType(
            name="simnet",
            factory="cryptoassets_simnet.backend.SimnetBackend",
            options="cryptoassets_simnet.backend.SimnetOptions",
        )
    ]


@hookimpl
def cryptoassets_walletnotify_handlers() -> Iterable[WalletNotifyType]:
    """Bring the walletnotify type ``simnet``."""
    return [
        WalletNotifyType(
            name="simnet",
            factory="cryptoassets_simnet.walletnotify.SimnetNotifyHandler",
            options="cryptoassets_simnet.walletnotify.SimnetNotifyOptions",
        )
    ]


@hookimpl
def cryptoassets_cli_commands(group: click.Group) -> None:
    """Add ``cryptoassets simnet``."""
    from cryptoassets_simnet.cli import simnet_group  # noqa: PLC0415 - every process loads plugins, few have commands

    group.add_command(simnet_group)
