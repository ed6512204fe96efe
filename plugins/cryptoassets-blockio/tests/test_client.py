"""Calls that go wrong in every way: each becomes one error of the tree, in time, and without the key."""

from __future__ import annotations

import logging
import time
import traceback

import pytest

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.client import METHODS, BlockIoClient, ServiceRefusal
from cryptoassets_blockio.options import BlockIoOptions
from cryptoassets_blockio.testing import Account, Fault, StandIn
from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendUnavailableError,
    CryptoAssetsError,
    OutcomeUnknownError,
)

#: Quick enough to be waited for.
WITHOUT_WAITING = [fault for fault in Fault if not fault.startswith(("stall", "drip", "slow"))]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(client_module, "SLOW_SECONDS", 0.5)


@pytest.mark.parametrize("fault", WITHOUT_WAITING)
def test_question_that_fails_is_asked_again_and_counted(service: StandIn, client: BlockIoClient, fault: Fault) -> None:
    service.faults.arm("get_balance", fault, 2)
    assert client.call("get_balance")["network"] == "BTCTEST"
    assert client.stats == {"calls": 3, "get_balance": 3, "retries": 2}


@pytest.mark.parametrize("fault", WITHOUT_WAITING)
def test_question_that_keeps_failing_is_unavailable(service: StandIn, client: BlockIoClient, fault: Fault) -> None:
    service.faults.arm("get_balance", fault, 3)
    with pytest.raises(BackendUnavailableError, match="does not answer get_balance now"):
        client.call("get_balance")
    assert service.calls["get_balance"] == 3
    assert service.calls["elsewhere"] == 0


@pytest.mark.parametrize("fault", WITHOUT_WAITING)
def test_submission_without_an_answer_is_unknown_and_not_repeated(
    service: StandIn, client: BlockIoClient, fault: Fault
) -> None:
    service.faults.arm("submit_transaction", fault, 3)
    with pytest.raises(OutcomeUnknownError, match="may have been carried out"):
        client.call("submit_transaction", transaction_data={})
    assert service.calls["submit_transaction"] == 1


@pytest.mark.parametrize("fault", [Fault.STALL_BEFORE, Fault.STALL_AFTER, Fault.DRIP, Fault.SLOW])
@pytest.mark.parametrize("method", ["list_notifications", "create_notification"])
def test_every_call_ends_in_time(service: StandIn, btc: Account, fault: Fault, method: str) -> None:
    client = BlockIoClient(btc.api_key, base=service.url, timeout=0.3)
    service.slow_seconds = 1
    service.faults.arm(method, fault, 3)
    began = time.monotonic()
    with pytest.raises(BackendUnavailableError if METHODS[method] else OutcomeUnknownError):
        client.call(method)
    assert time.monotonic() - began < 3


def test_nobody_there_means_that_nothing_was_sent() -> None:
    client = BlockIoClient("key", base="http://127.0.0.1:1", timeout=1)
    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        client.call("submit_transaction", transaction_data={})
    nowhere = BlockIoClient("key", base="http://nowhere.invalid", timeout=1)
    with pytest.raises(BackendUnavailableError):
        nowhere.call("submit_transaction", transaction_data={})


def test_refusal_says_what_the_service_said(client: BlockIoClient) -> None:
    with pytest.raises(ServiceRefusal, match="No address with that label") as caught:
        client.call("get_address_by_label", label="unknown")
    assert caught.value.code == 404


def test_refused_key_is_named(service: StandIn) -> None:
    client = BlockIoClient("wrong-key", base=service.url, timeout=1)
    with pytest.raises(BackendAuthenticationError, match="refuses the API key") as caught:
        client.call("get_balance")
    assert "wrong-key" not in str(caught.value)


def test_only_known_methods_can_be_called(service: StandIn, client: BlockIoClient) -> None:
    with pytest.raises(KeyError):
        client.call("sweep_from_address")
    assert service.calls == {}


def test_service_that_repeats_the_key_in_a_refusal_is_not_quoted(btc: Account, client: BlockIoClient) -> None:
    """F36."""
    with pytest.raises(ServiceRefusal, match=r"Address \*\*\* does not belong") as caught:
        client.call("archive_addresses", addresses=btc.api_key)
    assert btc.api_key not in str(caught.value)


def test_proxy_that_is_not_there_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """F36: of all errors this one names the whole address, key and all."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    client = BlockIoClient("planted-key", base="http://shop.example", timeout=1)
    with pytest.raises(BackendUnavailableError, match="the connection broke") as caught:
        client.call("get_balance")
    assert "planted-key" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 419, 429, 500, 503])
@pytest.mark.parametrize(
    "body", [b'{"status": "success", "data": {}}', b'{"status": "fail", "data": {"error_message": "no"}}']
)
def test_answer_with_a_status_that_does_not_fit_decides_nothing(
    client: BlockIoClient, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    """A proxy may answer, or a service under too much load; only a plain refusal is one."""
    monkeypatch.setattr(client, "_post", lambda method, parameters: (status, body))
    is_refusal = status == 400 and b"fail" in body
    with pytest.raises(ServiceRefusal if is_refusal else OutcomeUnknownError):
        client.call("submit_transaction", transaction_data={})


def test_answer_that_is_too_large_is_not_read(client: BlockIoClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 20)
    with pytest.raises(BackendUnavailableError, match="has more than 20 bytes"):
        client.call("get_balance")


@pytest.mark.parametrize("fault", [*WITHOUT_WAITING, None])
def test_no_secret_in_any_log_error_or_repr(
    service: StandIn, btc: Account, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    """F36."""
    caplog.set_level(logging.DEBUG)
    options = BlockIoOptions.model_validate({"api_key": btc.api_key, "pin": btc.pin, "url": service.url})
    backend = BlockIoBackend(BITCOIN, "test", options)
    told = [repr(each) for each in (options, backend, backend.client, backend.preparation)]
    for method, parameters in (("get_balance", {}), ("submit_transaction", {"transaction_data": {}})):
        if fault is not None:
            service.faults.arm(method, fault, 3)
        try:
            backend.client.call(method, **parameters)
        except CryptoAssetsError as error:
            told += [str(error), "".join(traceback.format_exception(error))]
    everything = "\n".join([*told, caplog.text, *(repr(record.args) for record in caplog.records)])
    assert "urllib3" in caplog.text
    assert btc.api_key not in everything
    assert btc.pin not in everything
