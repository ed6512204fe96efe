"""What AppleByte is: its addresses, network by network, and its limits."""

from __future__ import annotations

from cryptoassets_aby import APPLEBYTE
from cryptoassets_core.testing.coinsuite import CoinSuite

_TEST_SCRIPTS = ["2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne"]


class TestAppleByte(CoinSuite):
    description = APPLEBYTE
    examples = {  # noqa: RUF012
        "main": [
            "AHD79K33MqyGtFe98ZpQqAp9kgN5wMyS7c",
            "AUoWEP7mqfM6YDW3vzdvgNpspZJq5hFmaE",
            "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3",
            "3EieWRkb4R1KpQzVVSeBx7viVUfrGfsX7u",
        ],
        "test": ["TBQSVsZ9BRS5ETVnABooCSFCBsBhmaR91Q", "TNzqawdsfEottRMgxcdK3eFvFk8SyqVAEp", *_TEST_SCRIPTS],
        "regtest": ["mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED", "mtYaswM8KY8CWMmg5uwyMQn7CwyqfxBTCn", *_TEST_SCRIPTS],
    }
