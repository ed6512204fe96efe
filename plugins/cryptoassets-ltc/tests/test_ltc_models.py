"""Litecoin's tables are the documented ones and its models work."""

from __future__ import annotations

import importlib

from sqlalchemy import create_engine, inspect
from sqlalchemy.orm import configure_mappers

from cryptoassets_core.coin.registry import Coin
from cryptoassets_ltc import LITECOIN, models


def test_coin_description_names_this_coins_models() -> None:
    description = importlib.import_module(LITECOIN.models).coin_description

    assert description.coin_name == "ltc"
    assert description.Wallet is models.LitecoinWallet
    assert description.Account is models.LitecoinAccount
    assert description.Address is models.LitecoinAddress
    assert description.Transaction is models.LitecoinTransaction
    assert description.NetworkTransaction is models.LitecoinNetworkTransaction


def test_registry_takes_the_coin() -> None:
    coin = Coin(models.coin_description, network="regtest")

    assert coin.name == "ltc"
    assert coin.address_rules is LITECOIN.networks["regtest"]


def test_models_can_be_mapped() -> None:
    configure_mappers()


def test_database_gets_the_documented_tables() -> None:
    engine = create_engine("sqlite://")

    models.LitecoinWallet.metadata.create_all(engine)

    assert sorted(inspect(engine).get_table_names()) == [
        "ltc_account",
        "ltc_address",
        "ltc_network_transaction",
        "ltc_sync_state",
        "ltc_transaction",
        "ltc_wallet",
    ]
    engine.dispose()
