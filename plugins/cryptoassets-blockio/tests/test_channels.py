"""What the websocket and the webhook have in common: whatever arrives, the next good notification is heard."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from commands import eventually

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoWebhookOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_blockio.webhook import BlockIoWebhookHandler
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.testing.walletnotifysuite import Heard
from cryptoassets_core.walletnotify.base import NEW_BLOCK
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

both = pytest.mark.parametrize("channel", ["listener", "hook"])


@both
def test_deposit_is_told_at_once_also_to_a_new_address(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, backend: BlockIoBackend, heard: Heard, channel: str
) -> None:
    request.getfixturevalue(channel)
    address = backend.create_address("made after the subscription")
    if channel == "listener":
        subscribed = service.calls["subscribe"]
        eventually(lambda: service.calls["subscribe"] > subscribed + 1)
    txid = btc.pay([(address, Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)
    btc.mine()
    heard.wait_for(lambda hints: hints.count(txid) == 2)
    assert heard.hints[0] == NEW_BLOCK


@both
def test_deposits_of_each_coin_are_told(
    request: pytest.FixtureRequest, account: Account, make_backend: Callable[..., BlockIoBackend], heard: Heard,
    channel: str,
) -> None:  # fmt: skip
    make = request.getfixturevalue(f"make_{channel}")
    assert make(make_backend(account)).wait_until_ready(10)
    txid = account.pay([(account.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)


@both
def test_duplicates_and_losses_are_all_the_same(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, heard: Heard, channel: str
) -> None:
    request.getfixturevalue(channel)
    service.hooks.delivery.lose = 1
    lost = btc.pay([(btc.labels["default"], Decimal(1))])
    service.hooks.delivery.copies = 3
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: hints.count(txid) == 3)
    assert lost not in heard.hints


NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "an empty line": b"\n",
    "no JSON": b"txid=" + b"ab" * 32,
    "no UTF-8": b"\xff\xfe\x00",
    "half of JSON": b'{"type": "address", "data": {',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "deep": b"[" * 100_000,
    "100 kB": b'"' + b"a" * 100_000 + b'"',
    "no data": b'{"type": "address"}',
    "data in a list": b'{"type": "address", "data": []}',
    "no txid": b'{"type": "address", "data": {"network": "BTCTEST"}}',
    "a txid in a number": b'{"type": "address", "data": {"network": "BTCTEST", "txid": 7}}',
    "a short txid": b'{"type": "address", "data": {"network": "BTCTEST", "txid": "abc"}}',
    "another network": json.dumps({"type": "address", "data": {"network": "BTC", "txid": "ab" * 32}}).encode(),
}


def test_nonsense_does_not_end_the_websocket(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    """F29."""
    (peer,) = service.peers
    for message in NONSENSE.values():
        peer.send_text(message)
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)
    assert heard.hints == [NEW_BLOCK, txid]
    assert listener.connections == 1
    assert listener.stats["refused"] == len(NONSENSE)
    assert "a" * 100 not in caplog.text


def test_nonsense_is_answered_and_passed_over(hook: BlockIoWebhookHandler, hook_url: str, heard: Heard) -> None:
    """F29."""
    for number, message in enumerate(NONSENSE.values(), start=1):
        answer = requests.post(hook_url, data=message, timeout=10)
        assert answer.status_code == 400
        assert len(answer.text) < 100
        assert hook.stats["refused"] == number
    assert hook.is_alive()
    assert heard.hints == [NEW_BLOCK]


@pytest.mark.parametrize("handler", [BlockIoWebsocketHandler, BlockIoWebhookHandler])
def test_backend_of_somebody_else_is_refused(handler: Any, tmp_path: Path, btc: Account) -> None:
    options = {
        BlockIoWebsocketHandler: BlockIoWebsocketOptions(),
        BlockIoWebhookHandler: BlockIoWebhookOptions.model_validate({"url": "https://shop.example/0f3a5b7c9d1e2f40"}),
    }
    made = handler(options[handler], lambda _: None)
    with pytest.raises(ConfigurationError, match="was not given a backend"):
        made.start()
    with pytest.raises(ConfigurationError, match="use it with the backend blockio"):
        made.attach(SimnetBackend(btc.coin, "regtest", SimnetOptions(path=tmp_path / "chain")))
    made.stop()


@both
def test_unexpected_trouble_ends_nothing(
    request: pytest.FixtureRequest, heard: Heard, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    take = heard.take

    def trouble(hint: Any) -> None:
        take(hint)
        if len(heard.hints) == 1:
            raise RuntimeError("this must not happen")

    monkeypatch.setattr(heard, "take", trouble)
    handler = request.getfixturevalue(f"make_{channel}")()
    heard.wait_for(bool)
    eventually(lambda: handler.ready)
    assert handler.is_alive()


@both
def test_channels_tell_nobody_their_secrets(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, caplog: pytest.LogCaptureFixture, channel: str
) -> None:
    """F36."""
    caplog.set_level(logging.DEBUG)
    handler = request.getfixturevalue(channel)
    service.drop_websockets()
    eventually(lambda: handler.ready)
    btc.pay([(btc.labels["default"], Decimal(1))])
    handler.stop()
    told = caplog.text + repr(handler) + repr(handler.stats) + str(handler.problem())
    for secret in (btc.api_key, btc.pin, "0f3a5b7c9d1e2f40"):
        # The stand-in's own requests, to our URL, are logged in this process too.
        assert secret not in "\n".join(line for line in told.splitlines() if '"POST /blockio/' not in line)
