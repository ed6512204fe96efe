"""Litecoin's model classes have their documented names and are found through the coin's description."""

from __future__ import annotations

from cryptoassets_core.coin.registry import Coin
from cryptoassets_ltc import LITECOIN, models


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "ltc"
    assert coin.address_rules is LITECOIN.networks["regtest"]
    assert coin.wallet_model is models.LitecoinWallet
    assert coin.account_model is models.LitecoinAccount
    assert coin.address_model is models.LitecoinAddress
    assert coin.transaction_model is models.LitecoinTransaction
    assert coin.network_transaction_model is models.LitecoinNetworkTransaction
