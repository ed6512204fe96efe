"""Bitcoin's model classes have their documented names and are found through the coin's description."""

from __future__ import annotations

from cryptoassets_btc import BITCOIN, models
from cryptoassets_core.coin.registry import Coin


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "btc"
    assert coin.address_rules is BITCOIN.networks["regtest"]
    assert coin.wallet_model is models.BitcoinWallet
    assert coin.account_model is models.BitcoinAccount
    assert coin.address_model is models.BitcoinAddress
    assert coin.transaction_model is models.BitcoinTransaction
    assert coin.network_transaction_model is models.BitcoinNetworkTransaction
