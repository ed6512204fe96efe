"""Bitcoin's tables and model classes."""

from __future__ import annotations

from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)


class BitcoinAccount(GenericAccount):
    """An account of a Bitcoin wallet."""

    coin = BITCOIN


class BitcoinAddress(GenericAddress):
    """A Bitcoin address: a receiving one of an account, or one that was paid."""

    coin = BITCOIN


class BitcoinTransaction(GenericTransaction):
    """A movement of Bitcoin between accounts, in from the network, or out to it."""

    coin = BITCOIN


class BitcoinNetworkTransaction(GenericConfirmationNetworkTransaction):
    """A transaction on the Bitcoin network."""

    coin = BITCOIN


class BitcoinWallet(GenericWallet):
    """A Bitcoin wallet."""

    coin = BITCOIN


#: Where the registry finds the classes above.
coin_description = CoinModelDescription(
    coin_name=BITCOIN.symbol,
    wallet_model_name="cryptoassets_btc.models.BitcoinWallet",
    address_model_name="cryptoassets_btc.models.BitcoinAddress",
    account_model_name="cryptoassets_btc.models.BitcoinAccount",
    transaction_model_name="cryptoassets_btc.models.BitcoinTransaction",
    network_transaction_model_name="cryptoassets_btc.models.BitcoinNetworkTransaction",
)
