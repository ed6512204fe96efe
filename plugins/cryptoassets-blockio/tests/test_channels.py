"""The websocket and the webhook: whatever arrives, the next good notification is heard."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from cryptoassets_blockio import webhook as webhook_module
from cryptoassets_blockio import websocket as websocket_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoWebhookOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, Fault, StandIn
from cryptoassets_blockio.testing.hooks import address_event
from cryptoassets_blockio.webhook import BlockIoWebhookHandler
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.walletnotify.base import NEW_BLOCK
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

SECRET = "/blockio/0f3a5b7c9d1e2f40"
Make = Callable[..., BlockIoBackend]


class Heard:
    """Collects notifications and waits for them."""

    def __init__(self) -> None:
        self.txids: list[str] = []
        self._news = threading.Condition()

    def __call__(self, txid: str) -> None:
        with self._news:
            self.txids.append(txid)
            self._news.notify_all()

    def wait_for(self, txid: str, *, count: int = 1, seconds: float = 10) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.txids.count(txid) >= count, seconds), self.txids


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_module, "SUBSCRIBE_SECONDS", 0.2)
    monkeypatch.setattr(websocket_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(websocket_module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(webhook_module, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(webhook_module, "LOOK_SECONDS", 0.2)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def backend(btc: Account, make_backend: Make) -> BlockIoBackend:
    return make_backend(btc)


@pytest.fixture
def listener(
    service: StandIn, btc: Account, backend: BlockIoBackend, heard: Heard
) -> Iterator[BlockIoWebsocketHandler]:
    """A websocket that listens."""
    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), heard)
    handler.attach(backend)
    handler.start()
    assert handler.wait_until_ready(10)
    until(lambda: service.hooks.subscribers(btc) == 1)
    yield handler
    handler.stop()
    assert not handler.is_alive()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def make_hook(backend: BlockIoBackend, heard: Heard) -> Iterator[Callable[..., BlockIoWebhookHandler]]:
    made: list[BlockIoWebhookHandler] = []

    def make() -> BlockIoWebhookHandler:
        port = free_port()
        options: Any = {"url": f"http://127.0.0.1:{port}{SECRET}", "port": port}
        made.append(BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate(options), heard))
        made[-1].attach(backend)
        made[-1].start()
        return made[-1]

    yield make
    for handler in made:
        handler.stop()
        assert not handler.is_alive()


@pytest.fixture
def hook(make_hook: Callable[..., BlockIoWebhookHandler]) -> BlockIoWebhookHandler:
    """A webhook that is registered."""
    handler = make_hook()
    assert handler.wait_until_ready(10)
    return handler


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- Both ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["listener", "hook"])
def test_deposit_is_told_at_once_also_to_a_new_address(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, backend: BlockIoBackend, heard: Heard, channel: str
) -> None:
    request.getfixturevalue(channel)
    address = backend.create_address("made after the subscription")
    if channel == "listener":
        subscribed = service.calls["subscribe"]
        until(lambda: service.calls["subscribe"] > subscribed + 1)
    txid = btc.pay([(address, Decimal(1))])
    heard.wait_for(txid)
    btc.mine()
    heard.wait_for(txid, count=2)
    assert heard.txids[0] == NEW_BLOCK


@pytest.mark.parametrize("channel", ["listener", "hook"])
def test_duplicates_and_losses_are_all_the_same(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, heard: Heard, channel: str
) -> None:
    request.getfixturevalue(channel)
    service.hooks.delivery.lose = 1
    lost = btc.pay([(btc.labels["default"], Decimal(1))])
    service.hooks.delivery.copies = 3
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(txid, count=3)
    assert lost not in heard.txids


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
    heard.wait_for(txid)
    assert heard.txids == [NEW_BLOCK, txid]
    assert listener.connections == 1
    assert listener.stats["refused"] == len(NONSENSE)
    assert "a" * 100 not in caplog.text


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_and_passed_over(hook: BlockIoWebhookHandler, heard: Heard, name: str) -> None:
    """F29."""
    answer = requests.post(f"http://127.0.0.1:{hook.server.port}{SECRET}", data=NONSENSE[name], timeout=10)
    assert answer.status_code == 400
    assert len(answer.text) < 100
    assert hook.is_alive()
    assert heard.txids == [NEW_BLOCK]


@pytest.mark.parametrize("message", [{"type": "ping"}, {"status": "success"}, {}, {"type": "new-blocks", "data": {}}])
def test_pings_and_what_is_not_about_us_are_taken(
    service: StandIn, hook: BlockIoWebhookHandler, heard: Heard, message: dict[str, Any]
) -> None:
    assert requests.post(f"http://127.0.0.1:{hook.server.port}{SECRET}", json=message, timeout=10).status_code == 200
    assert heard.txids == [NEW_BLOCK]


@pytest.mark.parametrize("handler", [BlockIoWebsocketHandler, BlockIoWebhookHandler])
def test_backend_of_somebody_else_is_refused(handler: Any, tmp_path: Path, btc: Account) -> None:
    options = {
        BlockIoWebsocketHandler: BlockIoWebsocketOptions(),
        BlockIoWebhookHandler: BlockIoWebhookOptions.model_validate({"url": f"https://shop.example{SECRET}"}),
    }
    made = handler(options[handler], lambda _: None)
    with pytest.raises(ConfigurationError, match="was not given a backend"):
        made.start()
    with pytest.raises(ConfigurationError, match="use it with the backend blockio"):
        made.attach(SimnetBackend(btc.coin, "regtest", SimnetOptions(path=tmp_path / "chain")))
    made.stop()


# --- The websocket ------------------------------------------------------------------------------------------


def test_broken_connection_is_made_again_and_the_gap_is_looked_at(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, heard: Heard
) -> None:
    for number in range(2, 5):
        until(lambda: service.hooks.subscribers(btc) == 1)
        service.drop_websockets()
        heard.wait_for(NEW_BLOCK, count=number)
        assert listener.connections == number
    until(lambda: service.hooks.subscribers(btc) == 1)
    heard.wait_for(btc.pay([(btc.labels["default"], Decimal(1))]))


def test_service_that_comes_up_later_is_found(
    service: StandIn, backend: BlockIoBackend, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "START_SECONDS", 0.1)
    service.refuses_websockets = True
    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), heard)
    handler.attach(backend)
    handler.start()
    assert (handler.ready, handler.is_alive()) == (False, True)
    assert not handler.wait_until_ready(0.01)
    service.refuses_websockets = False
    assert handler.wait_until_ready(10)
    handler.stop()
    handler.stop()
    assert (handler.ready, handler.is_alive()) == (False, False)


def test_silence_is_taken_for_the_end(
    service: StandIn, listener: BlockIoWebsocketHandler, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a sign of life the connection may be dead for ever: nobody tells us."""
    monkeypatch.setattr(websocket_module, "SUBSCRIBE_SECONDS", 60)
    monkeypatch.setattr(websocket_module, "SILENCE_SECONDS", 1)
    heard.wait_for(NEW_BLOCK, count=2)
    monkeypatch.setattr(websocket_module, "PING_SECONDS", 0.1)

    def outlives_silence() -> bool:
        before = listener.connections
        time.sleep(1.5)
        return listener.ready and listener.connections == before

    # Not at once where the machine is slow; and never unless an answer to a ping is a sign of life.
    until(outlives_silence, 20)


def test_unexpected_trouble_ends_nothing(
    service: StandIn, backend: BlockIoBackend, btc: Account, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trouble(txid: str) -> None:
        heard(txid)
        if len(heard.txids) == 1:
            raise RuntimeError("this must not happen")

    handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), trouble)
    handler.attach(backend)
    handler.start()
    heard.wait_for(NEW_BLOCK, count=2)
    assert handler.is_alive()
    handler.stop()


def test_idle_websocket_costs_next_to_nothing(
    service: StandIn, listener: BlockIoWebsocketHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes up a few times a second and sends a message now and then: counted, as times depend on the machine."""
    monkeypatch.undo()
    ticks = 1 / websocket_module.TICK_SECONDS
    assert ticks <= 2
    assert websocket_module.SUBSCRIBE_SECONDS >= 10
    before = service.calls.total()
    time.sleep(1)
    assert service.calls.total() - before <= 1


# --- The webhook --------------------------------------------------------------------------------------------


def test_webhook_registers_itself_and_removes_itself(
    service: StandIn, btc: Account, hook: BlockIoWebhookHandler
) -> None:
    (registered,) = service.hooks.hooks(btc)
    assert registered.url.endswith(SECRET)
    assert service.hooks.delivered == [(registered.url, 200)]
    hook.stop()
    assert service.hooks.hooks(btc) == []


@pytest.mark.parametrize("as_object", [False, True])
def test_webhook_that_is_there_already_is_kept(
    service: StandIn, btc: Account, make_hook: Callable[..., BlockIoWebhookHandler], as_object: bool, heard: Heard
) -> None:
    btc.behaviour.notifications_as_object = as_object
    hook = make_hook()
    assert hook.wait_until_ready(10)
    (registered,) = service.hooks.hooks(btc)
    registered.enabled = False
    until(lambda: registered.enabled)
    heard.wait_for(NEW_BLOCK, count=2)
    assert service.hooks.hooks(btc) == [registered]
    assert service.calls["create_notification"] == 1


def test_webhook_that_was_lost_is_made_again(service: StandIn, btc: Account, hook: BlockIoWebhookHandler) -> None:
    service.hooks.call(btc, "delete_notification", {"notification_id": service.hooks.hooks(btc)[0].notification_id})
    until(lambda: len(service.hooks.hooks(btc)) == 1)


def test_webhook_that_cannot_be_made_again_is_a_problem(
    service: StandIn, btc: Account, hook: BlockIoWebhookHandler
) -> None:
    assert hook.problem() is None
    service.faults.arm("create_notification", Fault.HTML, 1000)
    service.hooks.call(btc, "delete_notification", {"notification_id": service.hooks.hooks(btc)[0].notification_id})
    until(lambda: "HTTP" in str(hook.problem()))
    assert hook.is_alive()
    assert SECRET not in str(hook.problem())
    service.faults.clear()
    until(lambda: hook.problem() is None)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.HTML, Fault.THROTTLED_429])
def test_registration_is_tried_until_it_succeeds(
    service: StandIn, btc: Account, make_hook: Callable[..., BlockIoWebhookHandler], fault: Fault
) -> None:
    service.faults.arm("create_notification", fault)
    assert make_hook().wait_until_ready(10)
    assert len(service.hooks.hooks(btc)) == 1


def test_only_the_secret_path_is_answered(
    btc: Account, hook: BlockIoWebhookHandler, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    """F08."""
    base = f"http://127.0.0.1:{hook.server.port}"
    event = {"type": "address", "data": address_event(btc, btc.labels["default"], "ab" * 32, 0)}
    for path in ("/", "/x", SECRET[:-1], f"{SECRET}0", f"{SECRET}/", SECRET.upper(), f"{SECRET}?a=b"):
        expected = 200 if path.endswith("?a=b") else 404
        assert requests.post(base + path, json=event, timeout=10).status_code == expected, path
    assert requests.get(base + SECRET, timeout=10).status_code == 405
    assert heard.txids == [NEW_BLOCK, "ab" * 32]
    assert SECRET not in caplog.text


def test_huge_body_is_refused(hook: BlockIoWebhookHandler, heard: Heard) -> None:
    """F08."""
    url = f"http://127.0.0.1:{hook.server.port}{SECRET}"
    # It may hang up in the middle of it.
    with suppress(requests.ConnectionError):
        assert requests.post(url, data=b"x" * 10_000_000, timeout=10).status_code == 413
    assert hook.is_alive()
    assert heard.txids == [NEW_BLOCK]


def test_flood_is_answered_and_leaves_one_good_notification(
    btc: Account, hook: BlockIoWebhookHandler, heard: Heard
) -> None:
    """F08."""
    with requests.Session() as session:
        for number in range(200):
            event = {"type": "address", "data": address_event(btc, btc.labels["default"], f"{number:064x}", 0)}
            assert session.post(f"http://127.0.0.1:{hook.server.port}{SECRET}", json=event, timeout=10).ok
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(txid)


@pytest.mark.parametrize(
    "url", ["https://shop.example/", "https://shop.example", "https://shop.example/hook", "ftp://a/b"]
)
def test_url_without_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="option url of blockio_webhook") as caught:
        BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate({"url": url}), lambda _: None)
    assert url not in str(caught.value)


@pytest.mark.parametrize("channel", ["listener", "hook"])
def test_channels_tell_nobody_their_secrets(
    request: pytest.FixtureRequest, service: StandIn, btc: Account, caplog: pytest.LogCaptureFixture, channel: str
) -> None:
    """F36."""
    caplog.set_level(logging.DEBUG)
    handler = request.getfixturevalue(channel)
    service.drop_websockets()
    until(lambda: bool(handler.ready))
    btc.pay([(btc.labels["default"], Decimal(1))])
    handler.stop()
    told = caplog.text + repr(handler) + repr(handler.stats) + str(handler.problem())
    for secret in (btc.api_key, btc.pin, SECRET):
        # The stand-in's own requests, to our URL, are logged in this process too.
        assert secret not in "\n".join(line for line in told.splitlines() if '"POST /blockio/' not in line)
