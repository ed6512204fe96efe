"""What Bitcoin is: its addresses, network by network, and its limits."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_btc import BITCOIN
from cryptoassets_core.testing.coinsuite import CoinSuite

_TEST = [
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
    "mtYaswM8KY8CWMmg5uwyMQn7CwyqfxBTCn",
    "2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn",
    "2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne",
    "tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv",
    "tb1q3m5fwyfnpswv7wdzueddz2aa0h62fghw06duvr",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47zagq",
]


class TestBitcoin(CoinSuite):
    description = BITCOIN
    examples = {  # noqa: RUF012
        "main": [
            "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp",
            "1E2datG9WWgwjFJ4NLybXVZnLxP8iMVe82",
            "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3",
            "3EieWRkb4R1KpQzVVSeBx7viVUfrGfsX7u",
            "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l",
            "bc1q3m5fwyfnpswv7wdzueddz2aa0h62fghw9uk0hs",
            "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqqhpap9",
            "bc1q3m5fwyfnpswv7wdzueddz2aa0h62fghws4l48dyz8uq0ajmm6ffqq0rkg2",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "bc1pp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehq2qp5ee",
        ],
        "test": _TEST,
        # Signet's addresses are those of the test network.
        "signet": _TEST,
        "regtest": [
            *_TEST[:4],
            "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9",
            "bcrt1q3m5fwyfnpswv7wdzueddz2aa0h62fghwdn53m2",
            "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
        ],
    }

    def test_dust_limit_covers_the_costliest_output(self) -> None:
        """P2PKH: 34 bytes to make and 148 to spend, at the daemon's DUST_RELAY_TX_FEE for 1000 bytes."""
        assert Decimal(3000) * (34 + 148) / 1000 * BITCOIN.minor_unit == BITCOIN.dust
