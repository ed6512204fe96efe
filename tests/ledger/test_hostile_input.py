"""Bad amounts, addresses, labels, names and numbers through every public call: one typed sentence, nothing written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from kit import PaperBackend, Till, address, seen, txid
from sqlalchemy import select

from cryptoassets_core.errors import (
    BadAddress,
    CryptoAssetsError,
    InvalidAmountError,
    InvalidAmountTypeError,
    InvalidNameError,
    LedgerError,
)
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer

ONE = Decimal(1)

AMOUNTS: list[Any] = [
    *(Decimal(text) for text in ("-1", "-0.00000001", "0", "-0.0", "NaN", "sNaN", "Infinity", "-Infinity")),
    *(Decimal(text) for text in ("1E-9", "1E+30", "1E+999999", "92233720368.54775808")),
    *(0, -1, 10**30, True, "1", "", b"1", 1.0, float("nan"), float("inf"), 1j, None, Fraction(1, 2), [1], object()),
]

#: Wrong in every position that a number has in the calls below.
IDS: list[Any] = [0, -1, 2**63, 2**70, -(2**70), 10**5000, True, "1", "", 1.0, None, b"1", [1], Decimal(1), object()]

TEXTS: list[Any] = ["", " ", "\u2003", "a\x00b", "a\nb", "a\r\nb", "\x1b[2J", "a\x85b", "a\u2028b", "\ud800", "x" * 256]
TEXTS += ["x" * 1_000_000, 1, b"label", ["label"], 1.5, object()]

ADDRESSES: list[Any] = [
    "", " ", "nowhere", "x" * 1_000_000, None, 1, b"1", ["a"], object(), "\x00", "\ud800",
    *(f"{space}{address('x')}" for space in (" ", "\u00a0", "\u200b", "\n", "\ufeff")),
    *(f"{address('x')}{space}" for space in (" ", "\u00a0", "\u200b", "\n")),
    address("x").replace("q", "Q", 1),
    address("x").replace("1", "\uff11", 1),
    address("x")[:-1] + ("p" if address("x")[-1] != "p" else "q"),
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRf0", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfO",
    "\u043cipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
]  # fmt: skip


def _adjust(wallet: GenericWallet, **changes: Any) -> None:
    good: dict[str, Any] = {
        "account": 1,
        "amount": ONE,
        "direction": "debit",
        "reason": "r",
        "created_by": "c",
        "approved_by": "d",
    }
    wallet.adjust_balance(**good | changes)


def _deposit(wallet: GenericWallet, amount: Any, to: Any) -> None:
    network, _ = wallet.sibling("network_transaction").get_or_create_deposit(wallet.session(), txid("known"))
    wallet.deposit(network, to, amount)


def _fee(wallet: GenericWallet, amount: Any) -> None:
    network = wallet.sibling("network_transaction")
    broadcast = wallet.session().scalars(select(network).where(network.transaction_type == "broadcast")).one()
    wallet.charge_network_fees(broadcast, amount)


Call = Callable[[GenericWallet, Any], object]

AMOUNT_CALLS: dict[str, Call] = {
    "send": lambda wallet, bad: wallet.send(1, address("x"), bad, None),
    "send inside": lambda wallet, bad: wallet.send(1, address("in"), bad, None),
    "send forced": lambda wallet, bad: wallet.send(1, address("in"), bad, None, force_external=True),
    "send_internal": lambda wallet, bad: wallet.send_internal(1, 2, bad, None),
    "send_internal, overdraft": lambda wallet, bad: wallet.send_internal(1, 2, bad, None, True),
    "send_internal_many": lambda wallet, bad: wallet.send_internal_many([Transfer(1, 2, ONE), Transfer(1, 2, bad)]),
    "send_external": lambda wallet, bad: wallet.send_external(1, address("x"), bad, None),
    "import_balance": lambda wallet, bad: wallet.import_balance(1, bad),
    "adjust_balance": lambda wallet, bad: _adjust(wallet, amount=bad),
    "adjust_balance, credit": lambda wallet, bad: _adjust(wallet, amount=bad, direction="credit"),
    "charge_network_fees": _fee,
    "deposit": lambda wallet, bad: _deposit(wallet, bad, address("in")),
}

ID_CALLS: dict[str, Call] = {
    "get_by_id": lambda wallet, bad: type(wallet).get_by_id(wallet.session(), bad),
    "send": lambda wallet, bad: wallet.send(bad, address("x"), ONE, None),
    "send inside": lambda wallet, bad: wallet.send(bad, address("in"), ONE, None),
    "send_internal from": lambda wallet, bad: wallet.send_internal(bad, 2, ONE, None),
    "send_internal to": lambda wallet, bad: wallet.send_internal(1, bad, ONE, None),
    "send_internal, overdraft": lambda wallet, bad: wallet.send_internal(bad, 1, ONE, None, True),
    "send_internal_many": lambda wallet, bad: wallet.send_internal_many([Transfer(1, 2, ONE), Transfer(2, bad, ONE)]),
    "send_external": lambda wallet, bad: wallet.send_external(bad, address("x"), ONE, None),
    "cancel_withdrawal": lambda wallet, bad: wallet.cancel_withdrawal(bad),
    "import_balance": lambda wallet, bad: wallet.import_balance(bad, ONE),
    "adjust_balance": lambda wallet, bad: _adjust(wallet, account=bad),
    "mark_transaction_processed": lambda wallet, bad: wallet.mark_transaction_processed(bad),
    "add_address": lambda wallet, bad: wallet.add_address(bad, "label", address("new")),
    "create_receiving_address": lambda wallet, bad: wallet.create_receiving_address(bad, automatic_label=True),
    "refresh_account_balance": lambda wallet, bad: wallet.refresh_account_balance(bad),
}

#: Where a label may be left out.
LABEL_CALLS: dict[str, Call] = {
    "send": lambda wallet, bad: wallet.send(1, address("x"), ONE, bad),
    "send inside": lambda wallet, bad: wallet.send(1, address("in"), ONE, bad),
    "send_internal": lambda wallet, bad: wallet.send_internal(1, 2, ONE, bad),
    "send_internal_many": lambda wallet, bad: wallet.send_internal_many(
        [Transfer(1, 2, ONE), Transfer(1, 2, ONE, bad)]
    ),
    "send_external": lambda wallet, bad: wallet.send_external(1, address("x"), ONE, bad),
    "import_balance": lambda wallet, bad: wallet.import_balance(1, ONE, bad),
}

NAME_CALLS: dict[str, Call] = {
    "get_or_create_by_name": lambda wallet, bad: type(wallet).get_or_create_by_name(bad, wallet.session()),
    "create_account": lambda wallet, bad: wallet.create_account(bad),
    "get_account_by_name": lambda wallet, bad: wallet.get_account_by_name(bad),
    "get_or_create_account_by_name": lambda wallet, bad: wallet.get_or_create_account_by_name(bad),
    "add_address": lambda wallet, bad: wallet.add_address(1, bad, address("new")),
    "create_receiving_address": lambda wallet, bad: wallet.create_receiving_address(1, bad),
    "cancel_withdrawal": lambda wallet, bad: wallet.cancel_withdrawal(3, bad),
    "adjust_balance, reason": lambda wallet, bad: _adjust(wallet, reason=bad),
    "adjust_balance, created_by": lambda wallet, bad: _adjust(wallet, created_by=bad),
    "adjust_balance, approved_by": lambda wallet, bad: _adjust(wallet, approved_by=bad),
    "send, created_by": lambda wallet, bad: wallet.send(1, address("x"), ONE, None, created_by=bad, approved_by="d"),
    "send inside, approved_by": lambda wallet, bad: wallet.send(
        1, address("in"), ONE, None, created_by="c", approved_by=bad
    ),
    "send_internal, created_by": lambda wallet, bad: wallet.send_internal(
        1, 2, ONE, None, created_by=bad, approved_by="d"
    ),
    "send_internal_many, approved_by": lambda wallet, bad: wallet.send_internal_many(
        [Transfer(1, 2, ONE), Transfer(1, 2, ONE, created_by="c", approved_by=bad)]
    ),
}

ADDRESS_CALLS: dict[str, Call] = {
    "send": lambda wallet, bad: wallet.send(1, bad, ONE, None),
    "send forced": lambda wallet, bad: wallet.send(1, bad, ONE, None, force_external=True),
    "send_external": lambda wallet, bad: wallet.send_external(1, bad, ONE, None),
    "add_address": lambda wallet, bad: wallet.add_address(1, "label", bad),
    "get_or_create_external_address": lambda wallet, bad: wallet.get_or_create_external_address(bad),
    "get_account_by_address": lambda wallet, bad: wallet.get_account_by_address(bad),
    "deposit": lambda wallet, bad: _deposit(wallet, ONE, bad),
}


TXIDS: list[Any] = ["", "ab" * 31, "ab" * 33, "AB" * 32, "zz" * 32, f" {'ab' * 32}", f"{'ab' * 32}\n", "\uff11" * 64]
TXIDS += ["x" * 1_000_000, None, 7, b"ab" * 32, ["ab" * 32], object()]

TXID_CALLS: dict[str, Call] = {
    "get_or_create_deposit": lambda wallet, bad: wallet.sibling("network_transaction").get_or_create_deposit(
        wallet.session(), bad
    ),
}

#: What each parameter of a public call takes, and the calls above that try it with the values it must refuse.
TRIED: dict[str, dict[str, Call]] = (
    dict.fromkeys(["amount", "fee"], AMOUNT_CALLS)
    | dict.fromkeys(["account", "from_account", "to_account", "wallet_id", "transaction", "transaction_id"], ID_CALLS)
    | dict.fromkeys(["address", "receiving_address", "to_address"], ADDRESS_CALLS)
    | dict.fromkeys(["name", "reason", "created_by", "approved_by"], NAME_CALLS)
    | {"label": LABEL_CALLS | NAME_CALLS, "txid": TXID_CALLS, "transfers": AMOUNT_CALLS}
)

#: Parameters that are tried elsewhere, or take nothing of the kind.
OTHERS = {
    *("self", "cls", "session", "idempotency_key", "ntx", "broadcast", "canonical"),
    *("testnet", "force_external", "allow_negative_balance", "direction", "automatic_label", "archived", "extra"),
    *("before", "limit", "external", "internal", "confirmations", "include_internal", "role", "kwargs"),
}


@pytest.fixture
def shop(till: Till) -> Till:
    """Books with something of everything: accounts 1 and 2, a withdrawal 3, a broadcast, a deposit under way."""
    a, _ = till.accounts("10", "10")
    withdrawal = till.do("shop", lambda wallet: wallet.send_external(a, address("payee"), ONE, None).id)
    assert withdrawal == 3
    till.broadcaster(PaperBackend(fee="0")).do_broadcasts()
    till.chain_says(seen("known", {till.receiving_address(a): "1"}, 1))
    return till


@contextmanager
def unchanged(till: Till) -> Iterator[None]:
    before = till.dump()
    yield
    assert till.dump() == before


def refused(till: Till, name: str, call: Call, values: list[Any], kind: type[CryptoAssetsError]) -> None:
    """Try every value in one transaction that goes on, so that whatever is left behind is committed."""

    def work(wallet: GenericWallet) -> None:
        for value in values:
            try:
                call(wallet, value)
            except kind as error:
                sentence = str(error)
                assert "\n" not in sentence
                assert 10 < len(sentence) < 400, sentence
            else:
                pytest.fail(f"{name} let {value!r:.60} through")

    with unchanged(till):
        till.do("shop", work)


def test_amount_that_must_not_move_money_is_refused(shop: Till) -> None:
    for name, call in AMOUNT_CALLS.items():
        refused(shop, name, call, AMOUNTS, InvalidAmountError)


def test_amount_of_an_inexact_type_is_a_type_error(shop: Till) -> None:
    refused(shop, "send", AMOUNT_CALLS["send"], [1.0, "1", True], InvalidAmountTypeError)


def test_number_that_no_row_has_is_refused(shop: Till) -> None:
    for name, call in ID_CALLS.items():
        refused(shop, name, call, [*IDS, 4711], CryptoAssetsError)


def test_label_that_cannot_be_shown_on_one_line_is_refused(shop: Till) -> None:
    for name, call in LABEL_CALLS.items():
        refused(shop, name, call, TEXTS, InvalidNameError)


def test_name_that_cannot_be_shown_on_one_line_is_refused(shop: Till) -> None:
    for name, call in NAME_CALLS.items():
        refused(shop, name, call, TEXTS, InvalidNameError)


def test_address_that_is_none_is_refused(shop: Till) -> None:
    for name, call in ADDRESS_CALLS.items():
        refused(shop, name, call, ADDRESSES, BadAddress)


def test_hash_that_is_none_is_refused(shop: Till) -> None:
    """In two spellings one payment would be two deposits."""
    refused(shop, "get_or_create_deposit", TXID_CALLS["get_or_create_deposit"], TXIDS, InvalidNameError)


def test_every_public_call_that_takes_such_a_value_is_tried_above(till: Till) -> None:
    for role in ("wallet", "account", "address", "transaction", "network_transaction"):
        for name, call in inspect.getmembers(till.coin.wallet_model.sibling(role), inspect.isroutine):
            if name.startswith("_") or not call.__module__.startswith("cryptoassets_core.models"):
                continue
            for parameter in inspect.signature(call).parameters:
                tried = {title.partition(",")[0].partition(" ")[0] for title in TRIED.get(parameter, {})}
                assert parameter in OTHERS or name in tried, f"{role}.{name}({parameter}=…) is not tried"


def test_teller_refuses_likewise(shop: Till) -> None:
    good: dict[str, Any] = {"wallet_id": 1, "sending_account_id": 1, "receiving_account_id": 2, "amount": ONE}
    bad = [
        *({"amount": amount} for amount in AMOUNTS),
        *({"sending_account_id": id_} for id_ in IDS),
        *({"receiving_account_id": id_} for id_ in IDS),
        *({"wallet_id": id_} for id_ in [4711, *IDS]),
        *({"label": text} for text in TEXTS),
        *({"idempotency_key": text} for text in TEXTS),
        *({"created_by": text, "approved_by": "d"} for text in TEXTS),
        {"label": 1, "created_by": "c", "approved_by": "d"},
    ]
    with unchanged(shop):
        for changes in bad:
            order = TransferOrder(**good | changes)
            with pytest.raises(CryptoAssetsError):
                shop.teller.send_internal(order)
            with pytest.raises(CryptoAssetsError):
                shop.teller.send_internal_many(order.wallet_id, [order])
        for id_ in [4711, *IDS]:
            with pytest.raises(LedgerError):
                shop.teller.cancel_withdrawal(1, id_)
            with pytest.raises(LedgerError):
                shop.teller.cancel_withdrawal(id_, 3)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "javascript:alert(1)",
        "{{7*7}} ${7*7} %s %n",
        "=1+1",
        "\u202eRTL",
        "Ünïcödé 💰",
        "'; DROP TABLE btc_account; --",
        "x" * 255,
    ],
)
def test_text_that_is_only_odd_comes_back_as_it_went_in(till: Till, text: str) -> None:
    a, b = till.accounts("1", "0")

    def work(wallet: GenericWallet) -> tuple[int, int]:
        wallet.get_or_create_account_by_name(text)
        return wallet.send_internal(a, b, Decimal("0.1"), text).id, wallet.send_internal_many(
            [Transfer(a, b, Decimal("0.1"), text, text)]
        )[0]

    ids = till.do(text, lambda wallet: wallet.name) and till.do("shop", work)

    assert [till.row(id_).label for id_ in ids] == [text, text]
    assert till.do("shop", lambda wallet: wallet.get_account_by_name(text).name) == text


def test_reserved_and_taken_names_are_refused(till: Till) -> None:
    till.account("a")
    with unchanged(till):
        for name in ("Network fees", "a"):
            with pytest.raises(LedgerError, match="choose another name"):
                till.do("shop", lambda wallet, name=name: wallet.create_account(name))
        with pytest.raises(LedgerError, match="reserved"):
            till.do("shop", lambda wallet: wallet.get_or_create_account_by_name("Network fees"))


def test_addresses_that_differ_by_case_have_different_owners(till: Till) -> None:
    """Base58 is case-sensitive; a database that compares carelessly would give one owner's coins to the other."""
    a, b = till.accounts("0", "0")
    upper, lower = "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "2mzqwssnbhwhqsaqttvq6v47xtaisrja1vc"

    def enter(session: Any) -> None:
        for account, text in ((a, upper), (b, lower)):
            session.add(till.coin.address_model(address=text, label="l", account_id=account))

    till.run(enter)
    till.chain_says(seen("one", {upper: "1"}, 3), seen("two", {lower: "2"}, 3))

    assert (till.balance(a), till.balance(b)) == (1, 2)
