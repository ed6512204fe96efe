"""Bitcoin's tables are the documented ones and its models work."""

from __future__ import annotations

import importlib

from sqlalchemy import create_engine, inspect
from sqlalchemy.orm import configure_mappers

from cryptoassets_btc import BITCOIN, models
from cryptoassets_core.coin.registry import Coin


def test_coin_description_names_this_coins_models() -> None:
    description = importlib.import_module(BITCOIN.models).coin_description

    assert description.coin_name == "btc"
    assert description.Wallet is models.BitcoinWallet
    assert description.Account is models.BitcoinAccount
    assert description.Address is models.BitcoinAddress
    assert description.Transaction is models.BitcoinTransaction
    assert description.NetworkTransaction is models.BitcoinNetworkTransaction


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "btc"
    assert coin.address_rules is BITCOIN.networks["regtest"]


def test_models_can_be_mapped() -> None:
    configure_mappers()


def test_database_gets_the_documented_tables() -> None:
    engine = create_engine("sqlite://")

    models.BitcoinWallet.metadata.create_all(engine)

    assert sorted(inspect(engine).get_table_names()) == [
        "btc_account",
        "btc_address",
        "btc_network_transaction",
        "btc_sync_state",
        "btc_transaction",
        "btc_wallet",
    ]
    engine.dispose()
