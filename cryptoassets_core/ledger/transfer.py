"""Transfers between two accounts of one wallet; the network never sees them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Insert, bindparam, exists, func, insert, literal, select, update
from sqlalchemy.orm import Session, make_transient_to_detached

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import SameAccount
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.posting import bring_up_to_date, check_room, credit, debit, lock_accounts, most, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.names import check_id

#: What every transfer's row has, and has not.
_FIXED: dict[str, Any] = {
    "kind": TransactionKind.INTERNAL,
    "state": TransactionState.INTERNAL,
    "overdraft": False,
    "processed_at": None,
    "network_transaction_id": None,
    "answers_id": None,
}


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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transfer came to; amounts in whole coins."""

    transaction_id: int
    sending_balance_after: Decimal
    receiving_balance_after: Decimal


def transfer(session: Session, books: Books, order: TransferOrder) -> Any:
    """Move coins between two accounts, at once and for good.

    :returns: the transaction; the earlier one if the idempotency key was used for the same transfer before.
    :raises SameAccount: sender and receiver are one.
    :raises NotEnoughAccountBalance: the sender has less.
    :raises WrongWalletError: an account belongs to another wallet.
    :raises IdempotencyConflictError: the key was used for another transfer.
    """
    amount = _checked_amount(books, order)
    earlier = _earlier(session, books, order, amount)
    if earlier is not None:
        return earlier
    values = _transfer_in_one_statement(session, books, order, amount)
    if values is None:
        return _transfer_step_by_step(session, books, order, amount)
    # All values are known: an object of its own making costs a tenth of one that is read back.
    transaction = books.models["transaction"](**values)
    make_transient_to_detached(transaction)
    session.add(transaction)
    return transaction


def transfer_for_receipt(session: Session, books: Books, order: TransferOrder) -> Receipt:
    """Move coins as :py:func:`transfer` does, without making an object of the transaction."""
    amount = _checked_amount(books, order)
    done = _earlier(session, books, order, amount)
    if done is None:
        values = _transfer_in_one_statement(session, books, order, amount)
        if values is not None:
            return Receipt(values["id"], values["sending_balance_after"], values["receiving_balance_after"])
        done = _transfer_step_by_step(session, books, order, amount)
    return Receipt(done.id, done.sending_balance_after, done.receiving_balance_after)


def _checked_amount(books: Books, order: TransferOrder) -> Decimal:
    amount = check_amount(order.amount, books.coin.decimals)
    check_id(order.wallet_id, f"{books.coin.symbol} wallet")
    for account_id in (order.sending_account_id, order.receiving_account_id):
        check_id(account_id, f"{books.coin.symbol} account")
    if order.sending_account_id == order.receiving_account_id:
        raise SameAccount(f"account {order.sending_account_id} cannot send to itself; name another receiving account")
    return amount


def _earlier(session: Session, books: Books, order: TransferOrder, amount: Decimal) -> Any | None:
    return earlier_transaction(
        session,
        books,
        wallet_id=order.wallet_id,
        key=order.idempotency_key,
        kind=TransactionKind.INTERNAL,
        sending_account_id=order.sending_account_id,
        receiving_account_id=order.receiving_account_id,
        address_id=order.address_id,
        amount=amount,
        label=order.label,
    )


def _transfer_step_by_step(session: Session, books: Books, order: TransferOrder, amount: Decimal) -> Any:
    balances = lock_accounts(
        session,
        books,
        wallet_id=order.wallet_id,
        account_ids=[order.sending_account_id, order.receiving_account_id],
    )
    receiver = order.receiving_account_id
    check_room(books, account_id=receiver, balance=balances[receiver], amount=amount)
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


def _transfer_in_one_statement(
    session: Session, books: Books, order: TransferOrder, amount: Decimal
) -> dict[str, Any] | None:
    """Return the row by column, or None where one statement cannot do it and the long way round can, or says why not.

    Nothing is written then.
    """
    if order.overdraft or session.get_bind().dialect.name != "postgresql":
        return None
    now = utc_now()
    done = session.execute(
        _one_statement(books),
        {
            "order_wallet_id": order.wallet_id,
            "order_sender": order.sending_account_id,
            "order_receiver": order.receiving_account_id,
            "order_amount": amount,
            "order_label": order.label,
            "order_address_id": order.address_id,
            "order_idempotency_key": order.idempotency_key,
            "order_now": now,
            "order_room": most(books) - amount,
        },
    ).one_or_none()
    if done is None:
        return None
    row_id, sending_entry, sending_after, receiving_entry, receiving_after = done
    bring_up_to_date(session, books, order.sending_account_id, balance=sending_after, entries=sending_entry)
    bring_up_to_date(session, books, order.receiving_account_id, balance=receiving_after, entries=receiving_entry)
    return _FIXED | {
        "id": row_id,
        "wallet_id": order.wallet_id,
        "amount": amount,
        "label": order.label,
        "address_id": order.address_id,
        "idempotency_key": order.idempotency_key,
        "created_at": now,
        "credited_at": now,
        "sending_account_id": order.sending_account_id,
        "sending_entry": sending_entry,
        "sending_balance_after": sending_after,
        "receiving_account_id": order.receiving_account_id,
        "receiving_entry": receiving_entry,
        "receiving_balance_after": receiving_after,
    }


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
    room = bindparam("order_room", type_=account.c.balance.type)
    now = bindparam("order_now", type_=account.c.updated_at.type)
    locked = (
        select(account.c.id, account.c.wallet_id, account.c.balance)
        .where(account.c.id.in_([sender, receiver]))
        .order_by(account.c.id)
        .with_for_update(key_share=True)
        .cte("locked")
    )
    # The wallet is compared here and not above, where a planner without statistics would take it for the better way
    # in, by the index of account names, and read all accounts of the wallet.
    ready = (
        select(func.count())
        .where(locked.c.wallet_id == wallet_id, (locked.c.id == sender) | (locked.c.balance <= room))
        .scalar_subquery()
    )
    both_locked = ready == 2
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
        .returning(
            transaction.c.id,
            transaction.c.sending_entry,
            transaction.c.sending_balance_after,
            transaction.c.receiving_entry,
            transaction.c.receiving_balance_after,
        )
    )
