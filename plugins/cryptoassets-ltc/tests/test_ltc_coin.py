"""What Litecoin is: its addresses, network by network, and its limits."""

from __future__ import annotations

from decimal import Decimal

from cryptoassets_core.testing.coinsuite import CoinSuite
from cryptoassets_ltc import LITECOIN

_TEST_SCRIPTS = ["QX5bXRudbU7gfZZdX2WFKrpZQb5AgBEXHU", "QgzH1wdfrr31JKqdV1XVZoM5oJoQuzSeCS"]


class TestLitecoin(CoinSuite):
    """The examples were made by Litecoin Core, except for the taproot addresses, which it takes."""

    description = LITECOIN
    examples = {  # noqa: RUF012
        "main": [
            "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe",
            "LU7QLz5D2QfVrXscUw26gkxesMrRiHAKVP",
            "ML88MLkmBfsG3PzW1qaSWBadVcQ7F2Pfev",
            "M9gLDHdPsNZcs2J6D7pf5iapiUaAo13XC7",
            "ltc1q8yh3ygw7pyn8fgwsykprvaqgzmqeyaxfjkzq48",
            "ltc1q3kwrxny0xzpfnswegyetq3jj6qj9xpss2apete",
            "ltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpj6zg2",
            "ltc1pp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqfy0yru",
        ],
        "test": [
            "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
            *_TEST_SCRIPTS,
            "tltc1qslg8a6580nl75swv3knpmmkzzflqj3tvc0d83m",
            "tltc1qsjt6gzuasqlnf0fv876myjr50lfympvc6zas7l",
        ],
        "regtest": [
            "mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx",
            *_TEST_SCRIPTS,
            "QTBKEr4JEwrSnTQM66KixRAxBjtA8CBsot",
            "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk",
            "rltc1qg36mru06d7pg87mznzmzdm632zznz8ffukv63n",
        ],
    }
    #: Older script addresses: what Litecoin Core answers for them, and reports deposits under.
    respelled = (
        ("338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3", "main", "M9LPjF5pXiUvxxQUntp1vZAPkJKZ8zrSSS"),
        ("3EieWRkb4R1KpQzVVSeBx7viVUfrGfsX7u", "main", "MLvnpKAZ1XrkcvGPbKdXmmB7pBGJGnbiDz"),
        ("2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "test", "QN3Dc7U8DABwWRXAzFUZoZLgnLP6nYY3eg"),
        ("2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "regtest", "QN3Dc7U8DABwWRXAzFUZoZLgnLP6nYY3eg"),
        ("2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne", "regtest", "QZdchBYrgyZmAPP5ngJ5emMQrDKqz84KpN"),
    )

    def test_dust_limit_covers_the_costliest_output(self) -> None:
        """P2PKH: 34 bytes to make and 148 to spend, at the daemon's DUST_RELAY_TX_FEE for 1000 bytes."""
        assert Decimal(30000) * (34 + 148) / 1000 * LITECOIN.minor_unit == LITECOIN.dust
