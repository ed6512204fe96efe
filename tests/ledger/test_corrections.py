"""Imports and adjustments: coins that no transfer and no network brought."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from kit import Till

from cryptoassets_core.errors import CryptoAssetsError, InvalidNameError, LedgerError, NotEnoughAccountBalance
from cryptoassets_core.ledger.states import TransactionKind

GOOD: dict[str, Any] = {
    "amount": Decimal("0.3"),
    "direction": "credit",
    "reason": "found in the safe",
    "created_by": "clerk",
    "approved_by": "auditor",
}


def adjust(till: Till, account: int, **changes: Any) -> int:
    return till.do("shop", lambda wallet: wallet.adjust_balance(account, **GOOD | changes).id)


def test_import_is_a_credit_from_outside(till: Till) -> None:
    a = till.account("a")

    id_ = till.do("shop", lambda wallet: wallet.import_balance(a, Decimal(2), "from the old books").id)

    row = till.row(id_)
    assert (row.kind, row.sending_account_id, row.receiving_account_id) == (TransactionKind.BALANCE_IMPORT, None, a)
    assert (till.balance(a), row.label, till.audit()) == (2, "from the old books", [])


@pytest.mark.parametrize(("direction", "after"), [("credit", "1.3"), ("debit", "0.7")])
def test_adjustment_is_made_by_two_people_and_says_so(till: Till, direction: str, after: str) -> None:
    a = till.account("a", "1")

    row = till.row(adjust(till, a, direction=direction))

    assert till.balance(a) == Decimal(after)
    assert row.kind == TransactionKind.ADJUSTMENT
    assert row.label == "found in the safe (by clerk, approved by auditor)"
    assert till.audit() == []


@pytest.mark.parametrize("approved_by", ["clerk", "CLERK", " clerk ", "Clerk\u00a0"])
def test_nobody_approves_their_own_adjustment(till: Till, approved_by: str) -> None:
    a = till.account("a", "1")
    before = till.dump()

    with pytest.raises(LedgerError, match="needs two people"):
        adjust(till, a, approved_by=approved_by)

    assert till.dump() == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"direction": "Credit"}, LedgerError),
        ({"direction": None}, LedgerError),
        ({"direction": ["credit"]}, LedgerError),
        ({"reason": ""}, InvalidNameError),
        ({"reason": None}, InvalidNameError),
        ({"reason": "r" * 255}, InvalidNameError),
        ({"approved_by": None}, InvalidNameError),
        ({"created_by": "a\nb"}, InvalidNameError),
        ({"direction": "debit", "amount": Decimal("1.00000001")}, NotEnoughAccountBalance),
    ],
    ids=str,
)
def test_adjustment_that_says_too_little_is_refused(
    till: Till, changes: dict[str, Any], error: type[CryptoAssetsError]
) -> None:
    a = till.account("a", "1")
    before = till.dump()

    with pytest.raises(error):
        adjust(till, a, **changes)

    assert till.dump() == before
