"""Fees that the network took for broadcasts, charged to an account of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.posting import debit, post
from cryptoassets_core.ledger.states import AccountKind, TransactionKind, TransactionState
from cryptoassets_core.ledger.upsert import insert_missing


def fee_account_id(session: Session, books: Books, *, wallet_id: int) -> int:
    """Return the id of the wallet's fee account, which is made when first needed."""
    account = books.account
    wanted = select(account.c.id).where(account.c.wallet_id == wallet_id, account.c.kind == AccountKind.NETWORK_FEE)
    found: int | None = session.scalar(wanted)
    if found is None:
        name = books.models["account"].NETWORK_FEE_ACCOUNT
        insert_missing(session, account, [{"wallet_id": wallet_id, "name": name, "kind": AccountKind.NETWORK_FEE}])
        return int(session.scalars(wanted).one())
    return found


def book_fee(session: Session, books: Books, *, wallet_id: int, network_transaction_id: int, amount: Decimal) -> Any:
    """Charge a broadcast's fee to the wallet's fee account, which may go below zero.

    :param amount: whole coins.
    :returns: the transaction.
    """
    account_id = fee_account_id(session, books, wallet_id=wallet_id)
    return post(
        session,
        books,
        wallet_id=wallet_id,
        kind=TransactionKind.NETWORK_FEE,
        state=TransactionState.NETWORK_FEE,
        amount=amount,
        network_transaction_id=network_transaction_id,
        credited_at=utc_now(),
        sending=debit(session, books, account_id=account_id, amount=amount, allow_overdraft=True),
    )
