"""Model classes for any coin, for tests of what does not depend on the coin: a backend's, for example."""

from __future__ import annotations

import sys
from types import ModuleType

from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)

_CLASSES = {
    "Wallet": GenericWallet,
    "Address": GenericAddress,
    "Account": GenericAccount,
    "Transaction": GenericTransaction,
    "NetworkTransaction": GenericConfirmationNetworkTransaction,
}

#: What was made, with the coin that it was made for: mapping classes takes a while.
_made: list[tuple[CoinDescription, CoinModelDescription]] = []


def models_of(description: CoinDescription) -> CoinModelDescription:
    """Return five classes of a coin's own, whether or not it comes with a module of such."""
    for known, models in _made:
        if known is description:
            return models
    module = ModuleType(f"{__name__}.made_{len(_made)}")
    sys.modules[module.__name__] = module
    for name, generic in _CLASSES.items():
        setattr(module, name, type(name, (generic,), {"coin": description, "__module__": module.__name__}))
    wallet, address, account, transaction, network_transaction = (f"{module.__name__}.{name}" for name in _CLASSES)
    models = CoinModelDescription(description.symbol, wallet, address, account, transaction, network_transaction)
    _made.append((description, models))
    return models
