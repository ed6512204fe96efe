"""Facts about Dogecoin; version bytes are those of ``src/chainparams.cpp`` of Dogecoin Core 1.14."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription

DOGECOIN = CoinDescription(
    symbol="doge",
    title="Dogecoin",
    models="cryptoassets_doge.models",
    legacy_models=("cryptoassets.core.coin.dogecoin.models",),
    networks={
        # No segwit: the prefix "doge" exists in a branch that was never released.
        "main": AddressRules(p2pkh=(0x1E,), p2sh=(0x16,)),
        "test": AddressRules(p2pkh=(0x71,), p2sh=(0xC4,)),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,)),
    },
    # DEFAULT_DUST_LIMIT in src/policy/policy.h, of every type of output. A smaller one costs as much again in fees, and
    # below a tenth of it the network does not carry it at all.
    dust=Decimal("0.01"),
    # From block 145000 on (nCoinbaseMaturity in src/chainparams.cpp); regtest has 60, for which this is safe too.
    coinbase_maturity=240,
    uri_scheme="dogecoin",
)
