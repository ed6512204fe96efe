"""Instant notification: the thread that follows the file."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_simnet import Simnet
from cryptoassets_simnet.walletnotify import SimnetNotifyHandler, SimnetNotifyOptions

#: Only a notification that never comes meets it.
SECONDS = 30

Follow = Callable[[Path], "tuple[SimnetNotifyHandler, queue.Queue[Txid]]"]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Start handlers, and stop them in the end."""
    handlers: list[SimnetNotifyHandler] = []

    def start(path: Path) -> tuple[SimnetNotifyHandler, queue.Queue[Txid]]:
        heard: queue.Queue[Txid] = queue.Queue()
        handler = SimnetNotifyHandler(SimnetNotifyOptions(path=path), heard.put)
        handler.start()
        handlers.append(handler)
        return handler, heard

    yield start
    for handler in handlers:
        handler.stop()


def test_each_change_of_a_wallet_transaction_is_told(simnet: Simnet, path: Path, follow: Follow) -> None:
    before = simnet.pay(simnet.create_address(), Decimal(1))
    _, heard = follow(path)
    txid = simnet.pay(simnet.create_address(), Decimal(1))
    assert heard.get(timeout=SECONDS) == txid  # what was before is the start-up rescan's
    simnet.mine()
    assert {heard.get(timeout=SECONDS), heard.get(timeout=SECONDS)} == {before, txid}
    simnet.reorg(1, drop=[before])
    assert {heard.get(timeout=SECONDS), heard.get(timeout=SECONDS)} == {before, txid}
    simnet.double_spend(txid)
    assert heard.get(timeout=SECONDS) == txid
    simnet.mine()
    assert heard.get(timeout=SECONDS) == txid
    simnet.mine(3)
    end = simnet.pay(simnet.create_address(), Decimal(1))
    assert heard.get(timeout=SECONDS) == end  # neither the rival nor further confirmations


def test_a_file_that_is_made_later_is_followed(coin: CoinDescription, path: Path, follow: Follow) -> None:
    handler, heard = follow(path)
    with Simnet(path, coin) as network:
        txid = network.pay(network.create_address(), Decimal(1))
        assert heard.get(timeout=SECONDS) == txid
    assert handler.is_alive()


def test_more_changes_than_one_batch_arrive_in_order(simnet: Simnet, path: Path, follow: Follow) -> None:
    _, heard = follow(path)
    address = simnet.create_address()
    sent = [simnet.pay(address, Decimal(1)) for _ in range(20)]
    assert [heard.get(timeout=SECONDS) for _ in sent] == sent


def test_it_stops_and_may_be_stopped_again(simnet: Simnet, path: Path, follow: Follow) -> None:
    handler, _ = follow(path)
    assert handler.is_alive()
    handler.stop()
    handler.stop()
    assert not handler.is_alive()


def test_what_cannot_be_followed_is_refused_at_the_start(tmp_path: Path, follow: Follow) -> None:
    with pytest.raises(ConfigurationError, match="no directory"):
        follow(tmp_path / "nowhere" / "chain")
    (tmp_path / "text").write_text("something else, long enough to be a header " * 10)
    with pytest.raises(ConfigurationError, match="cannot be used now"):
        follow(tmp_path / "text")


def test_one_bad_moment_does_not_end_it(
    simnet: Simnet, path: Path, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    handler, heard = follow(path.with_name("later"))
    path.with_name("later").write_text("not yet a chain " * 100)
    while "cannot be followed now" not in caplog.text:
        handler._stopping.wait(0.05)
    path.with_name("later").unlink()
    with Simnet(path.with_name("later"), simnet.facts.coin) as network:
        txid = network.pay(network.create_address(), Decimal(1))
        assert heard.get(timeout=SECONDS) == txid
