"""Facts about Litecoin; version bytes and prefixes are those of ``src/chainparams.cpp`` of Litecoin Core."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription

LITECOIN = CoinDescription(
    symbol="ltc",
    title="Litecoin",
    models="cryptoassets_ltc.models",
    legacy_models=("cryptoassets.core.coin.litecoin.models",),
    networks={
        # The second byte of p2sh is the older form, which is the same as Bitcoin's ("3...", on test networks "2...").
        "main": AddressRules(p2pkh=(0x30,), p2sh=(0x32, 0x05), bech32_hrp="ltc"),
        "test": AddressRules(p2pkh=(0x6F,), p2sh=(0x3A, 0xC4), bech32_hrp="tltc"),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0x3A, 0xC4), bech32_hrp="rltc"),
    },
    # Of a P2PKH output, 182 bytes to make and to spend at DUST_RELAY_TX_FEE = 30000 for 1000 bytes, ten times Bitcoin's
    # (src/policy/policy.h). Litecoin Core 0.21.2 was seen to refuse 0.00005459 and to take 0.00005460; the least it
    # takes is 0.00005400 for P2SH, 0.00003300 for P2WSH and taproot and 0.00002940 for P2WPKH, so this is safe for all.
    dust=Decimal("0.00005460"),
    coinbase_maturity=100,
    uri_scheme="litecoin",
)
