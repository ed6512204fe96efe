"""Faults armed from outside, and what the backend makes of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from cryptoassets_core.backend.base import TwoStepBackend, Txid
from cryptoassets_core.coin.validate import encode_segwit
from cryptoassets_core.errors import BackendUnavailableError, InsufficientHotWalletFunds, OutcomeUnknownError
from cryptoassets_simnet import Simnet, SimnetError, faults
from cryptoassets_simnet.backend import SimnetBackend

CUSTOMER = encode_segwit("bcrt", 0, b"customer".ljust(20))


@pytest.fixture
def calls(simnet: Simnet, backend: SimnetBackend) -> dict[str, Callable[[], object]]:
    """Each method of the backend with arguments that it accepts."""
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.1")})
    for _ in range(3):  # a lost answer keeps its coin
        simnet.fund(Decimal(1))
    return {
        "check": backend.check,
        "create_address": lambda: backend.create_address("a"),
        "get_tip": backend.get_tip,
        "list_since": lambda: backend.list_since(None, depth=6),
        "get_transactions": lambda: backend.get_transactions([Txid("0" * 64)]),
        "get_backend_balance": backend.get_backend_balance,
        "prepare": lambda: backend.prepare({CUSTOMER: Decimal("0.1")}),
        "submit": lambda: backend.submit(prepared),
        "hold": lambda: backend.hold(prepared),
        "release": lambda: backend.release(prepared),
    }


def test_every_method_of_the_contract_can_fail() -> None:
    contract = {name for name in vars(TwoStepBackend) if not name.startswith("_")}
    contract |= set(TwoStepBackend.__abstractmethods__)
    assert set(faults.METHODS) == contract


@pytest.mark.parametrize("method", faults.METHODS)
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", BackendUnavailableError),
        ("timeout-before", OutcomeUnknownError),
        ("timeout-after", OutcomeUnknownError),
    ],
)
def test_each_fault_strikes_as_often_as_told(
    simnet: Simnet, calls: dict[str, Callable[[], object]], method: str, kind: str, error: type[Exception]
) -> None:
    simnet.fault(method, kind, count=2)
    for remaining in (2, 1):
        assert [each.remaining for each in simnet.status().faults] == [remaining]
        with pytest.raises(error, match=method):
            calls[method]()
    assert simnet.status().faults == ()
    calls[method]()


@pytest.mark.parametrize(("kind", "published"), [("refuse", 0), ("timeout-before", 0), ("timeout-after", 1)])
def test_only_a_timeout_after_acceptance_publishes(
    simnet: Simnet, backend: SimnetBackend, calls: dict[str, Callable[[], object]], kind: str, published: int
) -> None:
    simnet.fault("submit", kind)
    with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
        calls["submit"]()
    assert simnet.status().mempool == published
    calls["submit"]()
    assert simnet.status().mempool == 1


def test_a_lost_answer_hides_a_refusal_too(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fault("prepare", "timeout-after")
    with pytest.raises(OutcomeUnknownError):
        backend.prepare({CUSTOMER: Decimal(1)})
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal(1)})


def test_a_hold_whose_answer_is_lost_keeps_its_coins_until_the_node_restarts(
    simnet: Simnet, backend: SimnetBackend
) -> None:
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.1")})
    simnet.fault("hold", "timeout-after")
    with pytest.raises(OutcomeUnknownError):
        backend.hold(prepared)
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal("0.1")})
    simnet.forget_locks()
    backend.prepare({CUSTOMER: Decimal("0.1")})


def test_faults_of_a_method_strike_in_the_order_they_were_armed(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fault("get_tip", "timeout-before")
    simnet.fault("get_tip", "refuse")
    backend.check()  # another method's faults are not its own
    with pytest.raises(OutcomeUnknownError):
        backend.get_tip()
    with pytest.raises(BackendUnavailableError):
        backend.get_tip()
    backend.get_tip()


def test_a_node_that_is_down_refuses_everything_and_uses_up_no_fault(
    simnet: Simnet, calls: dict[str, Callable[[], object]]
) -> None:
    simnet.fault("submit", "timeout-after")
    simnet.set_down(True)
    for call in calls.values():
        with pytest.raises(BackendUnavailableError, match="is down"):
            call()
    simnet.mine()  # the network goes on
    simnet.set_down(False)
    with pytest.raises(OutcomeUnknownError):
        calls["submit"]()


def test_faults_are_cleared(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fault("get_tip", "refuse", count=100)
    simnet.clear_faults()
    backend.get_tip()


@pytest.mark.parametrize(
    ("method", "kind", "count", "reason"),
    [
        ("sendmany", "refuse", 1, "no method 'sendmany'"),
        ("submit", "explode", 1, "no fault 'explode'"),
        ("submit", "refuse", 0, "from 1 to"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    simnet: Simnet, method: str, kind: str, count: int, reason: str
) -> None:
    with pytest.raises(SimnetError, match=reason):
        simnet.fault(method, kind, count=count)
    assert simnet.status().faults == ()
