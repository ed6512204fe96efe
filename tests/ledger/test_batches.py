"""A batch comes to what its transfers come to one by one, or to nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import Till

from cryptoassets_core.amounts import MAX_MINOR_UNITS, from_minor_units
from cryptoassets_core.errors import CryptoAssetsError, NotEnoughAccountBalance
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer

AMOUNTS = [Decimal(text) for text in ("0.1", "0.25", "0.5", "1", "0", "-1", "0.000000001", "NaN", "1E+30")]

#: Accounts beside the wallet's 1 and 2, in the order in which the tests make them.
OF_ANOTHER_WALLET, FULL = 3, 4

transfers = st.builds(
    Transfer,
    # 1 to 4 are the wallet's, 5 is of another wallet, 4711 of none.
    st.sampled_from([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 5, 4711]),
    st.sampled_from([1, 2, 3, 4, 1, 2, 3, 4]),
    st.sampled_from(AMOUNTS[:4] * 8 + AMOUNTS[4:]),
    st.sampled_from([None, "rent", "food"]),
    st.sampled_from([None, None, None, "key 1", "key 2"]),
)


class Undone(Exception):
    """Leaves no trace of what a test tried."""


@pytest.fixture
def shop(till: Till) -> Till:
    till.accounts("1", "0.5", "0", "0.3")
    till.account("e", "1", wallet="other")
    till.do("shop", lambda wallet: wallet.send_internal(1, 2, Decimal("0.25"), "rent", idempotency_key="key 2"))
    return till


def outcome(till: Till, post: Callable[[GenericWallet], list[int]]) -> Any:
    """Return the answer, or the error, and the rows and accounts after it; everything is undone."""
    result: list[Any] = []

    def work(wallet: GenericWallet) -> None:
        session = wallet.session()
        try:
            answer: Any = post(wallet)
        except CryptoAssetsError as error:
            answer = type(error), error.item, str(error)
        account, row = till.books.account, till.books.transaction
        accounts = session.execute(
            account.select().order_by(account.c.id).with_only_columns(*(c for c in account.c if c.name[-3:] != "_at"))
        ).all()
        rows = session.execute(
            row.select()
            .order_by(row.c.id)
            .with_only_columns(*(c for c in row.c if c.name[-3:] != "_at" and c.name != "id"))
        ).all()
        first = session.query(till.coin.transaction_model.id).order_by("id").first()[0]
        if isinstance(answer, list):
            answer = [id_ - first for id_ in answer]
        result.append((answer, accounts, rows))
        raise Undone

    with pytest.raises(Undone):
        till.do("shop", work)
    return result[0]


def one_by_one(orders: list[Transfer]) -> Callable[[GenericWallet], list[int]]:
    def post(wallet: GenericWallet) -> list[int]:
        ids = []
        savepoint = wallet.session().begin_nested()
        for place, order in enumerate(orders):
            try:
                ids.append(
                    wallet.send_internal(
                        order.from_account,
                        order.to_account,
                        order.amount,
                        order.label,
                        idempotency_key=order.idempotency_key,
                    ).id
                )
            except CryptoAssetsError as error:
                savepoint.rollback()
                error.item = place
                error.args = (f"transfer {place} of {len(orders)}: {error}",)
                raise
        savepoint.commit()
        return ids

    return post


def relative(result: Any) -> Any:
    """Numbers that an undone try used up do not count: only which answers are the same row."""
    answer, accounts, rows = result
    if isinstance(answer, list):
        answer = [answer.index(id_) for id_ in answer], [id_ == 0 for id_ in answer]
    return answer, accounts, rows


def test_batch_equals_its_transfers_one_by_one(shop: Till) -> None:
    @settings(max_examples=150)
    @given(orders=st.lists(transfers, min_size=1, max_size=7))
    def check(orders: list[Transfer]) -> None:
        single = relative(outcome(shop, one_by_one(orders)))
        batch = relative(outcome(shop, lambda wallet: wallet.send_internal_many(orders)))
        if isinstance(single[0][0], type) and batch[0] != single[0]:
            # Of several that cannot be, the batch may name a later one; alone, that is wrong too.
            place = batch[0][1]
            assert place > single[0][1]
            assert single[1:] == batch[1:]
            assert isinstance(batch[0][0], type)
        else:
            assert batch == single

    check()
    assert shop.audit() == []


def test_batch_of_thousands_posts_all(till: Till) -> None:
    accounts = till.accounts(*["100"] * 5)
    orders = [
        Transfer(accounts[n % 5], accounts[(n + 1 + n % 3) % 5], Decimal(n % 7 + 1).scaleb(-8), f"no {n}", f"key {n}")
        for n in range(3000)
    ]

    ids = till.do("shop", lambda wallet: wallet.send_internal_many(orders))
    again = till.do("shop", lambda wallet: wallet.send_internal_many(orders))

    assert again == ids
    rows = {row.id: row for row in till.rows(kind="internal")}
    assert [(rows[id_].label, rows[id_].amount, rows[id_].sending_account_id) for id_ in ids] == [
        (order.label, order.amount, order.from_account) for order in orders
    ]
    assert len(rows) == 3000
    assert (till.total(), till.audit()) == (500, [])


def test_coins_that_arrive_earlier_in_the_batch_can_be_spent_later_in_it(till: Till) -> None:
    a, b, c = till.accounts("1", "0", "0")

    till.do("shop", lambda wallet: wallet.send_internal_many([Transfer(a, b, Decimal(1)), Transfer(b, c, Decimal(1))]))
    with pytest.raises(NotEnoughAccountBalance):
        till.do(
            "shop", lambda wallet: wallet.send_internal_many([Transfer(b, a, Decimal(1)), Transfer(c, b, Decimal(1))])
        )

    assert [till.balance(id_) for id_ in (a, b, c)] == [0, 0, 1]


def test_refused_batch_names_the_item_and_leaves_no_trace_though_the_caller_goes_on(till: Till) -> None:
    a, b = till.accounts("1", "0")
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, a)
        with pytest.raises(NotEnoughAccountBalance) as refusal:
            wallet.send_internal_many([Transfer(account, b, Decimal("0.6")) for _ in range(3)])
        error = refusal.value
        assert (error.item, error.account_id, error.available) == (1, a, Decimal("0.4"))
        assert str(error) == f"transfer 1 of 3: account {a} has 0.40000000 BTC, 0.60000000 BTC needed"
        assert account.balance == 1

    till.do("shop", work)

    assert till.dump() == before


@pytest.mark.parametrize(
    "bad",
    [
        Transfer(1, 2, Decimal("0.1"), "a\nb"),
        Transfer(1, 2, Decimal("0.1"), "l" * 256),
        Transfer(1, 2, Decimal("0.1"), None, "\x00"),
        Transfer(2**70, 2, Decimal("0.1")),
        Transfer("1", 2, Decimal("0.1")),  # type: ignore[arg-type]
        Transfer(True, 2, Decimal("0.1")),
        Transfer(1, 1, Decimal("0.1")),
        Transfer(1, 2, 0.1),  # type: ignore[arg-type]
        Transfer(1, OF_ANOTHER_WALLET, Decimal("0.1")),
        Transfer(OF_ANOTHER_WALLET, 1, Decimal("0.1")),
        Transfer(1, 4711, Decimal("0.1")),
        Transfer(1, FULL, Decimal("0.1")),
    ],
    ids=str,
)
def test_bad_item_is_named_whatever_is_bad(till: Till, bad: Transfer) -> None:
    till.accounts("1", "0")
    assert till.account("theirs", "1", wallet="other") == OF_ANOTHER_WALLET
    assert till.account("full", from_minor_units(MAX_MINOR_UNITS, 8)) == FULL
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        with pytest.raises(CryptoAssetsError, match=r"^transfer 2 of 4: ") as refusal:
            wallet.send_internal_many([Transfer(1, 2, Decimal("0.1"))] * 2 + [bad, bad])
        assert refusal.value.item == 2

    till.do("shop", work)

    assert till.dump() == before


def test_empty_batch_is_nothing(till: Till) -> None:
    assert till.do("shop", lambda wallet: wallet.send_internal_many([])) == []


def test_loaded_accounts_know_what_a_batch_made_of_them(till: Till) -> None:
    a, b = till.accounts("1", "0")

    def work(wallet: GenericWallet) -> None:
        first, second = (wallet.session().get_one(till.coin.account_model, id_) for id_ in (a, b))
        assert (first.balance, second.entries) == (1, 0)
        wallet.send_internal_many([Transfer(first, second, Decimal("0.1"))] * 3)
        assert (first.balance, first.entries, second.balance, second.entries) == (Decimal("0.7"), 4, Decimal("0.3"), 3)

    till.do("shop", work)


def test_tellers_batch_may_overdraw_where_the_order_says_so(till: Till) -> None:
    a, b = till.accounts("1", "0")
    order = TransferOrder(
        wallet_id=till.wallet_id(), sending_account_id=a, receiving_account_id=b, amount=Decimal("0.8")
    )
    allowed = TransferOrder(
        wallet_id=order.wallet_id, sending_account_id=a, receiving_account_id=b, amount=Decimal("0.8"), overdraft=True
    )

    till.teller.send_internal_many(order.wallet_id, [order, allowed])

    assert (till.balance(a), till.audit()) == (Decimal("-0.6"), [])
