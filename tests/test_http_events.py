"""The HTTP event sink and the application's listener, each against the other and against strangers."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from pydantic import ValidationError

from cryptoassets_core.builtin import HTTP_EVENT_SINK
from cryptoassets_core.errors import ConfigurationError, EventDeliveryError
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.utils import httpeventlistener
from cryptoassets_core.utils.dictutil import MergeError, merge_dict
from cryptoassets_core.utils.enum import AutoNumber
from cryptoassets_core.utils.httpeventlistener import ListeningCallback, simple_http_event_listener

EVENT = Event("evt_1", "txupdate", {"amount": "0.10000000", "confirmations": 1, "note": "é&=+ <b>"})


def config_for(url: str) -> dict[str, Any]:
    return {"events": {"example_app": {"name": "http", "url": url}}}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


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


class Application:
    """An HTTP server that answers as it is told and keeps what it was sent."""

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.connections: set[tuple[str, int]] = set()
        application = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                application.requests.append((self.path, fields, dict(self.headers)))
                application.connections.add(self.client_address)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A kept connection ends when the sink closes, which is later.
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Application:
        self.thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.server.shutdown()
        self.server.server_close()


# --- The sink -----------------------------------------------------------------------------------------------


def test_an_event_is_posted_as_form_fields(sink: Callable[..., HTTPEventHandler]) -> None:
    with Application() as application:
        sink(application.url + "/hook?a=b").deliver(EVENT)
    ((path, fields, _),) = application.requests
    assert path == "/hook?a=b"
    assert {name: len(values) for name, values in fields.items()} == {"event_name": 1, "event_id": 1, "data": 1}
    assert (fields["event_name"], fields["event_id"]) == (["txupdate"], ["evt_1"])
    assert json.loads(fields["data"][0]) == EVENT.data


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_takes_the_event(sink: Callable[..., HTTPEventHandler], status: int) -> None:
    with Application(status) as application:
        sink(application.url).deliver(EVENT)
    assert len(application.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_any_other_status_does_not(sink: Callable[..., HTTPEventHandler], status: int) -> None:
    with Application(status, body=b"no") as application, pytest.raises(EventDeliveryError) as caught:
        sink(application.url).deliver(EVENT)
    assert str(caught.value) == (
        f"event sink example_app at {application.url} answered event evt_1 with status {status}"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sink: Callable[..., HTTPEventHandler], status: int) -> None:
    with (
        Application() as elsewhere,
        Application(status, headers={"Location": elsewhere.url}) as application,
        pytest.raises(EventDeliveryError, match=f"redirect {status}, which is not followed"),
    ):
        sink(application.url).deliver(EVENT)
    assert elsewhere.requests == []


def test_a_connection_is_used_again(sink: Callable[..., HTTPEventHandler]) -> None:
    with Application(body=b"thank you") as application:
        delivering = sink(application.url)
        for _ in range(3):
            delivering.deliver(EVENT)
        delivering.close()
    assert len(application.requests) == 3
    assert len(application.connections) == 1


def test_a_long_answer_is_not_read(sink: Callable[..., HTTPEventHandler]) -> None:
    # Its body never comes: reading it would end at the time limit.
    with Application(headers={"Content-Length": "10000000000"}) as application:
        sink(application.url, timeout_seconds=60).deliver(EVENT)


def test_a_broken_end_of_the_answer_does_not_matter(sink: Callable[..., HTTPEventHandler]) -> None:
    with Application(headers={"Content-Length": "9", "Connection": "close"}, body=b"cut") as application:
        sink(application.url).deliver(EVENT)


def test_credentials_are_sent_and_never_shown(sink: Callable[..., HTTPEventHandler]) -> None:
    with Application(500) as application:
        url = application.url.replace("http://", "http://user:sword%20fish@") + "/hook?token=sesame"
        with pytest.raises(EventDeliveryError) as caught:
            sink(url).deliver(EVENT)
    (_, _, headers) = application.requests[0]
    assert headers["Authorization"] == requests.auth._basic_auth_str("user", "sword fish")
    assert f"at http://***@127.0.0.1:{application.server.server_port}/hook?***" in str(caught.value)
    assert "sword" not in repr(HTTPEventOptions(url=url))


def test_a_refused_connection_is_told_without_secrets(sink: Callable[..., HTTPEventHandler]) -> None:
    port = free_port()
    with pytest.raises(EventDeliveryError) as caught:
        sink(f"http://user:swordfish@127.0.0.1:{port}/x?token=sesame").deliver(EVENT)
    assert str(caught.value) == (
        f"event sink example_app at http://***@127.0.0.1:{port}/x?*** cannot be reached: Connection refused"
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("host", ["x" * 300, "host.invalid", "0x.0x.0x.0x"])
def test_a_host_that_is_not_found_is_told(sink: Callable[..., HTTPEventHandler], host: str) -> None:
    with pytest.raises(EventDeliveryError, match="cannot be reached: "):
        sink(f"http://{host}:1").deliver(EVENT)


def test_a_silent_application_is_given_up_after_the_time_limit(sink: Callable[..., HTTPEventHandler]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(EventDeliveryError, match=r"cannot be reached: there was no answer in 0\.1 seconds"),
    ):
        sink(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.1).deliver(EVENT)


@pytest.mark.parametrize("answer", [b"", b"junk\r\n\r\n", b"HTTP/1.1 999999999999\r\n\r\n", b"HTTP/1.1 200"])
def test_what_is_no_http_answer_does_not_take_the_event(sink: Callable[..., HTTPEventHandler], answer: bytes) -> None:
    def answer_one(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_one, args=(server,))
        thread.start()
        delivering = sink(f"http://127.0.0.1:{server.getsockname()[1]}")
        if answer == b"HTTP/1.1 200":  # complete enough for every client
            delivering.deliver(EVENT)
        else:
            with pytest.raises(EventDeliveryError, match="cannot be reached: "):
                delivering.deliver(EVENT)
        thread.join(30)


def test_a_certificate_nobody_vouches_for_is_refused(sink: Callable[..., HTTPEventHandler], tmp_path: Path) -> None:
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=tmp_path, check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with Application() as application:
        application.server.socket = context.wrap_socket(application.server.socket, server_side=True)
        with pytest.raises(EventDeliveryError, match=r"cannot be reached: .*certificate verify failed"):
            sink(f"https://localhost:{application.server.server_port}").deliver(EVENT)
    assert application.requests == []


def test_proxies_of_the_environment_are_not_used(
    sink: Callable[..., HTTPEventHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Application() as application, Application() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        sink(application.url).deliver(EVENT)
    assert (len(application.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize("value", [object(), float("nan")])
def test_data_that_json_cannot_carry_is_not_delivered(sink: Callable[..., HTTPEventHandler], value: object) -> None:
    with Application() as application, pytest.raises(EventDeliveryError, match="evt_2 cannot be written as JSON"):
        sink(application.url).deliver(Event("evt_2", "txupdate", {"x": value}))
    assert application.requests == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "localhost:10000"},
        {"url": "ftp://u:swordfish@localhost"},
        {"url": "http://"},
        {"url": "http://u:swordfish@:80"},
        {"url": "http://u:swordfish@localhost:99999"},
        {"url": "http://u:swordfish@[::1"},
        {"url": "http://u:swordfish@local host"},
        {"url": "http://u:swordfish@localhost/\n"},
        {"url": "http://localhost", "timeout_seconds": 0},
        {"url": "http://localhost", "timeout_seconds": float("inf")},
        {"url": "http://localhost", "timeout_seconds": float("nan")},
        {"url": "http://localhost", "timeout": 1},
    ],
)
def test_bad_options_are_refused_without_showing_the_password(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        HTTPEventOptions.model_validate(options)
    assert "swordfish" not in str(caught.value)


def test_the_type_has_the_names_and_defaults_of_the_manual() -> None:
    options = HTTPEventOptions.model_validate({"url": "http://localhost:30000"})
    assert HTTP_EVENT_SINK.name == "http"
    assert HTTP_EVENT_SINK.legacy_names == ("cryptoassets.core.event.http.HTTPEventHandler",)
    assert options.model_dump() == {"url": "http://localhost:30000", "timeout_seconds": 10}


# --- The listener -------------------------------------------------------------------------------------------


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


# --- Small utilities of the manual --------------------------------------------------------------------------


def test_dictionaries_are_merged_at_every_depth() -> None:
    a = {"coins": {"btc": {"models": "m", "backend": {"url": "a", "timeout": 1}}}, "list": [1], "gone": 1}
    b = {"coins": {"btc": {"backend": {"url": "b"}}, "ltc": {}}, "list": [2], "gone": None}
    assert merge_dict(a, b) == {
        "coins": {"btc": {"models": "m", "backend": {"url": "b", "timeout": 1}}, "ltc": {}},
        "list": [2],
        "gone": None,
    }


def test_merging_leaves_its_arguments_alone_and_shares_nothing_with_them() -> None:
    def inner() -> dict[str, Any]:
        return {"x": {"y": [{"z": 1}]}}

    a, b = {"a": inner(), "both": inner()}, {"b": inner(), "both": {"new": inner()}}
    merged = merge_dict(a, b)
    merged["a"]["x"]["y"][0]["z"] = merged["b"]["x"]["y"][0]["z"] = merged["both"]["x"]["y"][0]["z"] = 2
    merged["both"]["new"]["x"]["more"] = 1
    assert a == {"a": inner(), "both": inner()}
    assert b == {"b": inner(), "both": {"new": inner()}}


@pytest.mark.parametrize("other", [1, None, "text", []])
def test_a_dictionary_and_something_else_are_not_merged(other: object) -> None:
    with pytest.raises(MergeError, match=r"^coins\.btc\.backend cannot be merged"):
        merge_dict({"coins": {"btc": {"backend": {}}}}, {"coins": {"btc": {"backend": other}}})
    with pytest.raises(MergeError, match=r"^coins cannot be merged"):
        merge_dict({"coins": other}, {"coins": {}})


def test_members_are_numbered_from_one() -> None:
    class Color(AutoNumber):
        red = ()
        green = ()

    assert [(member.name, member.value) for member in Color] == [("red", 1), ("green", 2)]
