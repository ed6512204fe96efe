"""A coin with 18 decimals, of which an account may hold far more minor units than a BIGINT could."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericConfirmationNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)

FINE = CoinDescription(
    symbol="fine",
    title="Finecoin",
    models="finecoin",
    networks={"regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt")},
    decimals=18,
    dust=Decimal("0.000000000000000001"),
    uri_scheme="fine",
)


class FineAccount(GenericAccount):
    coin = FINE


class FineAddress(GenericAddress):
    coin = FINE


class FineTransaction(GenericTransaction):
    coin = FINE


class FineNetworkTransaction(GenericConfirmationNetworkTransaction):
    coin = FINE


class FineWallet(GenericWallet):
    coin = FINE


coin_description = CoinModelDescription(
    coin_name=FINE.symbol,
    wallet_model_name="finecoin.FineWallet",
    address_model_name="finecoin.FineAddress",
    account_model_name="finecoin.FineAccount",
    transaction_model_name="finecoin.FineTransaction",
    network_transaction_model_name="finecoin.FineNetworkTransaction",
)


class FinePlugin:
    """Brings the coin, as an application's own plugin."""

    @hookimpl
    def cryptoassets_coins(self) -> Iterable[CoinDescription]:
        return (FINE,)
