"""Transfers between two accounts of one wallet; the network never sees them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Insert, bindparam, exists, func, insert, literal, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import SameAccount
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.posting import bring_up_to_date, credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOrder:
    """A transfer as asked for."""

    wallet_id: int
    sending_account_id: int
    receiving_account_id: int
    #: Whole coins.
    amount: Decimal
    label: str | None = None
    #: The receiving address that was named, where one was.
    address_id: int | None = None
    #: Let the sender go below zero.
    overdraft: bool = False
    idempotency_key: str | None = None


def transfer(session: Session, books: Books, order: TransferOrder) -> Any:
    """Move coins between two accounts, at once and for good.

    :returns: the transaction; the earlier one if the idempotency key was used for the same transfer before.
    :raises SameAccount: sender and receiver are one.
    :raises NotEnoughAccountBalance: the sender has less.
    :raises WrongWalletError: an account belongs to another wallet.
    :raises IdempotencyConflictError: the key was used for another transfer.
    """
    amount = check_amount(order.amount, books.coin.decimals)
    if order.sending_account_id == order.receiving_account_id:
        raise SameAccount(f"account {order.sending_account_id} cannot send to itself; name another receiving account")
    earlier = earlier_transaction(
        session,
        books,
        wallet_id=order.wallet_id,
        key=order.idempotency_key,
        kind=TransactionKind.INTERNAL,
        sending_account_id=order.sending_account_id,
        receiving_account_id=order.receiving_account_id,
        amount=amount,
        label=order.label,
    )
    if earlier is not None:
        return earlier
    if session.get_bind().dialect.name == "postgresql" and not order.overdraft:
        done = _transfer_in_one_statement(session, books, order, amount)
        if done is not None:
            return done
        # It was refused, and nothing was written; the long way round says why.
    return _transfer_step_by_step(session, books, order, amount)


def _transfer_step_by_step(session: Session, books: Books, order: TransferOrder, amount: Decimal) -> Any:
    lock_accounts(
        session,
        books,
        wallet_id=order.wallet_id,
        account_ids=[order.sending_account_id, order.receiving_account_id],
    )
    sending = debit(session, books, account_id=order.sending_account_id, amount=amount, allow_overdraft=order.overdraft)
    receiving = credit(session, books, account_id=order.receiving_account_id, amount=amount)
    return post(
        session,
        books,
        wallet_id=order.wallet_id,
        kind=TransactionKind.INTERNAL,
        state=TransactionState.INTERNAL,
        amount=amount,
        label=order.label,
        address_id=order.address_id,
        overdraft=order.overdraft,
        idempotency_key=order.idempotency_key,
        credited_at=utc_now(),
        sending=sending,
        receiving=receiving,
    )


def _transfer_in_one_statement(session: Session, books: Books, order: TransferOrder, amount: Decimal) -> Any | None:
    model = books.models["transaction"]
    now = utc_now()
    done = session.scalar(
        select(model).from_statement(_one_statement(books)),
        {
            "order_wallet_id": order.wallet_id,
            "order_sender": order.sending_account_id,
            "order_receiver": order.receiving_account_id,
            "order_amount": amount,
            "order_label": order.label,
            "order_address_id": order.address_id,
            "order_idempotency_key": order.idempotency_key,
            "order_now": now,
        },
    )
    if done is not None:
        for account_id, balance, entries in (
            (done.sending_account_id, done.sending_balance_after, done.sending_entry),
            (done.receiving_account_id, done.receiving_balance_after, done.receiving_entry),
        ):
            bring_up_to_date(session, books, account_id, balance=balance, entries=entries)
    return done


def _one_statement(books: Books) -> Insert:
    """Build the whole transfer as one statement: half the round trips, half the time that a busy account is locked.

    Both accounts are locked in id order first; the debit is conditional, the credit happens if the debit did, and the
    row is written if both did. Under READ COMMITTED PostgreSQL looks at the newest version of a row that it waited for,
    and checks the condition on that one. Source: PostgreSQL documentation, "Transaction Isolation" and "WITH Queries".
    """
    statement: Insert | None = books.statements.get("transfer")
    if statement is None:
        statement = books.statements["transfer"] = _build_one_statement(books)
    return statement


def _build_one_statement(books: Books) -> Insert:
    account, transaction = books.account, books.transaction
    # No parameter may be called like a column: SQLAlchemy would take it for a value to set.
    wallet_id = bindparam("order_wallet_id", type_=account.c.wallet_id.type)
    sender, receiver = (
        bindparam("order_sender", type_=account.c.id.type),
        bindparam("order_receiver", type_=account.c.id.type),
    )
    amount = bindparam("order_amount", type_=account.c.balance.type)
    now = bindparam("order_now", type_=account.c.updated_at.type)
    locked = (
        select(account.c.id)
        .where(account.c.id.in_([sender, receiver]), account.c.wallet_id == wallet_id)
        .order_by(account.c.id)
        .with_for_update(key_share=True)
        .cte("locked")
    )
    both_locked = select(func.count()).select_from(locked).scalar_subquery() == 2
    debited = (
        update(account)
        .where(account.c.id == sender, account.c.balance >= amount, both_locked)
        .values(balance=account.c.balance - amount, entries=account.c.entries + 1, updated_at=now)
        .returning(account.c.balance, account.c.entries)
        .cte("debited")
    )
    after = account.c.balance + amount
    credited = (
        update(account)
        .where(account.c.id == receiver, exists(select(debited.c.entries)))
        .values(
            balance=after,
            entries=account.c.entries + 1,
            overdrawn=account.c.overdrawn & (after < 0),
            updated_at=now,
        )
        .returning(account.c.balance, account.c.entries)
        .cte("credited")
    )
    row = {
        transaction.c.wallet_id: wallet_id,
        transaction.c.kind: literal(TransactionKind.INTERNAL, transaction.c.kind.type),
        transaction.c.state: literal(TransactionState.INTERNAL, transaction.c.state.type),
        transaction.c.amount: amount,
        transaction.c.label: bindparam("order_label", type_=transaction.c.label.type),
        transaction.c.address_id: bindparam("order_address_id", type_=transaction.c.address_id.type),
        transaction.c.idempotency_key: bindparam("order_idempotency_key", type_=transaction.c.idempotency_key.type),
        transaction.c.overdraft: literal(False),
        transaction.c.created_at: now,
        transaction.c.credited_at: now,
        transaction.c.sending_account_id: sender,
        transaction.c.sending_entry: debited.c.entries,
        transaction.c.sending_balance_after: debited.c.balance,
        transaction.c.receiving_account_id: receiver,
        transaction.c.receiving_entry: credited.c.entries,
        transaction.c.receiving_balance_after: credited.c.balance,
    }
    return (
        insert(transaction)
        .from_select(list(row), select(*row.values()).select_from(debited.join(credited, literal(1) == 1)))
        .returning(transaction)
    )
