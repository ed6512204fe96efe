"""Events to a stream of a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.testing import EventSinkSuite, Received, Receiver
from cryptoassets_core.testing.eventsinksuite import event
from cryptoassets_redis.stream import RedisEventOptions, RedisEventSink
from cryptoassets_redis.testing import TemporaryRedis

STREAM = "events of the test"


class Stream(Receiver):
    """Reads the stream as an application does."""

    def __init__(self, server: TemporaryRedis, **options: Any) -> None:
        self.secret = server.password
        self._server = server
        self._options = RedisEventOptions.model_validate(
            {"host": "127.0.0.1", "port": server.port, "password": server.password, "stream": STREAM, **options}
        )
        with server.client() as client:
            client.flushall()

    def open(self) -> RedisEventSink:
        return RedisEventSink("shop", self._options)

    def received(self) -> list[Received]:
        with self._server.client() as client:
            entries: Any = client.xrange(STREAM)
        return [Received(entry["event_id"], entry["event_name"], json.loads(entry["data"])) for _, entry in entries]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Take the stream's key for something else, so that it takes no entry."""
        with self._server.client() as client:
            client.set(STREAM, "no stream")
            yield
            client.delete(STREAM)

    @contextmanager
    def down(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()


class TestRedisEventSink(EventSinkSuite):
    can_be_refused = can_go_down = can_ignore_repeats = True

    @pytest.fixture
    def receiver(self, server: TemporaryRedis) -> Receiver:
        return Stream(server)


def test_a_wrong_password_is_told_and_not_shown(server: TemporaryRedis) -> None:
    sink = Stream(server, password="wr0ng-s3cret").open()
    with pytest.raises(EventDeliveryError, match="did not take event event-1: it refuses the user name or the") as no:
        sink.deliver(event(1))
    assert "s3cret" not in str(no.value)
    sink.close()


def test_the_stream_is_kept_short(server: TemporaryRedis) -> None:
    receiver = Stream(server, maxlen=1)
    sink = receiver.open()
    for number in range(500):
        sink.deliver(event(number, {"n": number}))
    kept = receiver.received()
    sink.close()
    # About as short: Redis drops whole nodes of its tree, of 100 entries by default.
    assert kept[-1].id == "event-499"
    assert len(kept) <= 200
