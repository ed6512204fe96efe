"""The HTTP event sink against applications that answer well, badly or not at all."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from http_application import EVENT, Application, free_port
from pydantic import ValidationError

from cryptoassets_core.builtin import HTTP_EVENT_SINK
from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions


@pytest.fixture
def sink() -> Iterator[Callable[..., HTTPEventHandler]]:
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> HTTPEventHandler:
            sink = HTTPEventHandler("example_app", HTTPEventOptions(url=url, **options))
            stack.callback(sink.close)
            return sink

        yield make


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


def test_a_connection_that_was_closed_meanwhile_is_made_anew(sink: Callable[..., HTTPEventHandler]) -> None:
    closed = threading.Semaphore(0)

    def answer_and_close(server: socket.socket) -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            closed.release()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_and_close, args=(server,))
        thread.start()
        delivering = sink(f"http://127.0.0.1:{server.getsockname()[1]}")
        for _ in range(2):
            delivering.deliver(EVENT)
            assert closed.acquire(timeout=30)
        thread.join()


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


def test_an_address_of_version_6_is_posted_to(sink: Callable[..., HTTPEventHandler]) -> None:
    with Application(ip="::1") as application:
        sink(application.url).deliver(EVENT)
    ((_, _, headers),) = application.requests
    assert headers["Host"] == f"[::1]:{application.server.server_port}"


@pytest.mark.parametrize(
    ("url", "place"), [("http://[::1]/", ("::1", 80)), ("https://[::1]/", ("::1", 443)), ("http://shop/", ("shop", 80))]
)
def test_the_usual_port_need_not_be_said(
    sink: Callable[..., HTTPEventHandler], monkeypatch: pytest.MonkeyPatch, url: str, place: tuple[str, int]
) -> None:
    asked: list[tuple[str, int]] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append((host, port))
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(EventDeliveryError, match="cannot be reached"):
        sink(url).deliver(EVENT)
    assert asked == [place]


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


@pytest.mark.parametrize("head", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_drips_is_given_up_after_the_time_limit(
    sink: Callable[..., HTTPEventHandler], head: bytes
) -> None:
    with (
        dripping(head) as (url, _),
        pytest.raises(EventDeliveryError, match=r"cannot be reached: there was no answer in 0\.3 seconds"),
    ):
        sink(url, timeout_seconds=0.3).deliver(EVENT)


def test_an_end_that_drips_is_not_waited_for(sink: Callable[..., HTTPEventHandler]) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") as (url, dried_up):
        sink(url, timeout_seconds=0.3).deliver(EVENT)
        assert not dried_up.is_set()


@contextmanager
def dripping(head: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer with some bytes, and more one by one for ten seconds; yields the URL, and what tells that they ended."""
    dried_up, left = threading.Event(), threading.Event()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            for _ in range(200):
                if left.wait(0.05):
                    return
                connection.sendall(b"0")
            dried_up.set()
            connection.sendall(b"\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", dried_up
        finally:
            left.set()
            thread.join()


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
    assert options.model_dump() == {
        "url": "http://localhost:30000",
        "timeout_seconds": 10,
        "connections": 1,
        "secret": None,
        "old_secret": None,
    }
