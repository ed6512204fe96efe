"""The plugin that the kernel brings itself, registered like any other."""

from __future__ import annotations

from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.event.http import HTTP_EVENT_SINK
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType
from cryptoassets_core.walletnotify.http import HTTP_WALLETNOTIFY


@hookimpl
def cryptoassets_walletnotify_handlers() -> list[WalletNotifyType]:
    """HTTP."""
    return [HTTP_WALLETNOTIFY]


@hookimpl
def cryptoassets_event_sinks() -> list[EventSinkType]:
    """HTTP."""
    return [HTTP_EVENT_SINK]
