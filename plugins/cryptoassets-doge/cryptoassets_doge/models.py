"""Dogecoin's tables and model classes."""

from __future__ import annotations

from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)
from cryptoassets_doge.coin import DOGECOIN


class DogecoinAccount(GenericAccount):
    """An account of a Dogecoin wallet."""

    coin = DOGECOIN


class DogecoinAddress(GenericAddress):
    """A Dogecoin address: a receiving one of an account, or one that was paid."""

    coin = DOGECOIN


class DogecoinTransaction(GenericTransaction):
    """A movement of Dogecoin between accounts, in from the network, or out to it."""

    coin = DOGECOIN


class DogecoinNetworkTransaction(GenericConfirmationNetworkTransaction):
    """A transaction on the Dogecoin network."""

    coin = DOGECOIN


class DogecoinWallet(GenericWallet):
    """A Dogecoin wallet."""

    coin = DOGECOIN


#: Where the registry finds the classes above.
coin_description = CoinModelDescription(
    coin_name=DOGECOIN.symbol,
    wallet_model_name="cryptoassets_doge.models.DogecoinWallet",
    address_model_name="cryptoassets_doge.models.DogecoinAddress",
    account_model_name="cryptoassets_doge.models.DogecoinAccount",
    transaction_model_name="cryptoassets_doge.models.DogecoinTransaction",
    network_transaction_model_name="cryptoassets_doge.models.DogecoinNetworkTransaction",
)
