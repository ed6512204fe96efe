"""Coins that come into the books other than over the network, and corrections."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import LedgerError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.posting import credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.twopeople import signed_label
from cryptoassets_core.names import check_name


def import_balance(
    session: Session,
    books: Books,
    *,
    wallet_id: int,
    account_id: int,
    amount: Decimal,
    label: str | None = None,
    idempotency_key: str | None = None,
) -> Any:
    """Credit coins that the backend held before the ledger began.

    :param amount: whole coins.
    :returns: the transaction; the earlier one if the idempotency key was used for the same import before.
    """
    return _book(
        session,
        books,
        kind=TransactionKind.BALANCE_IMPORT,
        state=TransactionState.BALANCE_IMPORT,
        wallet_id=wallet_id,
        account_id=account_id,
        amount=amount,
        direction="credit",
        label=label,
        idempotency_key=idempotency_key,
    )


def adjust_balance(
    session: Session,
    books: Books,
    *,
    wallet_id: int,
    account_id: int,
    amount: Decimal,
    direction: Literal["credit", "debit"],
    reason: str,
    created_by: str,
    approved_by: str,
    idempotency_key: str | None = None,
) -> Any:
    """Put an account right, on the word of two people; the row tells who and why.

    :param amount: whole coins, more than zero.
    :param direction: give to the account, or take from it.
    :returns: the transaction; the earlier one if the idempotency key was used for the same adjustment before.
    :raises LedgerError: one person wants to do it alone, or the direction is none.
    :raises NotEnoughAccountBalance: the account has less than is to be taken.
    """
    for value, what in ((reason, "a reason"), (created_by, "a creator"), (approved_by, "an approver")):
        check_name(value, what)
    if direction not in ("credit", "debit"):
        raise LedgerError("the direction of an adjustment must be 'credit' or 'debit'")
    return _book(
        session,
        books,
        kind=TransactionKind.ADJUSTMENT,
        state=TransactionState.ADJUSTMENT,
        wallet_id=wallet_id,
        account_id=account_id,
        amount=amount,
        direction=direction,
        label=signed_label(reason, created_by, approved_by, what="an adjustment"),
        idempotency_key=idempotency_key,
    )


def _book(
    session: Session,
    books: Books,
    *,
    kind: TransactionKind,
    state: TransactionState,
    wallet_id: int,
    account_id: int,
    amount: Decimal,
    direction: Literal["credit", "debit"],
    label: str | None,
    idempotency_key: str | None,
) -> Any:
    amount = check_amount(amount, books.coin.decimals)
    side = "receiving" if direction == "credit" else "sending"
    earlier = earlier_transaction(
        session,
        books,
        wallet_id=wallet_id,
        key=idempotency_key,
        kind=kind,
        amount=amount,
        label=label,
        **{f"{side}_account_id": account_id},
    )
    if earlier is not None:
        return earlier
    lock_accounts(session, books, wallet_id=wallet_id, account_ids=[account_id])
    leg = (credit if direction == "credit" else debit)(session, books, account_id=account_id, amount=amount)
    return post(
        session,
        books,
        wallet_id=wallet_id,
        kind=kind,
        state=state,
        amount=amount,
        label=label,
        idempotency_key=idempotency_key,
        credited_at=utc_now(),
        **{side: leg},
    )
