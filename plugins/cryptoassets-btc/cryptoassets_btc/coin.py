"""Facts about Bitcoin; version bytes and prefixes are those of ``src/kernel/chainparams.cpp`` of Bitcoin Core."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription

BITCOIN = CoinDescription(
    symbol="btc",
    title="Bitcoin",
    models="cryptoassets_btc.models",
    legacy_models=("cryptoassets.core.coin.bitcoin.models",),
    networks={
        "main": AddressRules(p2pkh=(0x00,), p2sh=(0x05,), bech32_hrp="bc"),
        "test": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="tb"),
        "signet": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="tb"),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt"),
    },
    # Of a P2PKH output, 182 bytes to make and to spend at DUST_RELAY_TX_FEE = 3000 satoshi for 1000 bytes
    # (GetDustThreshold in src/policy/policy.cpp); every other type has less, so this is safe for all.
    dust=Decimal("0.00000546"),
    coinbase_maturity=100,
    uri_scheme="bitcoin",
)
