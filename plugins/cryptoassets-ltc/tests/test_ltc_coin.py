"""What Litecoin is: its addresses, network by network, and its limits."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import entry_points

import pytest

import cryptoassets_ltc
from cryptoassets_core.amounts import check_amount
from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BadAddress
from cryptoassets_core.hookspecs import PROJECT_NAME
from cryptoassets_ltc import LITECOIN

#: Made by Litecoin Core, except for the taproot addresses.
EXAMPLES = {
    "main": [
        "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe",
        "ML88MLkmBfsG3PzW1qaSWBadVcQ7F2Pfev",
        "ltc1q8yh3ygw7pyn8fgwsykprvaqgzmqeyaxfjkzq48",
        "ltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpj6zg2",
    ],
    "test": [
        "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
        "QX5bXRudbU7gfZZdX2WFKrpZQb5AgBEXHU",
        "tltc1qslg8a6580nl75swv3knpmmkzzflqj3tvc0d83m",
    ],
    "regtest": [
        "mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx",
        "QTBKEr4JEwrSnTQM66KixRAxBjtA8CBsot",
        "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk",
    ],
}

OF_OTHER_COINS = [
    "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp",
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l",
    "tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv",
    "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9",
    "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU",
    "ltcmweb1qqtlq6j87d2ay2yxy9yrc9ggwzmv6jerts5nmyayjstx9xv9kahl8jq53lkra0xvluwczzgzgwst6lmtgql92q667s9wc5377mtukkk8qvcfl7dfv",
]

CASES = [(network, address) for network in EXAMPLES for addresses in EXAMPLES.values() for address in addresses]


def test_every_network_has_examples() -> None:
    assert EXAMPLES.keys() == LITECOIN.networks.keys()


@pytest.mark.parametrize(("network", "address"), CASES)
def test_network_takes_its_own_addresses_only(network: Network, address: str) -> None:
    rules = LITECOIN.networks[network]

    if address in EXAMPLES[network]:
        assert canonical_address(address, rules) == address
    else:
        # Version bytes 111 and the like are shared by test networks; prefixes and main network never are.
        shared = network != "main" and address[0] in "mnQ2"
        try:
            canonical_address(address, rules)
        except BadAddress:
            assert not shared
        else:
            assert shared


@pytest.mark.parametrize("network", EXAMPLES)
@pytest.mark.parametrize("address", OF_OTHER_COINS)
def test_addresses_of_other_coins_are_refused(network: Network, address: str) -> None:
    with pytest.raises(BadAddress):
        canonical_address(address, LITECOIN.networks[network])


@pytest.mark.parametrize(
    ("older", "network", "today"),
    [
        ("338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3", "main", "M9LPjF5pXiUvxxQUntp1vZAPkJKZ8zrSSS"),
        ("2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "test", "QN3Dc7U8DABwWRXAzFUZoZLgnLP6nYY3eg"),
        ("2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "regtest", "QN3Dc7U8DABwWRXAzFUZoZLgnLP6nYY3eg"),
    ],
)
def test_older_script_address_is_known_by_todays_form(older: str, network: Network, today: str) -> None:
    """What Litecoin Core answers, and reports deposits under."""
    assert canonical_address(older, LITECOIN.networks[network]) == today


def test_dust_limit_covers_the_costliest_output() -> None:
    """P2PKH: 34 bytes to make and 148 to spend, at the daemon's DUST_RELAY_TX_FEE for 1000 bytes."""
    assert (
        Decimal(30000) * (34 + 148) / 1000 * LITECOIN.minor_unit
        == LITECOIN.dust
        == check_amount(LITECOIN.dust, LITECOIN.decimals)
    )


def test_installed_plugin_is_found_and_brings_the_coin() -> None:
    (entry_point,) = entry_points(group=PROJECT_NAME, name="ltc")

    plugin = entry_point.load()

    assert plugin is cryptoassets_ltc
    assert list(plugin.cryptoassets_coins()) == [LITECOIN]
