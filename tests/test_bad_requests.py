"""What is no request, or not one for us, at each listener: the right 4xx, one line in the log, and nothing changed."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from http_application import free_port
from kit import create_tables, sqlite_file
from status_stage import opened_service

from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.utils.httpeventlistener import simple_http_event_listener
from cryptoassets_core.utils.httpserver import MAX_HEADER_BYTES, BackgroundHTTPServer
from cryptoassets_core.walletnotify.http import HTTPWalletNotifyHandler, HTTPWalletNotifyOptions

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

#: Starts a listener; returns its port. It is given what notes each call, and what ends it.
Starter = Callable[[Callable[..., object], ExitStack, Path], int]


def walletnotify(note: Callable[..., object], stack: ExitStack, _: Path) -> int:
    handler = HTTPWalletNotifyHandler(HTTPWalletNotifyOptions(port=0), note)
    handler.start()
    stack.callback(handler.stop)
    return handler.server.port


def event_listener(note: Callable[..., object], stack: ExitStack, _: Path, **options: str) -> int:
    sink = {"name": "http", "url": f"http://127.0.0.1:{free_port()}/", **options}
    listening = simple_http_event_listener({"events": {"shop": sink}})(lambda name, data: note(name))
    stack.callback(listening.server.stop)
    return listening.server.port


def signed_event_listener(note: Callable[..., object], stack: ExitStack, directory: Path) -> int:
    return event_listener(note, stack, directory, secret=SECRET)


def status_server(note: Callable[..., object], stack: ExitStack, directory: Path) -> int:
    url = sqlite_file(directory / "books.sqlite")
    create_tables(url)
    service = stack.enter_context(opened_service(url, directory))
    server = BackgroundHTTPServer(make_wsgi_app(service), "127.0.0.1", 0, "status-server")
    server.start()
    stack.callback(server.stop)
    return server.port


#: Headers of every request that gets as far as to have some.
USUAL = b"Host: localhost\r\nConnection: close\r\n"


def post(body: bytes, head: bytes = b"") -> bytes:
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    return b"POST / HTTP/1.1\r\n%s%s%sContent-Length: %d\r\n\r\n%s" % (USUAL, form, head, len(body), body)


#: By name: what is sent, and what may be answered.
BAD = {
    "oversized body": (post(b"txid=" + b"a" * 2_000_000), {413}),
    "oversized header": ((b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEADER_BYTES)[:MAX_HEADER_BYTES], {431}),
    "no HTTP": (b"\x00\xff\x1b[31m\r\n\r\n", {400}),
    "endless length": (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", {400}),
    "planted log line": (b"POST /x%0d%0aERROR%20planted%1b[31m HTTP/1.1\r\n" + USUAL + b"\r\n", {404}),
    "unknown method": (b"BREW / HTTP/1.1\r\n" + USUAL + b"\r\n", {405}),
    "junk": (post(b"txid=%0d%0a%1b[31m&event_name=%00&data=%ff"), {400, 401, 405}),
    "form of a web page": (post(b"event_name=txupdate&data={}", b"Origin: https://evil.example\r\n"), {403, 405}),
    "forged signature": (
        post(b"event_name=txupdate&event_id=1&data=[]", b"webhook-id: 1\r\nwebhook-signature: v1,x\r\n"),
        {400, 401, 405},
    ),
}


@pytest.mark.parametrize("start", [walletnotify, event_listener, signed_event_listener, status_server])
def test_bad_requests_are_refused_in_one_line_and_change_nothing(
    start: Starter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[object] = []
    with ExitStack() as stack:
        port = start(heard.append, stack, tmp_path)
        for name, (sent, expected) in BAD.items():
            caplog.clear()
            with answered(port, sent) as answer:
                assert int(answer.split()[1]) in expected, name
                assert b"planted" not in answer
            (line,) = [each.getMessage() for each in caplog.records if each.name.startswith("cryptoassets_core")]
            assert line.isprintable(), name
            assert len(line) < 300, name
    assert heard == []


@contextmanager
def answered(port: int, sent: bytes) -> Iterator[bytes]:
    """Send something; yields the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as stream:
            yield stream.read()
