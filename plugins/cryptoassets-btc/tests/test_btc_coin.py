"""What Bitcoin is: its addresses, network by network, and its limits."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import entry_points

import pytest

import cryptoassets_btc
from cryptoassets_btc import BITCOIN
from cryptoassets_core.amounts import check_amount
from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BadAddress
from cryptoassets_core.hookspecs import PROJECT_NAME

EXAMPLES = {
    "main": [
        "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp",
        "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3",
        "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l",
        "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqqhpap9",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ],
    "test": [
        "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
        "2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn",
        "tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47zagq",
    ],
    "regtest": [
        "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
        "2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn",
        "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9",
        "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
    ],
}
# Signet's addresses are those of the test network.
EXAMPLES["signet"] = EXAMPLES["test"]

OF_OTHER_COINS = [
    "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe",
    "QX5bXRudbU7gfZZdX2WFKrpZQb5AgBEXHU",
    "ltc1q8yh3ygw7pyn8fgwsykprvaqgzmqeyaxfjkzq48",
    "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk",
    "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU",
]

CASES = [(network, address) for network in EXAMPLES for addresses in EXAMPLES.values() for address in addresses]


def test_every_network_has_examples() -> None:
    assert EXAMPLES.keys() == BITCOIN.networks.keys()


@pytest.mark.parametrize(("network", "address"), CASES)
def test_network_takes_its_own_addresses_only(network: Network, address: str) -> None:
    rules = BITCOIN.networks[network]

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
        canonical_address(address, BITCOIN.networks[network])


def test_dust_limit_covers_the_costliest_output() -> None:
    """P2PKH: 34 bytes to make and 148 to spend, at the daemon's DUST_RELAY_TX_FEE for 1000 bytes."""
    assert (
        Decimal(3000) * (34 + 148) / 1000 * BITCOIN.minor_unit
        == BITCOIN.dust
        == check_amount(BITCOIN.dust, BITCOIN.decimals)
    )


def test_installed_plugin_is_found_and_brings_the_coin() -> None:
    (entry_point,) = entry_points(group=PROJECT_NAME, name="btc")

    plugin = entry_point.load()

    assert plugin is cryptoassets_btc
    assert list(plugin.cryptoassets_coins()) == [BITCOIN]
