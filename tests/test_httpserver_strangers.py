"""The HTTP server of all listeners, met by strangers over real sockets."""

from __future__ import annotations

import http.client
import logging
import os
import resource
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest
import requests
from commands import eventually
from flask import Response
from http_servers import assert_serves, connect, exchange, read_all, serve

from cryptoassets_core.utils import httpserver, waitressserver
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, shortened

__all__ = ["serve"]


# --- What strangers send ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\xff\xfe\r\n\r\n", 400),
        (b"POST\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n<script>\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: 10000000000\r\n\r\n", 413),
        (b"POST http://[ HTTP/1.1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ((b"POST /echo HTTP/1.1\r\nX: " + b"a" * 20000)[: httpserver.MAX_HEADER_BYTES], 431),
        (b"GET /<script>%0d%0a HTTP/1.0\r\n\r\n", 404),
        (b"GET /echo HTTP/1.0\r\n\r\n", 405),
        (b"OPTIONS /nowhere HTTP/1.0\r\nHost: <script>\xff\r\n\r\n", 404),
        (b"POST /echo HTTP/1.0\r\nContent-Encoding: \xff<script>\r\n\r\n", 200),
    ],
)
def test_malformed_requests_are_answered_in_one_sentence_that_repeats_nothing(
    serve: Callable[..., BackgroundHTTPServer], caplog: pytest.LogCaptureFixture, sent: bytes, status: int
) -> None:
    server = serve()
    answer = exchange(server, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert b"text/plain" in head
    assert body.count(b"\n") == 1
    assert body.endswith(b"\n")
    assert b"script" not in answer
    assert b"waitress" not in answer.lower()
    assert_serves(server)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_method_that_is_not_allowed_is_told_which_is(serve: Callable[..., BackgroundHTTPServer]) -> None:
    answer = requests.get(serve().url + "echo", timeout=30)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_a_body_is_taken_up_to_the_limit_and_refused_beyond(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve(max_body_bytes=1000)
    assert requests.post(server.url + "echo", data=b"x" * 1000, timeout=30).text == "1000\n"
    assert requests.post(server.url + "echo", data=b"x" * 1001, timeout=30).status_code == 413


def test_a_huge_body_is_refused_with_an_answer_and_not_kept(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve()
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = b"x" * 10_000_000
    peak_with_body = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10):
        answer = requests.post(server.url + "echo", data=body, timeout=30)
        assert (answer.status_code, answer.text) == (413, "The request is too large.\n")
    peak_after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak_after - max(peak_with_body, peak_before) < 8_000  # KiB: not even one of the bodies
    assert_serves(server)


def test_a_client_that_asks_first_does_not_send_a_huge_body(serve: Callable[..., BackgroundHTTPServer]) -> None:
    answer = exchange(
        serve(), b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_limited_too(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve(max_body_bytes=1000)
    answer = exchange(
        server, b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_failing_application_answers_without_its_reason_and_logs_it(
    serve: Callable[..., BackgroundHTTPServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    answer = requests.get(server.url + "fail", timeout=30)
    assert answer.status_code == 500
    assert answer.text == "The request could not be handled; the log of this process tells why.\n"
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == [httpserver.__name__]
    assert "RuntimeError" in caplog.text
    assert_serves(server)


def test_what_an_application_that_is_no_flask_raises_is_logged_on_one_line(
    serve: Callable[..., BackgroundHTTPServer], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(environ: object, start_response: object) -> list[bytes]:
        raise RuntimeError

    assert requests.get(serve(broken).url + "a%0aERROR forged", timeout=30).status_code == 500
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert message == r"Exception while serving /a\nERROR forged"


# --- Slow clients and bursts --------------------------------------------------------------------------------


def test_a_client_that_drips_bytes_cannot_stay(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve(patience_seconds=1)
    with connect(server) as connection:
        connection.settimeout(0.2)
        connection.sendall(b"POST /echo HTTP/1.1\r\nX: ")
        for _ in range(100):
            try:
                connection.sendall(b"x")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            assert closed
            break
        else:
            pytest.fail("the connection was never closed")
    assert_serves(server)


def test_a_client_that_does_not_read_its_answer_cannot_stay(serve: Callable[..., BackgroundHTTPServer]) -> None:
    app = plain_app()

    @app.get("/")
    def large() -> Response:
        return Response(b"x" * 8_000_000)

    server = serve(app, patience_seconds=1)
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(1)
        internal = server._server
        assert internal is not None
        eventually(lambda: not internal.active_channels)


def test_a_kept_connection_outlives_many_requests(serve: Callable[..., BackgroundHTTPServer]) -> None:
    server = serve()
    with closing(http.client.HTTPConnection(server.ip, server.port, timeout=30)) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            connection.request("POST", "/echo", body=b"x")
            assert connection.getresponse().read() == b"1\n"
        assert connection.sock is kept


def test_more_idle_clients_than_connections_do_not_lock_others_out(
    serve: Callable[..., BackgroundHTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waitressserver, "CROWDED_SECONDS", 0)
    server = serve(patience_seconds=3600)
    with ExitStack() as stack:
        for _ in range(2 * httpserver.MAX_CONNECTIONS):
            stack.enter_context(connect(server))
        assert_serves(server)


def test_a_burst_of_clients_is_served_to_the_last(
    serve: Callable[..., BackgroundHTTPServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    sent = b"POST /echo HTTP/1.0\r\nContent-Length: 4\r\n\r\nfour"
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(600)]
        for connection in connections:
            connection.sendall(sent)
        assert all(read_all(connection).endswith(b"4\n") for connection in connections)
    assert not any("queue depth" in record.getMessage() for record in caplog.records)


def test_it_serves_in_a_process_with_more_open_files_than_select_takes(
    serve: Callable[..., BackgroundHTTPServer],
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    try:
        with ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(open(os.devnull, "rb"))
            assert_serves(serve())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- Log lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("abc", "'abc'"),
        ("a\r\n\x1b[2J\x00", r"'a\r\n\x1b[2J\x00'"),
        ("\u202eabc\ud800", r"'\u202eabc\ud800'"),
        ("x" * 101, "'" + "x" * 100 + "'…"),
    ],
)
def test_what_was_sent_is_written_safely(value: str, written: str) -> None:
    assert shortened(value) == written
