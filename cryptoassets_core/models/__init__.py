"""The model classes that coins derive theirs from."""

from cryptoassets_core.errors import (
    BadAddress,
    CannotCreateAddress,
    NotEnoughAccountBalance,
    NotEnoughWalletBalance,
    SameAccount,
)
from cryptoassets_core.models.account import GenericAccount
from cryptoassets_core.models.address import GenericAddress
from cryptoassets_core.models.network_transaction import (
    GenericConfirmationNetworkTransaction,
    GenericNetworkTransaction,
)
from cryptoassets_core.models.transaction import GenericTransaction
from cryptoassets_core.models.wallet import GenericWallet

__all__ = [
    "BadAddress",
    "CannotCreateAddress",
    "GenericAccount",
    "GenericAddress",
    "GenericConfirmationNetworkTransaction",
    "GenericNetworkTransaction",
    "GenericTransaction",
    "GenericWallet",
    "NotEnoughAccountBalance",
    "NotEnoughWalletBalance",
    "SameAccount",
]
