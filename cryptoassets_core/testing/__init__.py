"""What authors of plugins and applications test with: conformance suites, real servers, and fixtures.

Each name is imported when it is asked for. pytest loads the fixtures of this package in every environment that it is
installed in, and a run that does not use them must not pay for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptoassets_core.testing.backendsuite import BackendSuite as BackendSuite
    from cryptoassets_core.testing.backendworld import BackendWorld as BackendWorld
    from cryptoassets_core.testing.coinsuite import CoinSuite as CoinSuite
    from cryptoassets_core.testing.eventsinksuite import EventSinkSuite as EventSinkSuite
    from cryptoassets_core.testing.eventsinksuite import Received as Received
    from cryptoassets_core.testing.eventsinksuite import Receiver as Receiver
    from cryptoassets_core.testing.postgres import PostgresServer as PostgresServer
    from cryptoassets_core.testing.requirements import require as require
    from cryptoassets_core.testing.walletnotifysuite import Channel as Channel
    from cryptoassets_core.testing.walletnotifysuite import WalletNotifySuite as WalletNotifySuite

#: Where each public name lives.
_HOMES = {
    "BackendSuite": "backendsuite",
    "BackendWorld": "backendworld",
    "Channel": "walletnotifysuite",
    "CoinSuite": "coinsuite",
    "EventSinkSuite": "eventsinksuite",
    "PostgresServer": "postgres",
    "Received": "eventsinksuite",
    "Receiver": "eventsinksuite",
    "WalletNotifySuite": "walletnotifysuite",
    "require": "requirements",
}

__all__ = [
    "BackendSuite",
    "BackendWorld",
    "Channel",
    "CoinSuite",
    "EventSinkSuite",
    "PostgresServer",
    "Received",
    "Receiver",
    "WalletNotifySuite",
    "require",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
