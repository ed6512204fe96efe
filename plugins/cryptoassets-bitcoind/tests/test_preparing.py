"""The first step of a withdrawal, against a real daemon: what is prepared, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.coin.validate import encode_segwit
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    RecipientRejectedError,
)

pytestmark = pytest.mark.regtest

MWEB = (
    "tmweb1qqgmjt47vnmnxlarykxky48d8t8rh66unp7us2rmp0dg3huxqwdvtcqhvtknglq0"
    "s6cjn9grm9aypcthkn3rscpagt5rg53m7dqqpdnqa6ukyxphz"
)


def test_prepared_transaction_pays_what_was_asked_and_keeps_its_coins_once_it_is_held(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1", "1")
    asked = {outside(): Decimal("0.5"), outside(): Decimal("0.00012345")}
    prepared = wallet.backend.prepare(asked)
    assert wallet.locked() == set()  # whoever is killed now leaves none behind
    wallet.backend.hold(prepared)
    assert wallet.locked() == set(prepared.inputs)
    assert wallet.backend.get_transactions([prepared.txid]) == {}
    decoded: Any = node.rpc("decoderawtransaction", prepared.raw)
    paid = {output["scriptPubKey"]["addresses"][0]: output["value"] for output in decoded["vout"]}
    assert asked.items() <= paid.items()
    assert decoded["txid"] == prepared.txid
    assert Decimal(1) - sum(paid.values()) == prepared.fee > 0
    wallet.backend.submit(prepared)
    node.sync()
    found = wallet.backend.get_transactions([prepared.txid])[prepared.txid]
    assert (found.fee, found.received) == (prepared.fee, ())


def test_txid_is_the_signed_one_with_old_style_inputs(
    new_wallet: Callable[..., Any], outside: Callable[[], str]
) -> None:
    for address_type in ("legacy", "p2sh-segwit"):
        wallet = new_wallet()
        wallet.node.rpc("sendtoaddress", wallet.rpc("getnewaddress", "", address_type), 1, wallet="")
        wallet.node.mine()
        prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
        wallet.backend.submit(prepared)
        wallet.node.sync()
        assert wallet.rpc("gettransaction", prepared.txid)["confirmations"] == 0


def test_largest_batch_stays_under_the_standard_weight(wallet: Any) -> None:
    wallet.fund("3")
    # As many as can be configured, and of the largest kind of output there is: P2WSH.
    payees = [encode_segwit("rltc", 0, hashlib.sha256(b"%d" % number).digest()) for number in range(1000)]
    prepared = wallet.backend.prepare(dict.fromkeys(payees, Decimal("0.001")))
    assert wallet.rpc("decoderawtransaction", prepared.raw)["weight"] <= 400_000
    wallet.backend.submit(prepared)  # and so the node relays it


@pytest.mark.parametrize(
    "options", [{"fee_rate": "0.001"}, {"confirmation_target": 2}, {"max_fee_rate": "0.001"}, {}], ids=str
)
def test_fee_follows_the_options(
    new_wallet: Callable[..., Any], outside: Callable[[], str], options: dict[str, object]
) -> None:
    wallet = new_wallet(**options)
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    size = wallet.rpc("decoderawtransaction", prepared.raw)["vsize"]
    rate = prepared.fee * 1000 / size
    expected = Decimal("0.001") if "fee_rate" in options else Decimal("0.0002")  # -fallbackfee
    assert abs(rate - expected) < expected / 50


@pytest.mark.parametrize("options", [{}, {"confirmation_target": 2}], ids=str)
@pytest.mark.parametrize(("floor", "expected"), [("0.0005", "0.0005"), ("0.0001", "0.0002")])
def test_fee_is_not_below_the_floor(
    new_wallet: Callable[..., Any], outside: Callable[[], str], options: dict[str, object], floor: str, expected: str
) -> None:
    wallet = new_wallet(min_fee_rate=floor, **options)
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    rate = prepared.fee * 1000 / wallet.rpc("decoderawtransaction", prepared.raw)["vsize"]
    assert Decimal(expected) <= rate < Decimal(expected) * Decimal("1.02")  # 0.0002 is -fallbackfee


def test_fee_above_the_cap_is_not_paid_and_locks_nothing(
    new_wallet: Callable[..., Any], outside: Callable[[], str]
) -> None:
    wallet = new_wallet(max_fee_rate="0.0001")
    wallet.fund("1")
    with pytest.raises(BackendUnavailableError, match="above max_fee_rate"):
        wallet.backend.prepare({outside(): Decimal("0.5")})
    assert wallet.locked() == set()


def test_fee_that_nobody_relays_is_found_out_before_anything_is_stored(
    new_wallet: Callable[..., Any], outside: Callable[[], str]
) -> None:
    wallet = new_wallet(fee_rate="0.00000100")
    wallet.fund("1")
    with pytest.raises(BackendError):
        wallet.backend.prepare({outside(): Decimal("0.5")})
    assert wallet.locked() == set()


def test_too_little_in_the_wallet(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    with pytest.raises(InsufficientHotWalletFunds, match=r"cannot pay 1\.00000000 "):
        wallet.backend.prepare({outside(): Decimal("1.00000000")})
    first = wallet.backend.prepare({outside(): Decimal("0.5")})
    wallet.backend.hold(first)
    with pytest.raises(InsufficientHotWalletFunds):
        wallet.backend.prepare({outside(): Decimal("0.1")})
    wallet.backend.release(first)
    wallet.backend.prepare({outside(): Decimal("0.1")})


@pytest.mark.parametrize(
    ("bad", "amount"),
    [
        ("nonsense", "1"),
        ("", "1"),
        ("1E2datG9WWgwjFJ4NLybXVZnLxP8iMVe82", "1"),  # Bitcoin's
        (MWEB, "1"),
        ("mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx", "0.00001"),
        ("mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx", "99999999"),
    ],
    ids=["nonsense", "empty", "other-coin", "mweb", "dust", "more-than-exists"],
)
def test_bad_recipient_is_named_and_locks_nothing(
    wallet: Any, outside: Callable[[], str], bad: str, amount: str
) -> None:
    wallet.fund("1")
    batch = {outside(): Decimal("0.1"), bad: Decimal(amount), outside(): Decimal("0.0001")}
    with pytest.raises(RecipientRejectedError) as caught:
        wallet.backend.prepare(batch)
    assert caught.value.address == bad
    assert wallet.locked() == set()
    del batch[bad]
    wallet.backend.submit(wallet.backend.prepare(batch))


def test_one_recipient_in_two_spellings_is_named(wallet: Any, node: RegtestNode) -> None:
    wallet.fund("1")
    # The same script hash with Litecoin's new version byte (Q) and with the one it shares with Bitcoin (2).
    old = "2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne"
    info: Any = node.rpc("validateaddress", old)
    assert info["address"] != old
    with pytest.raises(RecipientRejectedError, match="another spelling") as caught:
        wallet.backend.prepare({info["address"]: Decimal("0.1"), old: Decimal("0.1")})
    assert caught.value.address == old
    wallet.backend.prepare({old: Decimal("0.1")})


def test_locked_wallet_is_a_reason_to_wait(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    wallet.rpc("encryptwallet", "passphrase")
    with pytest.raises(BackendUnavailableError, match="walletpassphrase"):
        wallet.backend.prepare({outside(): Decimal("0.5")})
    assert wallet.locked() == set()
    wallet.rpc("walletpassphrase", "passphrase", 60)
    wallet.backend.submit(wallet.backend.prepare({outside(): Decimal("0.5")}))


def test_long_chain_of_unconfirmed_change_ends_in_waiting(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")

    def send_many() -> None:
        for _ in range(30):
            wallet.backend.submit(wallet.backend.prepare({outside(): Decimal("0.001")}))

    with pytest.raises((InsufficientHotWalletFunds, BackendUnavailableError)):
        send_many()
    wallet.node.mine()
    wallet.backend.submit(wallet.backend.prepare({outside(): Decimal("0.001")}))


class Lying(RpcClient):
    """Talks to the real daemon, and alters the calls of one method, or their answers."""

    method = ""

    def alter_call(self, params: Any) -> Any:
        return params

    def alter_answer(self, answer: Any) -> Any:
        return answer

    def call(self, method: str, *params: object) -> object:
        if method != self.method:
            return super().call(method, *params)
        return self.alter_answer(super().call(method, *self.alter_call(params)))


def lie(wallet: Any, method: str, **alterations: Callable[[Any], Any]) -> None:
    lying = wallet.backend.rpc = Lying(wallet.backend.rpc.endpoint, timeout=15)
    lying.method = method
    for name, alteration in alterations.items():
        setattr(lying, name, alteration)


OTHERS: dict[str, Callable[[dict[str, Decimal]], dict[str, Decimal]]] = {
    "more": lambda asked: {address: amount + Decimal("0.1") for address, amount in asked.items()},
    "one less": lambda asked: dict(list(asked.items())[1:]),
    "one more": lambda asked: asked | {"mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx": Decimal("0.1")},
}


@pytest.mark.parametrize("paid", OTHERS.values(), ids=OTHERS)
def test_transaction_that_pays_something_else_is_never_handed_out(
    wallet: Any, outside: Callable[[], str], paid: Callable[[Any], Any]
) -> None:
    wallet.fund("1")
    lie(wallet, "createrawtransaction", alter_call=lambda params: (params[0], paid(params[1])))
    with pytest.raises(BackendError, match="does not pay exactly what was asked"):
        wallet.backend.prepare({outside(): Decimal("0.2"), outside(): Decimal("0.3")})
    assert wallet.locked() == set()


def test_signature_over_other_coins_is_not_handed_out(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1", "1")
    asked = {outside(): Decimal("0.5")}
    other = wallet.backend.prepare(asked)
    wallet.backend.hold(other)
    lie(wallet, "signrawtransactionwithwallet", alter_answer=lambda _: {"hex": other.raw, "complete": True})
    with pytest.raises(BackendError, match="signed another transaction than the one it funded"):
        wallet.backend.prepare(asked)


@pytest.mark.parametrize(
    ("method", "untrue", "kind", "words"),
    [
        ("signrawtransactionwithwallet", {"complete": False}, BackendRejectedError, "lacks keys"),
        ("fundrawtransaction", {"fee": Decimal("-0.1")}, BackendUnavailableError, "fee would be -0.1"),
    ],
    ids=["half signed", "negative fee"],
)
def test_answer_that_cannot_be_is_not_relied_on(
    wallet: Any,
    outside: Callable[[], str],
    method: str,
    untrue: dict[str, object],
    kind: type[BackendError],
    words: str,
) -> None:
    wallet.fund("1")
    lie(wallet, method, alter_answer=lambda answer: answer | untrue)
    with pytest.raises(kind, match=words):
        wallet.backend.prepare({outside(): Decimal("0.5")})


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (-6, "the wallet is empty", InsufficientHotWalletFunds),
        (-4, "Fee estimation failed. Fallbackfee is disabled.", BackendUnavailableError),
    ],
)
def test_reasons_to_wait_are_no_fault_of_the_recipients(
    wallet: Any, outside: Callable[[], str], code: int, text: str, kind: type[BackendError]
) -> None:
    def refuse(_: object) -> None:
        raise BackendRejectedError(text, code=code)

    wallet.fund("1")
    lie(wallet, "fundrawtransaction", alter_answer=refuse)
    with pytest.raises(kind):
        wallet.backend.prepare({outside(): Decimal("0.5")})


def test_lost_answer_while_preparing_leaves_nothing_locked(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    losing = wallet.lose_answers()
    losing.lost = "fundrawtransaction"
    with pytest.raises(BackendUnavailableError, match="no transaction was published"):
        wallet.backend.prepare({outside(): Decimal("0.5")})
    assert wallet.locked() == set()
    losing.lost = ""
    wallet.backend.prepare({outside(): Decimal("0.5")})
