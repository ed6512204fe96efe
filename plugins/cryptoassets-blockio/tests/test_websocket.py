"""The websocket: it is kept open through everything, and nobody can keep it waiting."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from commands import eventually
from websocket import ABNF

from cryptoassets_blockio import connection as connection_module
from cryptoassets_blockio import websocket as websocket_module
from cryptoassets_blockio.testing import Account, Fault, StandIn
from cryptoassets_blockio.testing.sockets import Peer
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.testing.walletnotifysuite import Heard
from cryptoassets_core.walletnotify.base import NEW_BLOCK

MakeListener = Callable[[], BlockIoWebsocketHandler]


def blocks(number: int) -> Callable[[list[Any]], bool]:
    """Tell whether the chain was to be looked at so often."""
    return lambda hints: hints.count(NEW_BLOCK) >= number


def test_broken_connection_is_made_again_and_the_gap_is_looked_at(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, heard: Heard
) -> None:
    for number in range(2, 5):
        eventually(lambda: service.hooks.subscribers(btc) == 1)
        service.drop_websockets()
        heard.wait_for(blocks(number))
        assert listener.connections == number
    eventually(lambda: service.hooks.subscribers(btc) == 1)
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)


def test_service_that_comes_up_later_is_found(
    service: StandIn, make_listener: MakeListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "START_SECONDS", 0.1)
    service.refuses_websockets = True
    handler = make_listener()
    assert (handler.ready, handler.is_alive()) == (False, True)
    assert not handler.wait_until_ready(0.01)
    eventually(lambda: str(handler.problem()).endswith("it answers with HTTP status 503"))
    service.refuses_websockets = False
    assert handler.wait_until_ready(10)
    handler.stop()
    handler.stop()
    assert (handler.ready, handler.is_alive()) == (False, False)


# --- Subscriptions ------------------------------------------------------------------------------------------


def test_subscription_that_is_refused_never_looks_ready(
    btc: Account, make_listener: MakeListener, heard: Heard, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """B19: a connection alone brings nothing."""
    monkeypatch.setattr(websocket_module, "START_SECONDS", 0.5)
    btc.behaviour.refuses_subscriptions = True
    handler = make_listener()
    assert not handler.ready
    eventually(lambda: handler.connections > 2)
    assert heard.hints == [], "it was ready at some time"
    assert str(handler.problem()) == (
        "block.io's websocket brings no notifications: it refuses our subscription; see that the API key is right and "
        "may be used from this machine"
    )
    assert btc.api_key not in caplog.text
    btc.behaviour.refuses_subscriptions = False
    assert handler.wait_until_ready(10)
    assert handler.problem() is None


def test_subscription_that_is_refused_later_is_a_problem(
    btc: Account, listener: BlockIoWebsocketHandler, heard: Heard
) -> None:
    btc.behaviour.refuses_subscriptions = True
    eventually(lambda: "refuses our subscription" in str(listener.problem()))
    btc.behaviour.refuses_subscriptions = False
    heard.wait_for(blocks(2))


def test_subscription_without_an_answer_counts_after_a_while(
    btc: Account, make_listener: MakeListener, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the service answers it is not known."""
    monkeypatch.setattr(websocket_module, "REFUSAL_SECONDS", 0.3)
    btc.behaviour.answers_subscriptions = False
    began = time.monotonic()
    assert make_listener().ready
    assert time.monotonic() - began >= 0.3


def test_new_addresses_are_covered_at_once_when_somebody_says_so(
    service: StandIn, listener: BlockIoWebsocketHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "SUBSCRIBE_SECONDS", 600)
    before = service.calls["subscribe"]
    listener.register_new_addresses()
    eventually(lambda: service.calls["subscribe"] > before)


# --- Who keeps us waiting -----------------------------------------------------------------------------------


def test_silence_is_taken_for_the_end(
    service: StandIn, listener: BlockIoWebsocketHandler, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a sign of life the connection may be dead for ever: nobody tells us."""
    monkeypatch.setattr(websocket_module, "SUBSCRIBE_SECONDS", 60)
    monkeypatch.setattr(websocket_module, "SILENCE_SECONDS", 0.5)
    heard.wait_for(blocks(2))
    monkeypatch.setattr(websocket_module, "PING_SECONDS", 0.1)

    def outlives_silence() -> bool:
        before = listener.connections
        time.sleep(0.8)
        return listener.ready and listener.connections == before

    # Not at once where the machine is slow; and never unless an answer to a ping is a sign of life.
    eventually(outlives_silence)


@pytest.mark.parametrize("fault", [Fault.DRIP, Fault.STALL_BEFORE])
def test_handshake_without_an_end_is_given_up_and_the_next_one_is_tried(
    service: StandIn, make_listener: MakeListener, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(websocket_module, "START_SECONDS", 0.01)
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 0.4)
    service.faults.arm("websocket", fault, 1000)
    handler = make_listener()
    expected = "does not come to an end" if fault is Fault.DRIP else "does not answer in time"
    eventually(lambda: expected in str(handler.problem()))
    service.faults.clear()
    assert handler.wait_until_ready(10)


def test_handshake_without_an_end_does_not_keep_us_from_stopping(
    service: StandIn, make_listener: MakeListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "START_SECONDS", 0.2)
    service.faults.arm("websocket", Fault.DRIP)
    handler = make_listener()
    began = time.monotonic()
    handler.stop()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("fault", [Fault.REDIRECT, Fault.HTML, Fault.HTML_OK, Fault.WRONG_JSON, Fault.DROP_BEFORE])
def test_other_answers_than_a_handshake_are_survived(
    service: StandIn, make_listener: MakeListener, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A redirect is not followed: what is sent next is the key."""
    service.faults.arm("websocket", fault, 2)
    assert make_listener().wait_until_ready(10)
    assert service.calls["elsewhere"] == 0


def frame(payload: bytes, *, opcode: int = ABNF.OPCODE_TEXT, fin: int = 1) -> bytes:
    made = ABNF(fin, 0, 0, 0, opcode, 0, payload)
    return bytes(made.format())


#: A text of as many bytes as 64 bits can say.
ENDLESS = b"\x81\x7f" + b"\x7f" + b"\xff" * 7


def dripping() -> Iterator[bytes]:
    yield ENDLESS
    for _ in range(1000):
        time.sleep(0.02)
        yield b" "


def is_hung_up_on(peer: Peer, parts: Iterable[bytes]) -> bool:
    """Send as long as somebody takes it."""
    try:
        for part in parts:
            peer.send_raw(part)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("how", ["one frame", "many frames", "many frames and pings"])
def test_message_that_is_too_large_ends_the_connection_and_not_the_channel(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, heard: Heard,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(connection_module, "MAX_MESSAGE_BYTES", 100_000)
    (peer,) = service.peers
    part = b"x" * 9_000
    begin = ENDLESS if how == "one frame" else frame(part, fin=0)
    more = part if how == "one frame" else frame(part, opcode=ABNF.OPCODE_CONT, fin=0)
    if how.endswith("pings"):
        more += frame(b"", opcode=ABNF.OPCODE_PING)
    assert is_hung_up_on(peer, [begin, *[more] * 10_000])
    heard.wait_for(blocks(2))
    assert "a message has more than 100000 bytes" in caplog.text
    eventually(lambda: service.hooks.subscribers(btc) == 1)
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)


def test_messages_up_to_the_limit_are_taken_however_many(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_MESSAGE_BYTES", 10_000)
    monkeypatch.setattr(connection_module, "MESSAGE_SECONDS", 0.5)
    (peer,) = service.peers
    until = time.monotonic() + 1
    while time.monotonic() < until:
        peer.send_text(b"x" * 9_000)
        time.sleep(0.05)
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)
    assert listener.connections == 1


def test_message_that_drips_ends_the_connection_and_not_the_channel(
    service: StandIn, listener: BlockIoWebsocketHandler, heard: Heard, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(connection_module, "MESSAGE_SECONDS", 0.3)
    (peer,) = service.peers
    assert is_hung_up_on(peer, dripping())
    heard.wait_for(blocks(2))
    assert "a message does not come to an end" in caplog.text


def test_message_that_drips_does_not_keep_us_from_stopping(service: StandIn, listener: BlockIoWebsocketHandler) -> None:
    (peer,) = service.peers
    drip = threading.Thread(target=is_hung_up_on, args=(peer, dripping()))
    drip.start()
    began = time.monotonic()
    listener.stop()
    assert time.monotonic() - began < 5
    drip.join()


def test_idle_websocket_costs_next_to_nothing(
    service: StandIn, listener: BlockIoWebsocketHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes up twice a second and sends a message now and then: counted, as times depend on the machine."""
    monkeypatch.undo()
    assert connection_module.TICK_SECONDS >= 0.5
    assert websocket_module.SUBSCRIBE_SECONDS >= 10
    before = service.calls.total()
    time.sleep(1)
    assert service.calls.total() - before <= 1


def test_what_is_sent_is_in_no_log_however_much_is_logged(
    service: StandIn, btc: Account, listener: BlockIoWebsocketHandler, caplog: pytest.LogCaptureFixture
) -> None:
    """F36."""
    caplog.set_level(logging.DEBUG)
    before = service.calls["subscribe"]
    eventually(lambda: service.calls["subscribe"] > before)
    assert btc.api_key not in caplog.text
