"""What Dogecoin is: its addresses, network by network, and its limits."""

from __future__ import annotations

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.testing.coinsuite import CoinSuite
from cryptoassets_doge import DOGECOIN, models

_TEST_SCRIPTS = ["2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne"]


class TestDogecoin(CoinSuite):
    description = DOGECOIN
    examples = {  # noqa: RUF012
        "main": [
            "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU",
            "DJAj89CnovbEGFUf6vyA5FjPE67RzUbzYy",
            "9ssWACjkefWQ4pW479V6M3YN8B79EVgRnY",
            "A5TuFGpV8UtDinMxuaJcCFZ6C43tKge9wE",
        ],
        "test": ["nVdPm5ryG5g8VGBwLKo6UTJxQ5Yyu9istP", "nhDnr9whju3x9E3r8kccKfKgTxVj2fuiKk", *_TEST_SCRIPTS],
        "regtest": ["mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED", "mtYaswM8KY8CWMmg5uwyMQn7CwyqfxBTCn", *_TEST_SCRIPTS],
    }

    def test_block_reward_has_to_be_older_than_other_deposits(self) -> None:
        coin = Coin(models.coin_description)
        assert coin.confirmations_needed(coinbase=True) == 240
        assert coin.confirmations_needed(coinbase=False) == 3
