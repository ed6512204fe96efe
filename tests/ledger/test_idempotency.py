"""Idempotency keys: what is repeated moves nothing, what only looks like a repeat is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from kit import Till, address, open_till, processes

from cryptoassets_core.errors import IdempotencyConflictError, InvalidNameError, LedgerError
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer

ONE = Decimal(1)

#: Every call that moves money, on accounts a (1) and b (2) of the wallet.
CALLS: dict[str, Callable[[GenericWallet, str], int]] = {
    "send_internal": lambda wallet, key: wallet.send_internal(1, 2, ONE, "x", idempotency_key=key).id,
    "send inside": lambda wallet, key: wallet.send(1, address("b"), ONE, "x", idempotency_key=key).id,
    "send_external": lambda wallet, key: wallet.send_external(1, address("x"), ONE, "x", idempotency_key=key).id,
    "send outside": lambda wallet, key: wallet.send(1, address("x"), ONE, "x", idempotency_key=key).id,
    "send forced": lambda wallet, key: wallet.send(1, address("b"), ONE, "x", True, idempotency_key=key).id,
    "import": lambda wallet, key: wallet.import_balance(1, ONE, "x", idempotency_key=key).id,
    "credit": lambda wallet, key: _adjust(wallet, "credit", key),
    "debit": lambda wallet, key: _adjust(wallet, "debit", key),
    "batch": lambda wallet, key: wallet.send_internal_many([Transfer(1, 2, ONE, "x", key)])[0],
}

#: Calls with the same meaning, so that a key of one is good for the other.
SAME = [{"send_internal", "batch"}, {"send_external", "send outside"}]


def _adjust(wallet: GenericWallet, direction: Any, key: str) -> int:
    return wallet.adjust_balance(
        1, ONE, direction=direction, reason="x", created_by="c", approved_by="d", idempotency_key=key
    ).id


@pytest.fixture
def shop(till: Till) -> Till:
    _, b = till.accounts("10", "10")
    till.receiving_address(b, "b")
    return till


@pytest.mark.parametrize("name", CALLS)
def test_repeat_returns_the_first_transaction_and_moves_nothing(shop: Till, name: str) -> None:
    first = shop.do("shop", lambda wallet: CALLS[name](wallet, "key"))
    after = shop.dump()

    for _ in range(2):
        assert shop.do("shop", lambda wallet: CALLS[name](wallet, "key")) == first
    assert shop.do("shop", lambda wallet: [CALLS[name](wallet, "key") for _ in "12"]) == [first, first]

    assert shop.dump() == after
    assert shop.do("shop", lambda wallet: CALLS[name](wallet, "another key")) != first


@pytest.mark.parametrize("name", CALLS)
def test_key_of_another_movement_is_refused(shop: Till, name: str) -> None:
    shop.do("shop", lambda wallet: CALLS[name](wallet, "key"))
    others = [other for other in CALLS if not any({name, other} <= same for same in SAME) and other != name]
    # The payee that a forced payment makes is there once it was made.
    shop.do("shop", lambda wallet: wallet.get_or_create_external_address(address("b")))
    shop.do("shop", lambda wallet: wallet.get_or_create_external_address(address("x")))
    after = shop.dump()

    def work(wallet: GenericWallet) -> None:
        for other in others:
            with pytest.raises(IdempotencyConflictError, match="'key' was used before with another"):
                CALLS[other](wallet, "key")

    shop.do("shop", work)
    assert shop.dump() == after


def test_key_with_other_arguments_is_refused(shop: Till) -> None:
    two = Decimal(2)
    others = [
        (1, 2, two, "x"),
        (1, 2, ONE, "y"),
        (1, 2, ONE, None),
        (2, 1, ONE, "x"),
        (1, 3, ONE, "x"),
        (3, 2, ONE, "x"),
    ]
    shop.account("c", "10")
    shop.do("shop", lambda wallet: wallet.send_internal(1, 2, ONE, "x", idempotency_key="key"))
    after = shop.dump()

    def work(wallet: GenericWallet) -> None:
        for arguments in others:
            with pytest.raises(IdempotencyConflictError):
                wallet.send_internal(*arguments, idempotency_key="key")
            with pytest.raises(IdempotencyConflictError) as refusal:
                wallet.send_internal_many([Transfer(2, 1, ONE), Transfer(*arguments, "key")])
            assert refusal.value.item == 1

    shop.do("shop", work)
    assert shop.dump() == after


def test_key_belongs_to_one_wallet(shop: Till) -> None:
    c, d = shop.accounts("5", "5", wallet="other")

    mine = shop.do("shop", lambda wallet: wallet.send_internal(1, 2, ONE, None, idempotency_key="key").id)
    theirs = shop.do("other", lambda wallet: wallet.send_internal(c, d, ONE, None, idempotency_key="key").id)

    assert mine != theirs


def test_key_of_a_refused_call_is_free(shop: Till) -> None:
    def work(wallet: GenericWallet) -> None:
        with pytest.raises(LedgerError):
            wallet.send_internal(1, 2, Decimal(11), None, idempotency_key="key")
        with pytest.raises(LedgerError):
            wallet.send_external(1, address("x"), Decimal(11), None, idempotency_key="key")
        wallet.send_internal(1, 2, ONE, None, idempotency_key="key")

    shop.do("shop", work)
    assert shop.balance(2) == 11


def test_repeat_is_answered_although_the_coins_are_gone(shop: Till) -> None:
    first = shop.do("shop", lambda wallet: wallet.send_internal(1, 2, Decimal(10), None, idempotency_key="key").id)

    assert shop.do("shop", lambda w: w.send_internal(1, 2, Decimal(10), None, idempotency_key="key").id) == first


def test_repeat_of_a_cancelled_withdrawal_is_the_cancelled_one(shop: Till) -> None:
    first = shop.do("shop", lambda wallet: CALLS["send_external"](wallet, "key"))
    shop.do("shop", lambda wallet: wallet.cancel_withdrawal(first))

    assert shop.do("shop", lambda wallet: CALLS["send_external"](wallet, "key")) == first
    assert shop.balance(1) == 10


def test_key_that_cannot_be_stored_is_refused(shop: Till) -> None:
    before = shop.dump()
    keys: list[Any] = ["", " ", "a\x00b", "a\nb", "k" * 256, 1, b"key"]

    def work(wallet: GenericWallet) -> None:
        for key, call in product(keys, CALLS.values()):
            with pytest.raises(InvalidNameError, match="an idempotency key"):
                call(wallet, key)

    shop.do("shop", work)
    assert shop.dump() == before


# --- Races --------------------------------------------------------------------------------------------------


def _race(url: str, name: str, barrier: Any, results: Any) -> None:
    with open_till(url, retries=50) as till:
        barrier.wait()
        if name == "teller":
            order = TransferOrder(
                wallet_id=1, sending_account_id=1, receiving_account_id=2, amount=ONE, idempotency_key="key"
            )
            results.put(till.teller.send_internal(order).transaction_id)
        else:
            results.put(till.do(1, lambda wallet: CALLS[name](wallet, "key")))


@pytest.mark.parametrize("name", ["send_internal", "send_external", "batch", "teller"])
def test_eight_processes_with_one_key_make_one_movement(shop: Till, books_url: str, name: str) -> None:
    barrier, results = processes.Barrier(8), processes.Queue()
    racers = [processes.Process(target=_race, args=(books_url, name, barrier, results)) for _ in range(8)]
    for racer in racers:
        racer.start()
    ids = [results.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join()

    assert len(set(ids)) == 1
    assert len(shop.rows(idempotency_key="key")) == 1
    assert [racer.exitcode for racer in racers] == [0] * 8
    assert shop.audit() == []
