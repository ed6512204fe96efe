"""Above ``max_transfer`` one person's word is not enough, whichever way a transfer is made (F24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from kit import Till, address, open_app, open_till
from sqlalchemy.orm import Session

from cryptoassets_core.configcheck import check
from cryptoassets_core.errors import ConfigurationError, IdempotencyConflictError, LedgerError, TransferAboveLimit
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models.wallet import Transfer

LIMIT = Decimal("10")
ABOVE = Decimal("10.00000001")
TWO_PEOPLE = {"created_by": "clerk", "approved_by": "auditor"}

#: The house and a user, in the order in which the tests make them.
HOUSE, USER = 1, 2


@pytest.fixture
def shop(books_url: str) -> Iterator[Till]:
    with open_till(books_url, max_transfer=str(LIMIT)) as till:
        till.accounts("100", "0")
        till.receiving_address(USER)
        yield till


def order(till: Till, amount: Decimal, **options: Any) -> TransferOrder:
    return TransferOrder(
        wallet_id=till.wallet_id(), sending_account_id=HOUSE, receiving_account_id=USER, amount=amount, **options
    )


def many_by_wallet(till: Till, amount: Decimal, **people: str) -> int:
    transfers = [Transfer(HOUSE, USER, Decimal(1)), Transfer(HOUSE, USER, amount, **people)]
    return till.do("shop", lambda wallet: wallet.send_internal_many(transfers))[1]


def many_by_teller(till: Till, amount: Decimal, **people: str) -> int:
    return till.teller.send_internal_many(till.wallet_id(), [order(till, Decimal(1)), order(till, amount, **people)])[1]


def by_teller_in_a_transaction(till: Till, amount: Decimal, **people: str) -> int:
    return till.run(lambda _: till.teller.send_internal(order(till, amount, **people)).transaction_id)


#: Every way to make a transfer; each returns the transaction's id.
WAYS: dict[str, Callable[..., int]] = {
    "send": lambda till, amount, **people: till.do(
        "shop", lambda wallet: wallet.send(HOUSE, address("in"), amount, None, **people).id
    ),
    "send_internal": lambda till, amount, **people: till.do(
        "shop", lambda wallet: wallet.send_internal(HOUSE, USER, amount, None, **people).id
    ),
    "overdraft": lambda till, amount, **people: till.do(
        "shop", lambda wallet: wallet.send_internal(HOUSE, USER, amount, None, True, **people).id
    ),
    "send_internal_many": many_by_wallet,
    "teller": lambda till, amount, **people: till.teller.send_internal(order(till, amount, **people)).transaction_id,
    "teller, overdraft": lambda till, amount, **people: (
        till.teller.send_internal(order(till, amount, overdraft=True, **people)).transaction_id
    ),
    "teller in a transaction": by_teller_in_a_transaction,
    "teller, many": many_by_teller,
}


@pytest.mark.parametrize("way", WAYS)
def test_more_than_one_person_may_move_takes_two(shop: Till, way: str) -> None:
    make = WAYS[way]
    assert shop.row(make(shop, LIMIT)).amount == LIMIT
    before = shop.dump()

    with pytest.raises(TransferAboveLimit, match=r"at most 10\S* BTC by a transfer, not 10\.00000001 BTC") as refused:
        make(shop, ABOVE)
    assert (refused.value.amount, refused.value.limit) == (ABOVE, LIMIT)
    assert refused.value.item == (1 if "many" in way else None)
    for people in ({"created_by": "clerk", "approved_by": " CLERK"}, {"created_by": "clerk"}, {"approved_by": "clerk"}):
        with pytest.raises(LedgerError, match="two people"):
            make(shop, ABOVE, **people)
    assert shop.dump() == before

    row = shop.row(make(shop, ABOVE, **TWO_PEOPLE))
    assert (row.amount, row.label) == (ABOVE, "by clerk, approved by auditor")
    assert shop.audit() == []


def test_people_stand_after_the_label_of_any_transfer_that_names_them(shop: Till) -> None:
    def work(wallet: Any) -> list[str]:
        inside = wallet.send_internal(HOUSE, USER, Decimal(1), "promotion", **TWO_PEOPLE)
        outside = wallet.send(HOUSE, address("outside"), Decimal(1), "invoice", **TWO_PEOPLE)
        return [inside.label, outside.label]

    assert shop.do("shop", work) == [f"{text} (by clerk, approved by auditor)" for text in ("promotion", "invoice")]


def test_limits_of_two_apps_on_the_same_books_do_not_meet(shop: Till, books_url: str) -> None:
    with open_till(books_url) as unlimited, open_till(books_url, max_transfer="0.5") as strict:
        for way in ("send_internal", "teller", "teller, many"):
            WAYS[way](unlimited, ABOVE)
            WAYS[way](shop, Decimal(1))
            with pytest.raises(TransferAboveLimit):
                WAYS[way](strict, Decimal(1))
            with pytest.raises(TransferAboveLimit):
                WAYS[way](shop, ABOVE)


def test_session_past_the_app_knows_no_limit(shop: Till) -> None:
    with Session(shop.engine) as session:
        wallet = shop.wallet(session, "shop")
        assert wallet.send_internal(HOUSE, USER, ABOVE, None).amount == ABOVE


@pytest.mark.parametrize("way", ["teller", "teller, many", "send_internal"])
def test_transfer_that_was_made_is_found_by_its_key_whatever_the_limit_is_now(
    shop: Till, books_url: str, way: str
) -> None:
    def make(till: Till, **people: str) -> int:
        if way == "send_internal":
            return till.do(
                "shop",
                lambda wallet: wallet.send_internal(HOUSE, USER, LIMIT, None, idempotency_key="key", **people).id,
            )
        wanted = order(till, LIMIT, idempotency_key="key", **people)
        if way == "teller":
            return till.teller.send_internal(wanted).transaction_id
        return till.teller.send_internal_many(wanted.wallet_id, [wanted])[0]

    made = make(shop)

    with open_till(books_url, max_transfer="1") as lowered:
        assert make(lowered) == made
        with pytest.raises(IdempotencyConflictError):
            make(lowered, **TWO_PEOPLE)
    assert shop.balance(USER) == LIMIT


def test_limit_that_is_no_amount_of_the_coin_is_explained(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"coins\.btc: max_transfer: .*8 decimals"):
        open_app(f"sqlite:///{tmp_path}/books.sqlite", max_transfer="0.000000001")


def test_config_check_tells_the_limit(tmp_path: Any) -> None:
    coins = {"btc": {"network": "regtest", "max_transfer": "2.5"}}
    findings = check({"database": {"url": f"sqlite:///{tmp_path}/books.sqlite"}, "coins": coins})
    assert any("one person moves at most 2.50000000 by a transfer" in finding.message for finding in findings)
