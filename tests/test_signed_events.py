"""Signed events: only the daemon can tell the application something, once, and now (F09)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from http_application import EVENT, Application, free_port
from pydantic import ValidationError

from cryptoassets_core.errors import ConfigurationError, EventDeliveryError
from cryptoassets_core.event import signing
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.event.signing import TOLERANCE_SECONDS, SignatureError, parse_secret, sign, verify
from cryptoassets_core.utils import httpeventlistener
from cryptoassets_core.utils.httpeventlistener import ListeningCallback, simple_http_event_listener

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_c2VjcmV0IG9mIHNvbWVib2R5IGVsc2Ugb24gZWFydGg="
NOW = 1767323045
KEY = parse_secret(SECRET)


# --- Signatures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_id", "timestamp", "body", "signature"),
    [
        # Made with the library of the specification's authors: PyPI, standardwebhooks 1.1.0.
        (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "evt_1",
            NOW,
            b"event_name=txupdate&event_id=evt_1&data=%7B%7D",
            "v1,znlJT4Wd/7GNicZgIFftZB7JvV8wJfNxCe4BVIg09NU=",
        ),
    ],
)
def test_signatures_are_those_of_the_specification(event_id: str, timestamp: int, body: bytes, signature: str) -> None:
    headers = sign([KEY], event_id, timestamp, body)
    assert headers == {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    assert verify([KEY], headers, body, now=timestamp) == signing.Signed(event_id, timestamp)


def signed(*secrets: str, at: int = NOW, body: bytes = b"body", **changed: str) -> dict[str, str]:
    keys = [parse_secret(secret) for secret in secrets or (SECRET,)]
    changes = {name.replace("_", "-"): value for name, value in changed.items()}
    return {**sign(keys, "evt_1", at, body), **changes}


def test_either_secret_is_accepted_while_one_replaces_the_other() -> None:
    both = signed(SECRET, OTHER)
    for keys in ([KEY], [parse_secret(OTHER)], [parse_secret(OTHER), KEY]):
        assert verify(keys, both, b"body", now=NOW)
    assert verify([parse_secret(OTHER), KEY], signed(), b"body", now=NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(webhook_signature=""),
        signed(webhook_id=""),
        signed(webhook_timestamp=""),
        signed(webhook_id="evt_2"),
        signed(webhook_timestamp=str(NOW + 1)),
        signed(webhook_timestamp="nan"),
        signed(webhook_timestamp="1e9"),
        signed(webhook_timestamp="-1"),
        signed(webhook_timestamp="9" * 5000),
        signed(webhook_timestamp="\u0661"),
        signed(webhook_signature="v1,"),
        signed(webhook_signature="v1,é"),
        signed(webhook_signature="junk"),
        signed(webhook_signature=signed()["webhook-signature"].replace("v1,", "v2,")),
        signed(webhook_signature=signed()["webhook-signature"][:-4]),
        signed(OTHER),
        signed(body=b"another"),
        signed(at=NOW - TOLERANCE_SECONDS - 1),
        signed(at=NOW + TOLERANCE_SECONDS + 1),
    ],
    ids=str,
)
def test_what_is_not_signed_as_it_should_be_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        verify([KEY], headers, b"body", now=NOW)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *pair: compared.append(1) or compare(*pair))
    verify([KEY, parse_secret(OTHER)], signed(), b"body", now=NOW)
    assert len(compared) == 2


@pytest.mark.parametrize("secret", ["", "hunter2", "whsec_", "whsec_aHVudGVyMg==", "whsec_***", SECRET[6:], "whsec_é"])
def test_weak_or_malformed_secrets_are_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_ and the base64 of 24 to 64 random bytes") as caught:
        parse_secret(secret)
    assert not secret or secret == "whsec_" or secret not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        HTTPEventOptions.model_validate({"url": "http://localhost", "secret": secret})
    assert "aHVudGVyMg" not in str(refused.value)


def test_options_do_not_show_their_secrets() -> None:
    shown = repr(HTTPEventOptions.model_validate({"url": "http://localhost", "secret": SECRET, "old_secret": OTHER}))
    assert SECRET not in shown
    assert OTHER not in shown


# --- Sink and listener ------------------------------------------------------------------------------------------


class Hands:
    """The listener's clock."""

    def __init__(self) -> None:
        self.now = datetime.fromtimestamp(NOW, UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(httpeventlistener, "utc_now", hands)
    monkeypatch.setattr(httpeventlistener._Receiver.__init__, "__kwdefaults__", {"clock": hands})
    return hands


@pytest.fixture
def listen(hands: Hands) -> Iterator[Callable[..., tuple[ListeningCallback, list[str]]]]:
    with ExitStack() as stack:

        def start(**options: str) -> tuple[ListeningCallback, list[str]]:
            heard: list[str] = []
            sink = {"name": "http", "url": f"http://localhost:{free_port()}", "secret": SECRET, **options}
            listening = simple_http_event_listener({"events": {"shop": sink}})(lambda name, _: heard.append(name))
            stack.callback(listening.server.stop)
            return listening, heard

        yield start


def deliver(listening: ListeningCallback, hands: Callable[[], datetime], event: Event = EVENT, **options: Any) -> None:
    options = {"secret": SECRET, **options}
    sink = HTTPEventHandler("shop", HTTPEventOptions(url=listening.server.url, **options), clock=hands)
    try:
        sink.deliver(event)
    finally:
        sink.close()


def post(listening: ListeningCallback, headers: dict[str, str], event_id: str = "evt_1") -> requests.Response:
    return requests.post(listening.server.url, data=body(event_id), headers=FORM | headers, timeout=30)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def body(event_id: str = "evt_1") -> bytes:
    return urlencode({"event_name": "txupdate", "event_id": event_id, "data": "{}"}).encode()


def test_sink_signs_what_it_posts_and_each_attempt_anew(hands: Hands) -> None:
    with Application(500) as application:
        for seconds in (0, 60):
            hands.now += timedelta(seconds=seconds)
            sink = HTTPEventHandler(
                "shop", HTTPEventOptions.model_validate({"url": application.url, "secret": SECRET}), clock=hands
            )
            with pytest.raises(EventDeliveryError):
                sink.deliver(EVENT)
            sink.close()
    times = [headers["webhook-timestamp"] for _, _, headers in application.requests]
    assert times == [str(NOW), str(NOW + 60)]


def test_signed_event_is_handled(listen: Callable[..., Any], hands: Hands) -> None:
    listening, heard = listen()
    deliver(listening, hands)
    assert heard == ["txupdate"]


@pytest.mark.parametrize(("ours", "theirs"), [((OTHER, SECRET), (SECRET, None)), ((SECRET, None), (OTHER, SECRET))])
def test_secrets_are_replaced_without_a_gap(
    ours: tuple[str, str | None], theirs: tuple[str, str | None], listen: Callable[..., Any], hands: Hands
) -> None:
    listening, heard = listen(**({"secret": ours[0]} | ({"old_secret": ours[1]} if ours[1] else {})))
    deliver(listening, hands, secret=theirs[0], old_secret=theirs[1])
    assert heard == ["txupdate"]


def test_unsigned_and_wrongly_signed_events_are_refused(
    listen: Callable[..., Any], hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    listening, heard = listen()
    forged = sign([parse_secret(OTHER)], "evt_1", NOW, body())
    torn = sign([KEY], "evt_1\x1b[31m", NOW, body())
    for headers in ({}, forged, torn | {"webhook-id": "evt_1"}):
        answer = post(listening, headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
    with pytest.raises(EventDeliveryError, match="status 401"):
        deliver(listening, hands, secret=None)
    assert heard == []
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_id_of_the_signature_is_the_one_that_counts(listen: Callable[..., Any]) -> None:
    listening, heard = listen()
    answer = post(listening, sign([KEY], "evt_2", NOW, body("evt_1")))
    assert answer.status_code == 400
    assert heard == []


def test_copy_of_a_request_is_refused_and_a_new_attempt_is_not(listen: Callable[..., Any], hands: Hands) -> None:
    listening, heard = listen()
    copied = sign([KEY], "evt_1", NOW, body())
    assert post(listening, copied).status_code == 200
    assert post(listening, copied).status_code == 409
    # The daemon missed our answer and comes again.
    hands.now += timedelta(seconds=5)
    assert post(listening, sign([KEY], "evt_1", NOW + 5, body())).status_code == 200
    assert heard == ["txupdate"]


def test_copy_is_refused_for_its_age_when_it_is_not_remembered_any_more(
    listen: Callable[..., Any], hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpeventlistener, "REMEMBERED_EVENTS", 2)
    listening, heard = listen()
    first = sign([KEY], "evt_0", NOW, body("evt_0"))
    assert post(listening, first, "evt_0").status_code == 200
    for number in range(1, 6):
        assert (
            post(listening, sign([KEY], f"evt_{number}", NOW, body(f"evt_{number}")), f"evt_{number}").status_code
            == 200
        )
    # Too many, and each could still be copied: all are remembered.
    assert post(listening, first, "evt_0").status_code == 409
    hands.now += timedelta(seconds=TOLERANCE_SECONDS + 1)
    assert post(listening, first, "evt_0").status_code == 401
    assert len(heard) == 6


def test_secret_of_the_listener_is_checked_when_it_starts() -> None:
    config = {"events": {"shop": {"name": "http", "url": "http://localhost:1", "secret": "hunter2"}}}
    with pytest.raises(ConfigurationError, match=r"^events\.shop\.secret: must be whsec_") as caught:
        simple_http_event_listener(config)
    assert "hunter2" not in str(caught.value)
