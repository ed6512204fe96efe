"""Withdrawals: reserved when asked for, handed to the network later, or refunded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import LedgerError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.posting import credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def reserve_withdrawal(
    session: Session,
    books: Books,
    *,
    wallet_id: int,
    account_id: int,
    address_id: int,
    amount: Decimal,
    label: str | None,
) -> Any:
    """Take the coins from the account and queue them for the network.

    :param amount: whole coins that the payee shall get; the network's fee is booked apart.
    :returns: the transaction, pending.
    :raises NotEnoughAccountBalance: the account has less.
    """
    amount = check_amount(amount, books.coin.decimals)
    lock_accounts(session, books, wallet_id=wallet_id, account_ids=[account_id])
    sending = debit(session, books, account_id=account_id, amount=amount)
    return post(
        session,
        books,
        wallet_id=wallet_id,
        kind=TransactionKind.WITHDRAWAL,
        state=TransactionState.PENDING,
        amount=amount,
        label=label,
        address_id=address_id,
        sending=sending,
    )


def mark_broadcasted(session: Session, books: Books, *, network_transaction_id: int) -> Sequence[int]:
    """Note that the network has the withdrawals of a broadcast.

    :returns: ids of the withdrawals for which this was news.
    """
    transaction = books.transaction
    return session.scalars(
        update(transaction)
        .where(
            transaction.c.network_transaction_id == network_transaction_id,
            transaction.c.state == TransactionState.PENDING,
        )
        .values(state=TransactionState.BROADCASTED, processed_at=utc_now())
        .returning(transaction.c.id)
    ).all()


def fail_withdrawal(session: Session, books: Books, *, transaction_id: int, reason: str) -> Any:
    """Give up a withdrawal that can never be sent, and refund it with a row of its own.

    :returns: the refund.
    :raises LedgerError: it is not pending; what the network has cannot be refunded.
    """
    transaction = books.transaction
    failed = session.execute(
        update(transaction)
        .where(
            transaction.c.id == transaction_id,
            transaction.c.kind == TransactionKind.WITHDRAWAL,
            transaction.c.state == TransactionState.PENDING,
        )
        .values(state=TransactionState.FAILED, network_transaction_id=None)
        .returning(transaction.c.wallet_id, transaction.c.sending_account_id, transaction.c.amount)
    ).one_or_none()
    if failed is None:
        state = session.scalar(select(transaction.c.state).where(transaction.c.id == transaction_id))
        raise LedgerError(f"transaction {transaction_id} cannot be refunded: it is {state or 'unknown'}, not pending")
    _expire(session, books, transaction_id)
    return post(
        session,
        books,
        wallet_id=failed.wallet_id,
        kind=TransactionKind.REFUND,
        state=TransactionState.REFUND,
        amount=failed.amount,
        label=reason[:255],
        answers_id=transaction_id,
        credited_at=utc_now(),
        receiving=credit(session, books, account_id=failed.sending_account_id, amount=failed.amount),
    )


def _expire(session: Session, books: Books, transaction_id: int) -> None:
    loaded = session.get(books.models["transaction"], transaction_id)
    if loaded is not None:
        session.expire(loaded)
