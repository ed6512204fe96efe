"""What this distribution brings to cryptoassets-core.

Classes are given by name: an application that uses another backend does not import the official client.
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
    """Bring the backend that configurations call ``blockio``."""
    return [
        BackendType(
            name="blockio",
            factory="cryptoassets_blockio.backend.BlockIoBackend",
            options="cryptoassets_blockio.options.BlockIoOptions",
            legacy_names=("cryptoassets.core.backend.blockio.BlockIo",),
        )
    ]


@hookimpl
def cryptoassets_walletnotify_handlers() -> Iterable[WalletNotifyType]:
    """Bring the service's two ways to tell of transactions."""
    return [
        WalletNotifyType(
            name="blockio_websocket",
            factory="cryptoassets_blockio.websocket.BlockIoWebsocketHandler",
            options="cryptoassets_blockio.options.BlockIoWebsocketOptions",
            legacy_names=("cryptoassets.core.backend.blockiowebsocket.BlockIoWebsocketNotifyHandler",),
        ),
        WalletNotifyType(
            name="blockio_webhook",
            factory="cryptoassets_blockio.webhook.BlockIoWebhookHandler",
            options="cryptoassets_blockio.options.BlockIoWebhookOptions",
            legacy_names=("cryptoassets.core.backend.blockiowebhook.BlockIoWebhookNotifyHandler",),
        ),
    ]


@hookimpl
def cryptoassets_cli_commands(group: click.Group) -> None:
    """Add ``cryptoassets blockio``."""
    from cryptoassets_blockio.cli import blockio_group  # noqa: PLC0415 - every process loads plugins, few have commands

    group.add_command(blockio_group)
