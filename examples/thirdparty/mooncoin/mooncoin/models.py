"""Mooncoin's tables and model classes."""

from __future__ import annotations

from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)
from mooncoin import MOONCOIN


class MooncoinAccount(GenericAccount):
    """An account of a Mooncoin wallet."""

    coin = MOONCOIN


class MooncoinAddress(GenericAddress):
    """A Mooncoin address."""

    coin = MOONCOIN


class MooncoinTransaction(GenericTransaction):
    """A movement of Mooncoin."""

    coin = MOONCOIN


class MooncoinNetworkTransaction(GenericConfirmationNetworkTransaction):
    """A transaction on the Mooncoin network."""

    coin = MOONCOIN


class MooncoinWallet(GenericWallet):
    """A Mooncoin wallet."""

    coin = MOONCOIN


coin_description = CoinModelDescription(
    coin_name=MOONCOIN.symbol,
    wallet_model_name="mooncoin.models.MooncoinWallet",
    address_model_name="mooncoin.models.MooncoinAddress",
    account_model_name="mooncoin.models.MooncoinAccount",
    transaction_model_name="mooncoin.models.MooncoinTransaction",
    network_transaction_model_name="mooncoin.models.MooncoinNetworkTransaction",
)
