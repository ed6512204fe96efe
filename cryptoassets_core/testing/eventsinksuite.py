"""The conformance suite for event sinks: what is taken has arrived, what has not arrived is said.

An author inherits it and supplies the receiving end::

    class TestMySink(EventSinkSuite):
        @pytest.fixture
        def receiver(self):
            with closing(MyReceiver()) as receiver:
                yield receiver
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import pytest

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink
from cryptoassets_core.testing.suite import ConformanceSuite, needs

#: What the kernel puts into a ``txupdate``; amounts are text, so that no reader makes a float of them.
PAYLOAD: Final[Mapping[str, object]] = {
    "coin_name": "btc",
    "transaction": 7,
    "network_transaction": None,
    "transaction_type": "deposit",
    "txid": "ab" * 32,
    "account": 3,
    "address": "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v",
    "amount": "0.00000001",
    "credited": False,
    "confirmations": 0,
}

#: What may stand in a label, which some events carry.
DIFFICULT: Final[Mapping[str, object]] = {
    "label": "é \u202e \U0001f4b0 & = % + \" ' \\ <script> {{ 7*7 }}",
    "empty": "",
    "nested": {"list": [1, "2", None, True], "none": None},
    "large": 2**63 - 1,
}


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it arrived at the other end."""

    id: str
    name: str
    data: Mapping[str, object]


class Receiver(ABC):
    """The other end of a sink."""

    @abstractmethod
    def open(self) -> EventSink:
        """Make a sink that delivers here."""

    @abstractmethod
    def received(self) -> list[Received]:
        """Return what has arrived, in order; repeats included."""

    def refusing(self) -> AbstractContextManager[None]:
        """Inside of a ``with``, take no event: answer with an error, raise, exit with a code (can_be_refused)."""
        raise NotImplementedError(f"{type(self).__name__} must define refusing()")

    def down(self) -> AbstractContextManager[None]:
        """Inside of a ``with``, be unreachable (can_go_down)."""
        raise NotImplementedError(f"{type(self).__name__} must define down()")

    #: Whatever must not show in an error, such as the sink's password.
    secret: str | None = None

    def close(self) -> None:
        """End what the receiving end needs."""


def event(number: int, data: Mapping[str, object] = PAYLOAD) -> Event:
    """Make an event."""
    return Event(id=f"event-{number}", name="txupdate", data=data)


class EventSinkSuite(ConformanceSuite, defines_capabilities=True):
    """Inherit it in a class whose name begins with ``Test``; define the fixture ``receiver`` in it or beside it."""

    #: The receiver can say no.
    can_be_refused = False
    #: The receiver can be unreachable.
    can_go_down = False
    #: An event that comes again is not seen twice.
    can_ignore_repeats = False

    @pytest.fixture
    def sink(self, receiver: Receiver) -> Iterator[EventSink]:
        """A sink that is used like the dispatcher does."""
        sink = receiver.open()
        yield sink
        sink.close()

    def test_an_event_arrives_whole(self, receiver: Receiver, sink: EventSink) -> None:
        """With its id, without which nobody can tell a repeat; and to the last digit."""
        sink.deliver(event(1))
        assert receiver.received() == [Received("event-1", "txupdate", PAYLOAD)]

    def test_difficult_text_arrives_unchanged(self, receiver: Receiver, sink: EventSink) -> None:
        sink.deliver(event(1, DIFFICULT))
        assert [each.data for each in receiver.received()] == [DIFFICULT]

    def test_events_arrive_in_order(self, receiver: Receiver, sink: EventSink) -> None:
        for number in range(20):
            sink.deliver(event(number))
        assert [each.id for each in receiver.received()] == [f"event-{number}" for number in range(20)]

    def test_a_repeat_carries_the_same_id(self, receiver: Receiver, sink: EventSink) -> None:
        for _ in range(2):
            sink.deliver(event(1))
        assert {each.id for each in receiver.received()} == {"event-1"}

    @needs("can_ignore_repeats")
    def test_a_repeat_is_seen_once(self, receiver: Receiver, sink: EventSink) -> None:
        for number in (1, 2, 1):
            sink.deliver(event(number))
        assert [each.id for each in receiver.received()] == ["event-1", "event-2"]

    def test_what_json_cannot_carry_is_not_taken(self, receiver: Receiver, sink: EventSink) -> None:
        with pytest.raises(EventDeliveryError):
            sink.deliver(event(1, {"amount": float("nan")}))
        assert receiver.received() == []

    @needs("can_be_refused")
    def test_a_refusal_is_said_and_the_next_attempt_succeeds(self, receiver: Receiver, sink: EventSink) -> None:
        """Catches a sink that swallows failures, which loses events for good."""
        with receiver.refusing(), pytest.raises(EventDeliveryError) as refused:
            sink.deliver(event(1))
        _see_that_it_can_be_shown(str(refused.value), receiver)
        sink.deliver(event(1))
        assert receiver.received()[-1].id == "event-1"

    @needs("can_go_down")
    def test_a_receiver_that_is_down_is_said_and_found_again(self, receiver: Receiver, sink: EventSink) -> None:
        sink.deliver(event(1))
        with receiver.down(), pytest.raises(EventDeliveryError) as refused:
            sink.deliver(event(2))
        _see_that_it_can_be_shown(str(refused.value), receiver)
        sink.deliver(event(2))
        assert receiver.received()[-1].id == "event-2"

    @needs("can_go_down")
    def test_a_sink_can_be_made_while_its_receiver_is_down(self, receiver: Receiver) -> None:
        """The daemon must start all the same."""
        with receiver.down():
            sink = receiver.open()
        sink.deliver(event(1))
        assert [each.id for each in receiver.received()] == ["event-1"]
        sink.close()

    def test_closing_twice_harms_nothing(self, receiver: Receiver, sink: EventSink) -> None:
        sink.deliver(event(1))
        sink.close()
        sink.close()


def _see_that_it_can_be_shown(message: str, receiver: Receiver) -> None:
    """An error is shown on status pages and in logs."""
    assert message
    assert message.isprintable()
    assert receiver.secret is None or receiver.secret not in message
