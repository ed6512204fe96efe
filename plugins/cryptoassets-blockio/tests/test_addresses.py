"""Receiving addresses: one for each call however often the service has to be asked, and never one from before."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from cryptoassets_blockio import client as client_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.client import ServiceRefusal
from cryptoassets_blockio.testing import Account, Fault, StandIn
from cryptoassets_core.errors import BackendRejectedError, BackendUnavailableError, OutcomeUnknownError

Make = Callable[..., BlockIoBackend]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_PAUSES", (0.0,))


@pytest.mark.parametrize("label", ["alice", "", "  ", "Ålice & Bob: 'x'", "x" * 500, "default", "a/b?c=d,e"])
def test_label_is_made_unique_of_what_the_service_takes(account: Account, make_backend: Make, label: str) -> None:
    """B22."""
    backend = make_backend(account)
    addresses = {backend.create_address(label) for _ in range(3)}
    assert len(addresses) == 3
    for address in addresses:
        given = account.addresses[address].label
        assert re.fullmatch(r"[A-Za-z0-9_-]{13,60}", given), given


def test_address_of_books_that_are_gone_is_not_given_out_again(
    btc: Account, service: StandIn, make_backend: Make
) -> None:
    """B22: what is paid to it would go to somebody else's account."""
    earlier = make_backend(btc).create_address("account 1")
    service.faults.arm("get_new_address", Fault.DROP_BEFORE)
    assert make_backend(btc).create_address("account 1") != earlier


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.HTML, Fault.SERVER_ERROR])
def test_lost_answer_makes_one_address(btc: Account, service: StandIn, make_backend: Make, fault: Fault) -> None:
    backend = make_backend(btc)
    service.faults.arm("get_new_address", fault)
    address = backend.create_address("alice")
    assert set(btc.addresses) == {btc.labels["default"], address}


def test_label_that_the_service_has_already_is_ours(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an answer that was lost on the way to a proxy, which asked again."""
    backend = make_backend(btc)
    call = backend.client.call

    def twice(method: str, **parameters: object) -> object:
        if method == "get_new_address":
            call(method, **parameters)
        return call(method, **parameters)

    monkeypatch.setattr(backend.client, "call", twice)
    address = backend.create_address("alice")
    assert set(btc.addresses) == {btc.labels["default"], address}


def test_service_that_keeps_silent_is_asked_no_more(btc: Account, service: StandIn, make_backend: Make) -> None:
    service.faults.arm("get_new_address", Fault.DROP_BEFORE, 2)
    with pytest.raises(OutcomeUnknownError):
        make_backend(btc).create_address("alice")
    service.faults.always = Fault.DROP_BEFORE
    with pytest.raises(BackendUnavailableError):
        make_backend(btc).create_address("alice")


def test_definite_refusal_is_passed_on(btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make_backend(btc)
    call = backend.client.call

    def full(method: str, **parameters: object) -> object:
        if method == "get_new_address":
            raise ServiceRefusal("you have too many addresses", data={})
        return call(method, **parameters)

    monkeypatch.setattr(backend.client, "call", full)
    with pytest.raises(BackendRejectedError, match="too many addresses"):
        backend.create_address("alice")
