"""Litecoin's tables and model classes."""

from __future__ import annotations

from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)
from cryptoassets_ltc.coin import LITECOIN


class LitecoinAccount(GenericAccount):
    """An account of a Litecoin wallet."""

    coin = LITECOIN


class LitecoinAddress(GenericAddress):
    """A Litecoin address: a receiving one of an account, or one that was paid."""

    coin = LITECOIN


class LitecoinTransaction(GenericTransaction):
    """A movement of Litecoin between accounts, in from the network, or out to it."""

    coin = LITECOIN


class LitecoinNetworkTransaction(GenericConfirmationNetworkTransaction):
    """A transaction on the Litecoin network."""

    coin = LITECOIN


class LitecoinWallet(GenericWallet):
    """A Litecoin wallet."""

    coin = LITECOIN


#: Where the registry finds the classes above.
coin_description = CoinModelDescription(
    coin_name=LITECOIN.symbol,
    wallet_model_name="cryptoassets_ltc.models.LitecoinWallet",
    address_model_name="cryptoassets_ltc.models.LitecoinAddress",
    account_model_name="cryptoassets_ltc.models.LitecoinAccount",
    transaction_model_name="cryptoassets_ltc.models.LitecoinTransaction",
    network_transaction_model_name="cryptoassets_ltc.models.LitecoinNetworkTransaction",
)
