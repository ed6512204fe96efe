"""HTTP walletnotify, posted to as a node's curl does and as strangers do."""

from __future__ import annotations

import http.client
import os
import resource
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests
from pydantic import ValidationError

from cryptoassets_core.builtin import HTTP_WALLETNOTIFY
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.loading import load_class
from cryptoassets_core.walletnotify.base import NEW_BLOCK, IncomingTransactionRunnable
from cryptoassets_core.walletnotify.http import HTTPWalletNotifyHandler, HTTPWalletNotifyOptions

TXID = "ab" * 32
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def notified() -> list[str]:
    return []


@pytest.fixture
def handler(notified: list[str]) -> Iterator[HTTPWalletNotifyHandler]:
    handler = HTTPWalletNotifyHandler(HTTPWalletNotifyOptions(port=0), notified.append)
    handler.start()
    yield handler
    handler.stop()


def post(handler: HTTPWalletNotifyHandler, body: bytes, content_type: str = FORM) -> requests.Response:
    return requests.post(handler.server.url, data=body, headers={"Content-Type": content_type}, timeout=30)


def test_a_posted_txid_is_passed_on(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    answer = requests.post(handler.server.url, data={"txid": TXID}, timeout=30)
    assert (answer.status_code, answer.text) == (200, "OK\n")
    assert notified == [TXID]


def test_a_txid_is_passed_on_in_lower_case(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    post(handler, f"txid={TXID.upper()}".encode())
    assert notified == [TXID]


def test_a_new_block_is_passed_on_without_its_hash(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    assert post(handler, f"block={TXID}".encode()).status_code == 200
    assert notified == [NEW_BLOCK]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"txid=",
        b"txid=foobar",
        b"txid=" + TXID.encode()[:-1],
        b"txid=" + TXID.encode() + b"a",
        b"txid=" + TXID.encode() + b"%0a",
        b"txid=0x" + TXID.encode()[2:],
        b"txid=" + "٣".encode() * 64,
        b"txid=%ff%00%1b[2J<script>alert(1)</script>",
        b"txid[]=" + TXID.encode(),
        b"TXID=" + TXID.encode(),
        b"hash=" + TXID.encode(),
        b"txid=" + TXID.encode() + b"&txid=" + b"cd" * 32,
        b"txid=" + TXID.encode() + b"&txid=" + TXID.encode(),
        b"block=foobar",
        b"block=" + TXID.encode() + b"&txid=" + TXID.encode(),
        b"&&&===;;;%%%",
        bytes(range(256)),
    ],
)
def test_junk_is_answered_400_in_one_sentence_and_passes_nothing_on(
    handler: HTTPWalletNotifyHandler, notified: list[str], caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    answer = post(handler, body)
    assert answer.status_code == 400
    assert answer.text in {
        "Post exactly one form field, named txid or block.\n",
        "A txid, or a block, is 64 hexadecimal digits.\n",
    }
    assert notified == []
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("cryptoassets_core.")]
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data", "", ";;"])
def test_a_txid_that_is_no_form_field_is_refused(
    handler: HTTPWalletNotifyHandler, notified: list[str], content_type: str
) -> None:
    assert post(handler, f"txid={TXID}".encode(), content_type).status_code == 400
    assert notified == []


def test_a_txid_in_the_query_is_refused(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    assert requests.post(f"{handler.server.url}?txid={TXID}", timeout=30).status_code == 400
    assert notified == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"])
def test_other_methods_are_refused(handler: HTTPWalletNotifyHandler, notified: list[str], method: str) -> None:
    assert requests.request(method, handler.server.url, data={"txid": TXID}, timeout=30).status_code == 405
    assert notified == []


@pytest.mark.parametrize("path", ["txid", "static/x", "%2e%2e/etc/passwd", "<script>"])
def test_other_paths_are_refused(handler: HTTPWalletNotifyHandler, notified: list[str], path: str) -> None:
    answer = requests.post(handler.server.url + path, data={"txid": TXID}, timeout=30)
    assert (answer.status_code, answer.text) == (404, "There is nothing at this path.\n")
    assert notified == []


def test_a_huge_body_is_refused(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    assert post(handler, b"txid=" + b"a" * 10_000_000).status_code == 413
    assert post(handler, os.urandom(10_000_000), "application/octet-stream").status_code == 413
    assert notified == []
    assert post(handler, f"txid={TXID}".encode()).status_code == 200


def test_ten_thousand_requests_are_answered_in_bounded_memory(
    handler: HTTPWalletNotifyHandler, notified: list[str]
) -> None:
    def answer_to(connection: http.client.HTTPConnection, txid: str) -> int:
        connection.request("POST", "/", body=f"txid={txid}", headers={"Content-Type": FORM})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    with closing(http.client.HTTPConnection("127.0.0.1", handler.server.port, timeout=30)) as connection:
        assert {answer_to(connection, f"{number:064x}") for number in range(500)} == {200}
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert {answer_to(connection, f"{number:064x}") for number in range(500, 10_000)} == {200}
        peak_after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert notified == [f"{number:064x}" for number in range(10_000)]
    assert peak_after - peak_before < 16_000  # KiB: the list above and the log that pytest keeps
    assert handler.is_alive()


def test_a_failing_receiver_does_not_end_the_channel(notified: list[str]) -> None:
    def notify(txid: str) -> None:
        notified.append(txid)
        if len(notified) == 1:
            raise RuntimeError("the secret is swordfish")

    handler = HTTPWalletNotifyHandler(HTTPWalletNotifyOptions(port=0), notify)
    handler.start()
    try:
        answers = [post(handler, f"txid={TXID}".encode()) for _ in range(2)]
    finally:
        handler.stop()
    assert [answer.status_code for answer in answers] == [500, 200]
    assert "swordfish" not in answers[0].text


def test_the_channel_ends_when_stopped(handler: HTTPWalletNotifyHandler) -> None:
    assert handler.is_alive()
    handler.stop()
    assert not handler.is_alive()
    handler.stop()


def test_a_port_in_use_is_told(handler: HTTPWalletNotifyHandler, notified: list[str]) -> None:
    second = HTTPWalletNotifyHandler(HTTPWalletNotifyOptions(port=handler.server.port), notified.append)
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{handler.server.port}: the port is in use"):
        second.start()


def test_the_type_has_the_names_and_defaults_of_the_manual() -> None:
    options = HTTPWalletNotifyOptions()
    assert HTTP_WALLETNOTIFY.name == "http"
    assert HTTP_WALLETNOTIFY.legacy_names == ("cryptoassets.core.backend.httpwalletnotify.HTTPWalletNotifyHandler",)
    assert options.model_dump() == {"ip": "127.0.0.1", "port": 28882}
    assert load_class(HTTP_WALLETNOTIFY.factory, IncomingTransactionRunnable) is HTTPWalletNotifyHandler


@pytest.mark.parametrize("options", [{"port": 65536}, {"port": -1}, {"port": "x"}, {"ip": None}, {"host": "x"}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HTTPWalletNotifyOptions.model_validate(options)
