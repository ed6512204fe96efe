"""The plugin that the kernel brings itself, registered like any other.

Classes are given by name: an application that neither listens nor posts does not import a web framework.
"""

from __future__ import annotations

from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType

HTTP_WALLETNOTIFY = WalletNotifyType(
    name="http",
    factory="cryptoassets_core.walletnotify.http.HTTPWalletNotifyHandler",
    options="cryptoassets_core.walletnotify.http.HTTPWalletNotifyOptions",
    legacy_names=("cryptoassets.core.backend.httpwalletnotify.HTTPWalletNotifyHandler",),
)

HTTP_EVENT_SINK = EventSinkType(
    name="http",
    factory="cryptoassets_core.event.http.HTTPEventHandler",
    options="cryptoassets_core.event.http.HTTPEventOptions",
    legacy_names=("cryptoassets.core.event.http.HTTPEventHandler",),
)


@hookimpl
def cryptoassets_walletnotify_handlers() -> list[WalletNotifyType]:
    """HTTP."""
    return [HTTP_WALLETNOTIFY]


@hookimpl
def cryptoassets_event_sinks() -> list[EventSinkType]:
    """HTTP."""
    return [HTTP_EVENT_SINK]
