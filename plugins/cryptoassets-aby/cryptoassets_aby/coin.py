"""Facts about AppleByte, later ArtByte; version bytes are those of ``src/chainparams.cpp`` of its daemon 0.16."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.coin.description import AddressRules, CoinDescription

APPLEBYTE = CoinDescription(
    symbol="aby",
    title="AppleByte",
    models="cryptoassets_aby.models",
    legacy_models=("cryptoassets.core.coin.applebyte.models",),
    networks={
        # No segwit: its daemon knows a prefix, but nobody has told us that the network ever activated it, and before
        # that anybody could take what such an address is paid.
        "main": AddressRules(p2pkh=(0x17,), p2sh=(0x05,)),
        "test": AddressRules(p2pkh=(0x41,), p2sh=(0xC4,)),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,)),
    },
    # DUST_SOFT_LIMIT in src/main.h of its daemon 0.8: smaller outputs cost an additional fee. Later daemons take less.
    dust=Decimal("0.001"),
    coinbase_maturity=100,
    uri_scheme="applebyte",
)
