"""Sending through a daemon that speaks like Dogecoin Core 1.14, of which none runs here.

A real node answers, through a client that knows and refuses what 1.14 does (it is derived from Core 0.14): calls that
came later are unknown, arguments and options that came later are refused, and answers lack what came later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind.rpc import Call, RpcClient
from cryptoassets_core.errors import (
    BackendRejectedError,
    BackendUnavailableError,
    BroadcastDeadError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
    RecipientRejectedError,
)

#: Calls that 1.14 does not have.
LATER = {"signrawtransactionwithwallet", "getbalances", "testmempoolaccept", "walletcreatefundedpsbt"}

#: Options of fundrawtransaction that it has.
FUND_OPTIONS = {
    "changeAddress", "changePosition", "includeWatching", "lockUnspents", "reserveChangeKey", "feeRate",
    "subtractFeeFromOutputs",
}  # fmt: skip


class OldClient(RpcClient):
    """Talks to the real node as if it were an older one.

    :ivar used: what was called, with what.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.used: list[tuple[str, tuple[object, ...]]] = []

    def call(self, method: str, *params: object) -> object:
        self.used.append((method, params))
        self._check(method, params)
        if method == "help":
            known = [line for line in str(super().call("help")).splitlines() if line.partition(" ")[0] not in LATER]
            return "\n".join([*known, 'signrawtransaction "hexstring" ...'])
        if method == "signrawtransaction":
            return super().call("signrawtransactionwithwallet", *params)
        if method == "sendrawtransaction":
            return super().call(method, params[0], Decimal(0))
        answer = super().call(method, *params)
        if method == "decoderawtransaction" and isinstance(answer, dict):
            return {key: value for key, value in answer.items() if key not in ("size", "vsize", "weight")}
        return answer

    def batch(self, calls: Sequence[Call]) -> list[object | BackendRejectedError]:
        answers: list[object | BackendRejectedError] = []
        for method, params in calls:
            try:
                answers.append(self.call(method, *params))
            except BackendRejectedError as error:
                answers.append(error)
        return answers

    def _check(self, method: str, params: tuple[object, ...]) -> None:
        if method in LATER:
            raise BackendRejectedError("Method not found", code=-32601)
        if method == "sendrawtransaction" and len(params) > 1 and not isinstance(params[1], bool):
            raise BackendRejectedError("JSON value is not a boolean as expected", code=-1)
        if method == "createrawtransaction" and not isinstance(params[1], dict):
            raise BackendRejectedError("Expected type object, got array", code=-3)
        if method == "fundrawtransaction":
            options = params[1] if len(params) > 1 else {}
            if len(params) > 2 or not isinstance(options, dict) or not options.keys() <= FUND_OPTIONS:
                raise BackendRejectedError(f"Unexpected key {options}", code=-3)


@pytest.fixture
def old_wallet(new_wallet: Callable[..., Any]) -> Callable[..., Any]:
    """Make a wallet whose backend is used as an old daemon's is."""

    def old_wallet(**options: object) -> Any:
        wallet = new_wallet(**options)
        wallet.backend.rpc = OldClient(wallet.backend.rpc.endpoint, timeout=15)
        return wallet

    return old_wallet


@pytest.mark.parametrize("options", [{}, {"fee_rate": "0.001"}, {"min_fee_rate": "0.0005"}], ids=str)
def test_withdrawal_leaves(
    old_wallet: Callable[..., Any], outside: Callable[[], str], options: dict[str, object]
) -> None:
    wallet = old_wallet(**options)
    wallet.fund("1")
    to, also = outside(), outside()
    prepared = wallet.backend.prepare({to: Decimal("0.5"), also: Decimal("0.1")})
    wallet.backend.hold(prepared)
    assert wallet.rpc("listlockunspent") != []
    assert wallet.backend.submit(prepared) == wallet.backend.submit(prepared) == prepared.txid
    wallet.node.sync()
    seen = wallet.backend.get_transactions([prepared.txid])[prepared.txid]
    assert (seen.confirmations, seen.fee, seen.sent) == (0, prepared.fee, Decimal("0.6"))
    wallet.node.mine()
    assert wallet.backend.submit(prepared) == prepared.txid
    methods = {method for method, _ in wallet.backend.rpc.used}
    assert "signrawtransaction" in methods
    assert not methods & LATER


def test_fee_above_the_cap_is_refused_by_the_bytes(old_wallet: Callable[..., Any], outside: Callable[[], str]) -> None:
    """What the daemon decodes has no size in all releases."""
    wallet = old_wallet(max_fee_rate="0.00001")
    wallet.fund("1")
    with pytest.raises(BackendUnavailableError, match="for 222 bytes, above max_fee_rate"):
        wallet.backend.prepare({outside(): Decimal("0.5")})


def test_what_cannot_be_paid_is_told_apart(old_wallet: Callable[..., Any], outside: Callable[[], str]) -> None:
    wallet = old_wallet()
    wallet.fund("1")
    with pytest.raises(InsufficientHotWalletFunds):
        wallet.backend.prepare({outside(): Decimal(2)})
    bad = outside()
    for payments in ({outside(): Decimal("0.1"), bad: Decimal("0.00000001")}, {bad: Decimal("85000000")}):
        with pytest.raises(RecipientRejectedError) as refused:
            wallet.backend.prepare(payments)
        assert refused.value.address == bad


def test_stolen_inputs_are_in_doubt_and_then_dead(old_wallet: Callable[..., Any], outside: Callable[[], str]) -> None:
    wallet = old_wallet()
    wallet.fund("1")
    prepared, rival = (wallet.backend.prepare({outside(): Decimal(amount)}) for amount in ("0.5", "0.6"))
    wallet.backend.submit(rival)
    with pytest.raises(OutcomeUnknownError):
        wallet.backend.submit(prepared)
    wallet.node.mine(2)
    with pytest.raises(BroadcastDeadError, match=rival.txid) as dead:
        wallet.backend.submit(prepared)
    assert dead.value.depth == 2


def test_option_that_the_daemon_cannot_follow_is_refused(old_wallet: Callable[..., Any]) -> None:
    wallet = old_wallet(confirmation_target=2)
    with pytest.raises(BackendRejectedError, match="too old for the option confirmation_target"):
        wallet.backend.check()
