"""A daemon on another network, behind its network, or cut off from it is not believed, at no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.nodestate import DEFAULT_MAX_TIP_AGE, MAX_BLOCKS_BEHIND, NodeState
from cryptoassets_core.coin.description import Network
from cryptoassets_core.errors import BackendError, BackendRejectedError, BackendUnavailableError

NOW = datetime(2030, 1, 1, tzinfo=UTC)

GOOD: dict[str, Any] = {
    "chain": "main",
    "blocks": 1000,
    "headers": 1000,
    "bestblockhash": "ab" * 32,
    "mediantime": int(NOW.timestamp()) - 3600,
    "initialblockdownload": False,
}


def tip(
    change: dict[str, Any] | None = None, *, network: Network = "main", age: float | None = DEFAULT_MAX_TIP_AGE
) -> str:
    state = NodeState(
        endpoint=Endpoint.parse("http://u:s3cret@127.0.0.1:1/"),
        symbol="btc",
        network=network,
        max_tip_age=age,
        clock=lambda: NOW,
    )
    return state.tip(GOOD | (change or {}))


def test_daemon_that_is_up_to_date_is_believed() -> None:
    assert tip() == "ab" * 32
    assert tip({"headers": 1000 + MAX_BLOCKS_BEHIND}) == "ab" * 32
    # Dogecoin 1.14 and other old ones lack it.
    old = {key: value for key, value in GOOD.items() if key != "initialblockdownload"}
    assert old["bestblockhash"] == tip(old)


@pytest.mark.parametrize("chain", ["test", "testnet4", "signet", "regtest", "mainnet", ""])
def test_another_network_is_refused(chain: str) -> None:
    with pytest.raises(BackendError, match=r"network|should be a text"):
        tip({"chain": chain})


@pytest.mark.parametrize(
    ("network", "chain"), [("test", "test"), ("test", "testnet4"), ("signet", "signet"), ("regtest", "regtest")]
)
def test_each_network_has_its_names(network: Network, chain: str) -> None:
    assert tip({"chain": chain}, network=network)
    with pytest.raises(BackendRejectedError, match="configured for 'main'"):
        tip({"chain": chain})


@pytest.mark.parametrize(
    "behind", [{"initialblockdownload": True}, {"headers": 1001 + MAX_BLOCKS_BEHIND}, {"blocks": 0, "headers": 800_000}]
)
def test_daemon_that_is_still_downloading_is_not_believed(behind: dict[str, Any]) -> None:
    with pytest.raises(BackendUnavailableError, match="still downloading the block chain, it has"):
        tip(behind)


def test_private_chain_waits_for_nobody() -> None:
    assert tip({"chain": "regtest", "initialblockdownload": True, "mediantime": 0, "headers": 5000}, network="regtest")


@pytest.mark.parametrize("key", ["mediantime", "time"])
def test_newest_block_that_is_too_old_is_not_believed(key: str) -> None:
    old = NOW - timedelta(seconds=DEFAULT_MAX_TIP_AGE + 360)
    with pytest.raises(BackendUnavailableError, match=r"is 6\.1 hours old; nothing is credited"):
        tip({key: int(old.timestamp())})
    assert tip({key: int(old.timestamp())}, age=None)


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=365)])
def test_clock_that_jumps_credits_nothing_too_early(jump: timedelta) -> None:
    """Back, every block is young; forward, every block is old, and the sentence names the clock (F33)."""
    told = {"mediantime": int((NOW - jump).timestamp())}
    if jump < timedelta(0):
        assert tip(told)
    else:
        with pytest.raises(BackendUnavailableError, match="the clock of this machine"):
            tip(told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"chain": None},
        {"blocks": "1000"},
        {"headers": None},
        {"blocks": 1.5},
        {"mediantime": None},
        {"mediantime": "now"},
        {"bestblockhash": "nonsense"},
        {"bestblockhash": None},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match="makes no sense"):
        tip(wrong)
