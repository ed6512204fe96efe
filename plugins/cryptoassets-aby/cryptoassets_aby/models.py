"""AppleByte's tables and model classes."""

from __future__ import annotations

from cryptoassets_aby.coin import APPLEBYTE
from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)


class ApplebyteAccount(GenericAccount):
    """An account of an AppleByte wallet."""

    coin = APPLEBYTE


class ApplebyteAddress(GenericAddress):
    """An AppleByte address: a receiving one of an account, or one that was paid."""

    coin = APPLEBYTE


class ApplebyteTransaction(GenericTransaction):
    """A movement of AppleByte between accounts, in from the network, or out to it."""

    coin = APPLEBYTE


class ApplebyteNetworkTransaction(GenericConfirmationNetworkTransaction):
    """A transaction on the AppleByte network."""

    coin = APPLEBYTE


class ApplebyteWallet(GenericWallet):
    """An AppleByte wallet."""

    coin = APPLEBYTE


#: Where the registry finds the classes above.
coin_description = CoinModelDescription(
    coin_name=APPLEBYTE.symbol,
    wallet_model_name="cryptoassets_aby.models.ApplebyteWallet",
    address_model_name="cryptoassets_aby.models.ApplebyteAddress",
    account_model_name="cryptoassets_aby.models.ApplebyteAccount",
    transaction_model_name="cryptoassets_aby.models.ApplebyteTransaction",
    network_transaction_model_name="cryptoassets_aby.models.ApplebyteNetworkTransaction",
)
