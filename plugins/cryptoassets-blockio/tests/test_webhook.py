"""The webhook: registered as long as the daemon runs, and no help to strangers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from commands import eventually, unused_port

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoWebhookOptions
from cryptoassets_blockio.testing import Account, Fault, StandIn
from cryptoassets_blockio.testing.hooks import address_event
from cryptoassets_blockio.webhook import BlockIoWebhookHandler
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.testing.walletnotifysuite import Heard
from cryptoassets_core.walletnotify.base import NEW_BLOCK

MakeHook = Callable[[], BlockIoWebhookHandler]


def event(account: Account, txid: str) -> dict[str, Any]:
    return {"type": "address", "data": address_event(account, account.labels["default"], txid, 0)}


# --- Registration -------------------------------------------------------------------------------------------


def test_webhook_registers_itself_and_removes_itself(
    service: StandIn, btc: Account, hook: BlockIoWebhookHandler, hook_url: str
) -> None:
    (registered,) = service.hooks.hooks(btc)
    assert registered.url == hook_url
    assert service.hooks.delivered == [(hook_url, 200)]
    hook.stop()
    assert service.hooks.hooks(btc) == []


@pytest.mark.parametrize("as_object", [False, True])
def test_webhook_that_is_there_already_is_kept(
    service: StandIn, btc: Account, make_hook: MakeHook, as_object: bool, heard: Heard
) -> None:
    btc.behaviour.notifications_as_object = as_object
    hook = make_hook()
    assert hook.wait_until_ready(10)
    (registered,) = service.hooks.hooks(btc)
    registered.enabled = False
    eventually(lambda: registered.enabled)
    heard.wait_for(lambda hints: hints.count(NEW_BLOCK) == 2)
    assert service.hooks.hooks(btc) == [registered]
    assert service.calls["create_notification"] == 1


def test_webhook_that_was_lost_is_made_again(service: StandIn, btc: Account, hook: BlockIoWebhookHandler) -> None:
    service.hooks.call(btc, "delete_notification", {"notification_id": service.hooks.hooks(btc)[0].notification_id})
    eventually(lambda: len(service.hooks.hooks(btc)) == 1)


def test_webhook_that_cannot_be_made_again_is_a_problem(
    service: StandIn, btc: Account, hook: BlockIoWebhookHandler, hook_url: str
) -> None:
    assert hook.problem() is None
    service.faults.arm("create_notification", Fault.HTML, 1000)
    service.hooks.call(btc, "delete_notification", {"notification_id": service.hooks.hooks(btc)[0].notification_id})
    eventually(lambda: "HTTP" in str(hook.problem()))
    assert hook.is_alive()
    assert urlsplit(hook_url).path not in str(hook.problem())
    service.faults.clear()
    eventually(lambda: hook.problem() is None)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.HTML, Fault.THROTTLED_429])
def test_registration_is_tried_until_it_succeeds(
    service: StandIn, btc: Account, make_hook: MakeHook, fault: Fault
) -> None:
    service.faults.arm("create_notification", fault)
    assert make_hook().wait_until_ready(10)
    assert len(service.hooks.hooks(btc)) == 1


def test_url_that_the_service_repeats_is_not_quoted(
    service: StandIn, btc: Account, backend: BlockIoBackend, hurry: None, caplog: pytest.LogCaptureFixture
) -> None:
    """F36: nobody answers the ping at that URL, and the refusal says which one it was."""
    secret = "0f3a5b7c9d1e2f40"
    options = {"url": f"http://127.0.0.1:{unused_port()}/{secret}", "port": 0}
    handler = BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate(options), lambda _: None)
    handler.attach(backend)
    handler.start()
    eventually(lambda: "did not answer the ping" in str(handler.problem()))
    handler.stop()
    assert secret not in str(handler.problem())
    assert secret not in "\n".join(record.message for record in caplog.records if "cryptoassets" in record.name)


# --- What is posted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [{"type": "ping"}, {"status": "success"}, {}, {"type": "new-blocks", "data": {}}])
def test_pings_and_what_is_not_about_us_are_taken(hook_url: str, heard: Heard, message: dict[str, Any]) -> None:
    assert requests.post(hook_url, json=message, timeout=10).status_code == 200
    assert heard.hints == [NEW_BLOCK]


def test_only_the_secret_path_is_answered(
    btc: Account, hook_url: str, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    """F08."""
    parts = urlsplit(hook_url)
    base, secret = f"http://{parts.netloc}", parts.path
    for path in ("/", "/x", secret[:-1], f"{secret}0", f"{secret}/", secret.upper(), f"{secret}?a=b"):
        expected = 200 if path.endswith("?a=b") else 404
        assert requests.post(base + path, json=event(btc, "ab" * 32), timeout=10).status_code == expected, path
    assert requests.get(hook_url, timeout=10).status_code == 405
    assert heard.hints == [NEW_BLOCK, "ab" * 32]
    assert secret not in caplog.text


def test_huge_body_is_refused(hook: BlockIoWebhookHandler, hook_url: str, heard: Heard) -> None:
    """F08."""
    # It may hang up in the middle of it.
    with suppress(requests.ConnectionError):
        assert requests.post(hook_url, data=b"x" * 10_000_000, timeout=10).status_code == 413
    assert hook.is_alive()
    assert heard.hints == [NEW_BLOCK]


def test_clients_that_drip_keep_nobody_from_telling(btc: Account, hook_url: str, heard: Heard) -> None:
    """More of them than the listener has threads; each connection ends in time, as the kernel's own tests see."""
    parts = urlsplit(hook_url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000\r\n".encode()
    with ExitStack() as open_ones:
        dripping = [
            open_ones.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
            for _ in range(12)
        ]
        for number, client in enumerate(dripping):
            client.sendall(head if number % 2 else head + b"\r\n{")
        for client in dripping:
            client.sendall(b" ")
        assert requests.post(hook_url, json=event(btc, "ab" * 32), timeout=10).status_code == 200
    assert heard.hints == [NEW_BLOCK, "ab" * 32]


def test_flood_is_answered_and_leaves_one_good_notification(btc: Account, hook_url: str, heard: Heard) -> None:
    """F08."""
    with requests.Session() as session:
        for number in range(200):
            assert session.post(hook_url, json=event(btc, f"{number:064x}"), timeout=10).ok
    txid = btc.pay([(btc.labels["default"], Decimal(1))])
    heard.wait_for(lambda hints: txid in hints)


@pytest.mark.parametrize(
    "url", ["https://shop.example/", "https://shop.example", "https://shop.example/hook", "ftp://a/b"]
)
def test_url_without_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="option url of blockio_webhook") as caught:
        BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate({"url": url}), lambda _: None)
    assert url not in str(caught.value)
