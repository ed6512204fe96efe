"""Withdrawals: reserved when asked for, handed to the network later, or refunded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import func, literal, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import LedgerError, UnknownRowError
from cryptoassets_core.event.events import tell, withdrawal_cancelled
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.posting import credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import NetworkTransactionState, TransactionKind, TransactionState
from cryptoassets_core.names import MAX_LENGTH, check_id


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalOrder:
    """A withdrawal as asked for."""

    wallet_id: int
    account_id: int
    #: The address outside that is paid.
    address_id: int
    #: Whole coins that the payee shall get; the network's fee is booked apart.
    amount: Decimal
    label: str | None = None
    idempotency_key: str | None = None


def earlier_withdrawal(session: Session, books: Books, order: WithdrawalOrder) -> Any | None:
    """Return the withdrawal that was asked for with the same idempotency key, if there is one.

    :raises IdempotencyConflictError: the key was used for something else.
    """
    return earlier_transaction(
        session,
        books,
        wallet_id=order.wallet_id,
        key=order.idempotency_key,
        kind=TransactionKind.WITHDRAWAL,
        sending_account_id=order.account_id,
        address_id=order.address_id,
        amount=check_amount(order.amount, books.coin.decimals),
        label=order.label,
    )


def reserve_withdrawal(session: Session, books: Books, order: WithdrawalOrder) -> Any:
    """Take the coins from the account and queue them for the network.

    :returns: the transaction, pending.
    :raises NotEnoughAccountBalance: the account has less.
    """
    amount = check_amount(order.amount, books.coin.decimals)
    lock_accounts(session, books, wallet_id=order.wallet_id, account_ids=[order.account_id])
    sending = debit(session, books, account_id=order.account_id, amount=amount)
    return post(
        session,
        books,
        wallet_id=order.wallet_id,
        kind=TransactionKind.WITHDRAWAL,
        state=TransactionState.PENDING,
        amount=amount,
        label=order.label,
        address_id=order.address_id,
        idempotency_key=order.idempotency_key,
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
        # The first time counts where a network transaction died and another one took its place.
        .values(
            state=TransactionState.BROADCASTED,
            processed_at=func.coalesce(transaction.c.processed_at, literal(utc_now(), transaction.c.processed_at.type)),
        )
        .returning(transaction.c.id)
    ).all()


def requeue_withdrawals(session: Session, books: Books, *, network_transaction_id: int) -> Sequence[int]:
    """Queue the withdrawals of a broadcast again; the caller knows that it can never confirm.

    :returns: ids of the withdrawals.
    """
    transaction = books.transaction
    return session.scalars(
        update(transaction)
        .where(
            transaction.c.network_transaction_id == network_transaction_id,
            transaction.c.kind == TransactionKind.WITHDRAWAL,
        )
        .values(state=TransactionState.PENDING, network_transaction_id=None)
        .returning(transaction.c.id)
    ).all()


def fail_withdrawal(session: Session, books: Books, *, transaction_id: int, reason: str) -> Any:
    """Give up a withdrawal that can never be sent, and refund it.

    :returns: the refund, a transaction of its own.
    :raises LedgerError: it is signed, sent or refunded already.
    """
    refund = _refund(session, books, transaction_id, TransactionState.FAILED, reason)
    if refund is None:
        raise LedgerError(f"transaction {transaction_id} has failed and is refunded already")
    return refund


def cancel_withdrawal(session: Session, books: Books, *, wallet_id: int, transaction_id: int, reason: str) -> Any:
    """Call back a withdrawal that is not signed yet, and refund it; safe to repeat.

    :returns: the refund, the earlier one if it was cancelled before.
    :raises UnknownRowError: the wallet has no such withdrawal.
    :raises LedgerError: it is too late.
    """
    check_id(wallet_id, f"{books.coin.symbol} wallet")
    check_id(transaction_id, "withdrawal")
    transaction = books.transaction
    found = session.execute(
        select(transaction.c.state, transaction.c.wallet_id).where(
            transaction.c.id == transaction_id, transaction.c.kind == TransactionKind.WITHDRAWAL
        )
    ).one_or_none()
    if found is None or found.wallet_id != wallet_id:
        raise UnknownRowError(f"wallet {wallet_id} has no withdrawal {transaction_id}")
    refund = None
    if found.state != TransactionState.CANCELLED:
        refund = _refund(session, books, transaction_id, TransactionState.CANCELLED, reason)
        if refund is not None:
            tell(
                session,
                withdrawal_cancelled(
                    coin_name=books.coin.symbol,
                    transaction=transaction_id,
                    refund=refund.id,
                    account=refund.receiving_account_id,
                    amount=refund.amount,
                    reason=reason,
                ),
            )
    if refund is None:
        model = books.models["transaction"]
        refund = session.scalars(
            select(model).where(model.answers_id == transaction_id, model.kind == TransactionKind.REFUND)
        ).one()
    return refund


def _refund(session: Session, books: Books, transaction_id: int, state: TransactionState, reason: str) -> Any | None:
    """Give up a withdrawal and refund it.

    :returns: the refund; None if somebody else has brought it to that state meanwhile.
    """
    transaction = books.transaction
    while (ended := _end(session, books, transaction_id, state)) is None:
        now = session.scalar(select(transaction.c.state).where(transaction.c.id == transaction_id))
        if now == state:
            return None
        if now != TransactionState.PENDING:
            raise LedgerError(f"transaction {transaction_id} cannot be refunded: it is {now or 'unknown'}, not pending")
        # It is still pending, but was bundled after we looked; look again.
    loaded = session.identity_map.get(identity_key(books.models["transaction"], transaction_id))
    if loaded is not None:
        session.expire(loaded)
    return post(
        session,
        books,
        wallet_id=ended.wallet_id,
        kind=TransactionKind.REFUND,
        state=TransactionState.REFUND,
        amount=ended.amount,
        label=reason[:MAX_LENGTH],
        answers_id=transaction_id,
        credited_at=utc_now(),
        receiving=credit(session, books, account_id=ended.sending_account_id, amount=ended.amount),
    )


def _end(session: Session, books: Books, transaction_id: int, state: TransactionState) -> Any | None:
    """Move a pending withdrawal to its end if the broadcast that we looked at, or none, still carries it."""
    transaction = books.transaction
    carrier_id = _unsigned_carrier(session, books, transaction_id)
    return session.execute(
        update(transaction)
        .where(
            transaction.c.id == transaction_id,
            transaction.c.kind == TransactionKind.WITHDRAWAL,
            transaction.c.state == TransactionState.PENDING,
            # A broadcast may have taken it up, and been signed, since we looked.
            transaction.c.network_transaction_id.is_not_distinct_from(carrier_id),
        )
        .values(state=state, network_transaction_id=None)
        .returning(
            transaction.c.wallet_id,
            transaction.c.sending_account_id,
            transaction.c.amount,
        )
    ).one_or_none()


def _unsigned_carrier(session: Session, books: Books, transaction_id: int) -> int | None:
    """Lock the broadcast that carries a withdrawal, if one does: signed bytes may be on the network any time.

    :returns: the broadcast's id.
    :raises LedgerError: it is signed, or handed to a backend that signs by itself.
    """
    transaction, network = books.transaction, books.network_transaction
    carrier = session.execute(
        select(network.c.id, network.c.state)
        .join(transaction, transaction.c.network_transaction_id == network.c.id)
        .where(transaction.c.id == transaction_id)
        .with_for_update(of=network)
    ).one_or_none()
    if carrier is None:
        return None
    if carrier.state != NetworkTransactionState.COLLECTED:
        raise LedgerError(
            f"transaction {transaction_id} cannot be refunded: it is signed or sent, and may be on the network"
        )
    return int(carrier.id)
