"""Mooncoin passes the suite for coins."""

from __future__ import annotations

from typing import ClassVar

from mooncoin import MOONCOIN

from cryptoassets_core.coin.validate import encode_base58check, encode_segwit
from cryptoassets_core.testing import CoinSuite

PROGRAM = bytes(range(20))


class TestMooncoin(CoinSuite):
    description = MOONCOIN
    # Those of a coin that exists would come from its own software.
    examples: ClassVar = {
        network: [
            encode_base58check(rules.p2pkh[0], PROGRAM),
            encode_base58check(rules.p2sh[0], PROGRAM),
            encode_segwit(str(rules.bech32_hrp), 0, PROGRAM),
        ]
        for network, rules in MOONCOIN.networks.items()
    }
    respelled = (
        (
            encode_segwit("moon", 0, PROGRAM).upper(),
            "main",
            encode_segwit("moon", 0, PROGRAM),
        ),
    )
