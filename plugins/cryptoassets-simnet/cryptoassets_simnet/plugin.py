"""What the kernel finds through the entry point: the backend, its notifications and the commands."""

from __future__ import annotations

from collections.abc import Iterable

import click

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions
from cryptoassets_simnet.walletnotify import SimnetNotifyHandler, SimnetNotifyOptions


@hookimpl
def cryptoassets_backends() -> Iterable[BackendType]:
    """Bring the backend ``simnet``."""
    return [BackendType(name="simnet", factory=SimnetBackend, options=SimnetOptions)]


@hookimpl
def cryptoassets_walletnotify_handlers() -> Iterable[WalletNotifyType]:
    """Bring the walletnotify type ``simnet``."""
    return [WalletNotifyType(name="simnet", factory=SimnetNotifyHandler, options=SimnetNotifyOptions)]


@hookimpl
def cryptoassets_cli_commands(group: click.Group) -> None:
    """Add ``cryptoassets simnet``."""
    from cryptoassets_simnet.cli import simnet_group  # noqa: PLC0415 - every process loads plugins, few have commands

    group.add_command(simnet_group)
