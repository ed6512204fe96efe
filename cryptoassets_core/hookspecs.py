"""Every hook a plugin may implement: the contract between the kernel and its plugins.

A distribution declares an entry point in the group ``cryptoassets``; the object it names (usually a module) carries
functions marked with :py:data:`hookimpl`. Take only the arguments you need.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

import pluggy

from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.event.base import Event, EventSinkType
from cryptoassets_core.statuspanel import StatusPanel
from cryptoassets_core.walletnotify.base import WalletNotifyType

if TYPE_CHECKING:
    import click
    from sqlalchemy.orm import Session

    from cryptoassets_core.app import CryptoAssetsApp
    from cryptoassets_core.models import GenericAccount, GenericWallet
    from cryptoassets_core.service.main import Service

#: Name of the pluggy project and of the entry-point group.
PROJECT_NAME = "cryptoassets"

#: Version of the hooks below and of what they pass on; it rises when plugins have to be changed. A plugin says which
#: one it is made for by an attribute ``cryptoassets_api`` beside its hooks; without it, it is made for 1.
API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT_NAME)

#: Marks a plugin's function as the implementation of the hook of the same name.
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def cryptoassets_coins() -> Iterable[CoinDescription]:  # type: ignore[empty-body]
    """Return the coins this plugin brings.

    Called once for each app, before any database or network access. Two plugins that bring one symbol stop the start
    with a PluginError naming both.
    """


@hookspec
def cryptoassets_backends() -> Iterable[BackendType]:  # type: ignore[empty-body]
    """Return the backend types this plugin brings; called and checked like :py:func:`cryptoassets_coins`."""


@hookspec
def cryptoassets_walletnotify_handlers() -> Iterable[WalletNotifyType]:  # type: ignore[empty-body]
    """Return the notification channels this plugin brings; called and checked like the coins."""


@hookspec
def cryptoassets_event_sinks() -> Iterable[EventSinkType]:  # type: ignore[empty-body]
    """Return the event sink types this plugin brings; called and checked like the coins."""


@hookspec
def cryptoassets_event(event: Event) -> None:
    """Do something about an event, inside the daemon.

    Called for each event, at least once and in the order of each deposit or withdrawal, in a thread of the plugin's
    own. Returning takes the event. What it raises brings the event again later, and disturbs no other plugin or event
    sink. To the outbox each plugin is an event sink, called ``plugin:`` and the plugin's name.
    """


@hookspec
def cryptoassets_approve_withdrawal(
    session: Session, wallet: GenericWallet, account: GenericAccount, address: str, amount: Decimal
) -> None:
    """Refuse a withdrawal by raising WithdrawalRefused with a sentence for the user.

    Called in the database transaction that reserves the coins, after the reservation, in the caller's thread; the
    transaction may be replayed, so there must be no effect outside of ``session``. ``amount`` is in whole coins. Any
    exception refuses the withdrawal, and so does returning anything but None. A rule that is broken is not asked: name
    its plugin in ``plugins.required``, and the app does not start without it.
    """


@hookspec
def cryptoassets_configure(app: CryptoAssetsApp, config: dict[str, object]) -> None:
    """Have the last word on an app that is configured and not yet connected to its database.

    Called once for each app, in the thread that configures it. What it raises stops the start.
    """


@hookspec
def cryptoassets_service_startup(service: Service) -> None:
    """Add jobs to ``service.scheduler``; called once, before the daemon starts its own components.

    What it raises stops the daemon.
    """


@hookspec
def cryptoassets_service_shutdown(service: Service) -> None:
    """Clean up after the daemon's components were stopped; what it raises is logged and stops no other plugin."""


@hookspec
def cryptoassets_cli_commands(group: click.Group) -> None:
    """Add commands to the ``cryptoassets`` command; called once, before its arguments are read.

    A plugin that raises counts as broken; the other commands work. A name that is there already is taken from both: the
    command then only says who brings it twice.
    """


@hookspec
def cryptoassets_status_panels(app: CryptoAssetsApp) -> Iterable[StatusPanel]:  # type: ignore[empty-body]
    """Return panels for the overview of the status pages; called once, before the status server starts.

    One that raises, here or when it is shown, appears as a panel that says so, by the plugin's name.
    """
