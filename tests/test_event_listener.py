"""The application's listener, against the daemon's sink and against strangers."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from http_application import EVENT, free_port

from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.utils import httpeventlistener
from cryptoassets_core.utils.httpeventlistener import ListeningCallback, simple_http_event_listener


def config_for(url: str) -> dict[str, Any]:
    return {"events": {"example_app": {"name": "http", "url": url}}}


@pytest.fixture
def sink() -> Iterator[Callable[..., HTTPEventHandler]]:
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> HTTPEventHandler:
            sink = HTTPEventHandler("example_app", HTTPEventOptions(url=url, **options))
            stack.callback(sink.close)
            return sink

        yield make


@pytest.fixture
def listen() -> Iterator[Callable[..., ListeningCallback]]:
    """Start listeners that are stopped after the test."""
    with ExitStack() as stack:

        def start(callback: Callable[[str, dict[str, Any]], object], path: str = "") -> ListeningCallback:
            listening = simple_http_event_listener(config_for(f"http://localhost:{free_port()}{path}"))(callback)
            stack.callback(listening.server.stop)
            return listening

        yield start


def test_sink_and_listener_understand_each_other(
    sink: Callable[..., HTTPEventHandler], listen: Callable[..., ListeningCallback]
) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    listening = listen(lambda name, data: heard.append((name, data)))
    sink(listening.server.url).deliver(EVENT)
    assert heard == [("txupdate", EVENT.data)]


def test_it_listens_on_the_path_of_the_url_only(listen: Callable[..., ListeningCallback]) -> None:
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(name), path="/my%20app/hook?token=x")
    fields = {"event_name": "txupdate", "data": "{}"}
    assert requests.post(listening.server.url, data=fields, timeout=30).status_code == 404
    assert requests.post(listening.server.url + "my%20app/hook", data=fields, timeout=30).status_code == 200
    assert heard == ["txupdate"]


def test_the_decorated_function_is_called_as_before_and_keeps_its_name(
    listen: Callable[..., ListeningCallback],
) -> None:
    def handle(event_name: str, data: dict[str, Any]) -> str:
        return event_name

    listening = listen(handle)
    assert listening("txupdate", {}) == "txupdate"
    assert listening.__name__ == "handle"  # type: ignore[attr-defined]


def test_an_event_that_was_handled_is_not_handled_again(listen: Callable[..., ListeningCallback]) -> None:
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(data["id"]))
    answers = [post(listening, event_id=id, data=json.dumps({"id": id})) for id in ("a", "b", "a", "b")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert heard == ["a", "b"]


def test_a_function_that_asks_for_the_id_is_given_it(listen: Callable[..., ListeningCallback]) -> None:
    heard: list[str | None] = []

    def handle(event_name: str, data: dict[str, Any], event_id: str | None = None) -> None:
        heard.append(event_id)

    listening = listen(handle)
    post(listening, event_id="evt_1")
    post(listening)
    listening("txupdate", {}, event_id="evt_2")
    assert heard == ["evt_1", None, "evt_2"]


def post(listening: ListeningCallback, **fields: Any) -> requests.Response:
    return requests.post(listening.server.url, data={"event_name": "txupdate", "data": "{}", **fields}, timeout=30)


def test_events_without_an_id_are_always_handled(listen: Callable[..., ListeningCallback]) -> None:
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(name))
    assert [post(listening).status_code, post(listening).status_code] == [200, 200]
    assert heard == ["txupdate"] * 2


def test_an_event_that_failed_is_handled_again(
    listen: Callable[..., ListeningCallback], caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[BaseException | None] = [RuntimeError("the secret is swordfish"), SystemExit(1), None]
    calls = []

    def handle(event_name: str, data: dict[str, Any]) -> None:
        calls.append(event_name)
        outcome = outcomes[len(calls) - 1]
        if outcome is not None:
            raise outcome

    listening = listen(handle)
    answers = [post(listening, event_id="evt_1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 200, 200]
    assert answers[0].text == "The application failed to handle the event; its log tells why.\n"
    assert len(calls) == 3
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "handling event 'txupdate', id 'evt_1', failed"
    ] * 2
    assert listening.server.is_alive()


def test_the_memory_of_handled_events_is_bounded(
    listen: Callable[..., ListeningCallback], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpeventlistener, "REMEMBERED_EVENTS", 2)
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(data["id"]))
    for id in ("a", "b", "c", "c", "b", "a"):
        post(listening, event_id=id, data=json.dumps({"id": id}))
    assert heard == ["a", "b", "c", "a"]


def test_a_repeat_of_an_event_under_way_is_put_off(listen: Callable[..., ListeningCallback]) -> None:
    entered, leave = threading.Event(), threading.Event()
    calls = []

    def handle(event_name: str, data: dict[str, Any]) -> None:
        calls.append(event_name)
        entered.set()
        leave.wait(30)

    listening = listen(handle)
    answers: list[requests.Response] = []
    first = threading.Thread(target=lambda: answers.append(post(listening, event_id="evt_1")))
    first.start()
    assert entered.wait(30)
    assert post(listening, event_id="evt_1").status_code == 503
    leave.set()
    first.join(30)
    assert answers[0].status_code == 200
    assert calls == ["txupdate"]


def test_the_function_is_called_for_one_event_at_a_time(listen: Callable[..., ListeningCallback]) -> None:
    inside, met = threading.Lock(), []

    def handle(event_name: str, data: dict[str, Any]) -> None:
        met.append(inside.acquire(blocking=False))
        threading.Event().wait(0.02)
        inside.release()

    listening = listen(handle)
    threads = [threading.Thread(target=post, args=(listening,), kwargs={"event_id": str(n)}) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert met == [True] * 6


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("event_name", "txupdate")],
        [("data", "{}")],
        [("event_name", ""), ("data", "{}")],
        [("event_name", "x" * 201), ("data", "{}")],
        [("event_name", "a"), ("event_name", "b"), ("data", "{}")],
        [("event_name", "a"), ("data", "{}"), ("data", "{}")],
        [("event_name", "a"), ("data", "{}"), ("event_id", "1"), ("event_id", "2")],
        [("event_name", "a"), ("data", "{}"), ("event_id", "x" * 201)],
        *[
            [("event_name", "a"), ("data", data)]
            for data in ("", "{", "<script>", "[]", "null", '"x"', "1", '{"x": NaN}', "[" * 20_000, "9" * 100_000)
        ],
    ],
)
def test_malformed_events_are_refused(listen: Callable[..., ListeningCallback], fields: list[tuple[str, str]]) -> None:
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(name))
    answer = requests.post(listening.server.url, data=fields, timeout=30)
    assert answer.status_code == 400
    assert answer.text.count("\n") == 1
    assert "script" not in answer.text
    assert heard == []


def test_a_huge_event_is_refused(listen: Callable[..., ListeningCallback]) -> None:
    heard: list[str] = []
    listening = listen(lambda name, data: heard.append(name))
    assert post(listening, data=json.dumps({"x": "x" * 10_000_000})).status_code == 413
    assert post(listening, data=json.dumps({"x": "x" * 100_000})).status_code == 200
    assert heard == ["txupdate"]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_other_methods_are_refused(listen: Callable[..., ListeningCallback], method: str) -> None:
    assert requests.request(method, listen(lambda name, data: None).server.url, timeout=30).status_code == 405


# --- The listener's configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"example_app": {"name": "http"}},
        {"http": {}},
        {"example_app": {"class": "cryptoassets.core.event.http.HTTPEventHandler"}},
        {"example_app": {"class": "cryptoassets_core.event.http.HTTPEventHandler"}},
        {"shell": {"name": "script"}, "http": {"name": "http"}, "example_app": {"name": "python"}},
    ],
)
def test_the_one_http_sink_is_found(entry: dict[str, dict[str, str]]) -> None:
    port = free_port()
    config = {"events": {name: {"url": f"http://localhost:{port}", **options} for name, options in entry.items()}}
    heard: list[str] = []
    listening = simple_http_event_listener(config)(lambda name, data: heard.append(name))
    try:
        assert listening.server.port == port
        assert post(listening).status_code == 200
    finally:
        listening.server.stop()
    assert heard == ["txupdate"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "needs an event sink of kind http"),
        ({"events": None}, "needs an event sink of kind http"),
        ({"events": ["http"]}, "events must be a mapping of event sinks, not list"),
        ({"events": {"http": {"name": "python"}, "x": None}}, "needs an event sink of kind http"),
        (
            {"events": {"a": {"name": "http", "url": "http://x:1"}, "b": {"name": "http", "url": "http://x:2"}}},
            "exactly one event sink of kind http in the configuration, not a, b",
        ),
        ({"events": {"a": {"name": "http"}}}, "events.a.url must be a URL"),
        (config_for("https://localhost:10000"), "events.example_app.url is https"),
        (config_for("localhost:10000"), "events.example_app.url must be a URL"),
        (config_for("http://u:swordfish@localhost:99999"), "events.example_app.url must be a URL"),
        (config_for("http://localhost:10000/<x>"), "has a < in its path"),
        (config_for("http://192.0.2.1:10000"), "cannot listen on 192.0.2.1:10000"),
    ],
)
def test_a_configuration_that_cannot_be_listened_on_is_told(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        simple_http_event_listener(config)(lambda name, data: None)
    assert told in str(caught.value)
    assert "swordfish" not in str(caught.value)


def test_a_second_listener_on_the_same_url_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"simple_http_event_listener cannot listen on localhost:{port}"):
            simple_http_event_listener(config_for(f"http://localhost:{port}"))(lambda name, data: None)
