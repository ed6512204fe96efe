"""The plugin that the kernel brings itself, registered like any other.

Classes are given by name: an application that neither listens nor posts does not import a web framework.
"""

from __future__ import annotations

from cryptoassets_core.backend.base import BackendOptions, BackendType
from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType

NULL_BACKEND = BackendType(
    name="null",
    factory="cryptoassets_core.backend.null.NullBackend",
    options=BackendOptions,
    legacy_names=("cryptoassets.core.backend.null.DummyCoinBackend",),
)

HTTP_WALLETNOTIFY = WalletNotifyType(
    name="http",
    factory="cryptoassets_core.walletnotify.http.HTTPWalletNotifyHandler",
    options="cryptoassets_core.walletnotify.http.HTTPWalletNotifyOptions",
    legacy_names=("cryptoassets.core.backend.httpwalletnotify.HTTPWalletNotifyHandler",),
)

PIPE_WALLETNOTIFY = WalletNotifyType(
    name="pipe",
    factory="cryptoassets_core.walletnotify.pipe.PipeWalletNotifyHandler",
    options="cryptoassets_core.walletnotify.pipe.PipeWalletNotifyOptions",
    legacy_names=(
        "cryptoassets.core.backend.pipewalletnotify.PipedWalletNotifyHandler",
        "cryptoassets.core.backend.pipewalletnotify.PipeWalletNotifyHandler",
    ),
)

HTTP_EVENT_SINK = EventSinkType(
    name="http",
    factory="cryptoassets_core.event.http.HTTPEventHandler",
    options="cryptoassets_core.event.http.HTTPEventOptions",
    legacy_names=("cryptoassets.core.event.http.HTTPEventHandler",),
)

PYTHON_EVENT_SINK = EventSinkType(
    name="python",
    factory="cryptoassets_core.event.python.InProcessEventHandler",
    options="cryptoassets_core.event.python.InProcessEventOptions",
    # The manual calls it both.
    legacy_names=(
        "cryptoassets.core.event.python.InProcessEventHandler",
        "cryptoassets.core.event.python.InProcessNotifier",
    ),
)

SCRIPT_EVENT_SINK = EventSinkType(
    name="script",
    factory="cryptoassets_core.event.script.ScriptEventHandler",
    options="cryptoassets_core.event.script.ScriptEventOptions",
    legacy_names=(
        "cryptoassets.core.event.script.ScriptEventHandler",
        "cryptoassets.core.event_handler_registry.shell.ShellNotifier",
    ),
)


@hookimpl
def cryptoassets_backends() -> list[BackendType]:
    """The one that talks to nobody."""
    return [NULL_BACKEND]


@hookimpl
def cryptoassets_walletnotify_handlers() -> list[WalletNotifyType]:
    """HTTP and named pipes."""
    return [HTTP_WALLETNOTIFY, PIPE_WALLETNOTIFY]


@hookimpl
def cryptoassets_event_sinks() -> list[EventSinkType]:
    """HTTP, a Python function, a program."""
    return [HTTP_EVENT_SINK, PYTHON_EVENT_SINK, SCRIPT_EVENT_SINK]
