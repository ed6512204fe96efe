"""Dogecoin's model classes have their documented names and are found through the coin's description."""

from __future__ import annotations

from cryptoassets_core.coin.registry import Coin
from cryptoassets_doge import DOGECOIN, models


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "doge"
    assert coin.address_rules is DOGECOIN.networks["regtest"]
    assert coin.wallet_model is models.DogecoinWallet
    assert coin.account_model is models.DogecoinAccount
    assert coin.address_model is models.DogecoinAddress
    assert coin.transaction_model is models.DogecoinTransaction
    assert coin.network_transaction_model is models.DogecoinNetworkTransaction
