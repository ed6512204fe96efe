"""AppleByte's model classes have their documented names and are found through the coin's description."""

from __future__ import annotations

from cryptoassets_aby import APPLEBYTE, models
from cryptoassets_core.coin.registry import Coin


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "aby"
    assert coin.address_rules is APPLEBYTE.networks["regtest"]
    assert coin.wallet_model is models.ApplebyteWallet
    assert coin.account_model is models.ApplebyteAccount
    assert coin.address_model is models.ApplebyteAddress
    assert coin.transaction_model is models.ApplebyteTransaction
    assert coin.network_transaction_model is models.ApplebyteNetworkTransaction
