"""Transfers between two accounts of one wallet; the network never sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_minor_units, from_minor_units
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import SameAccount, TransferAboveLimit
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.loaded import as_loaded
from cryptoassets_core.ledger.posting import bring_up_to_date, check_room, credit, debit, lock_accounts, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transferfunction import transfer_call, transfer_values
from cryptoassets_core.ledger.twopeople import signed_label
from cryptoassets_core.names import check_id, check_name

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
    #: Who asked for it and who approved it, which a transfer above the coin's ``max_transfer`` needs.
    created_by: str | None = None
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transfer came to; amounts in whole coins."""

    transaction_id: int
    sending_balance_after: Decimal
    receiving_balance_after: Decimal


class Cursor(Protocol):
    """What is needed of a driver's cursor (PEP 249)."""

    def execute(self, operation: str, parameters: Any = ..., /) -> object: ...
    def fetchone(self) -> Any: ...


def transfer(session: Session, books: Books, order: TransferOrder) -> Any:
    """Move coins between two accounts, at once and for good.

    :returns: the transaction; the earlier one if the idempotency key was used for the same transfer before.
    :raises SameAccount: sender and receiver are one.
    :raises NotEnoughAccountBalance: the sender has less.
    :raises WrongWalletError: an account belongs to another wallet.
    :raises IdempotencyConflictError: the key was used for another transfer.
    :raises TransferAboveLimit: it takes two people to move so much.
    """
    order = signed(order)
    amount_minor = _checked_amount(books, order)
    amount = from_minor_units(amount_minor, books.coin.decimals)
    earlier = _earlier(session, books, order, amount)
    if earlier is not None:
        return earlier
    check_limit(books, order, amount_minor)
    values = _transfer_in_one_call(session, books, order, amount_minor)
    if values is None:
        return _transfer_step_by_step(session, books, order, amount)
    return as_loaded(session, books.models["transaction"], values)


def transfer_at_once(cursor: Cursor, books: Books, order: TransferOrder) -> Receipt | None:
    """Move coins by a single statement of PostgreSQL, which needs no transaction around it.

    An idempotency key is written but not looked up: one that was used before ends as the database's IntegrityError.

    :param cursor: of the driver; see :py:func:`~cryptoassets_core.database.lone_statements`.
    :returns: None if that cannot be, and nothing was written; :py:func:`transfer` can, or says why not.
    """
    order = signed(order)
    amount_minor = _checked_amount(books, order)
    if order.idempotency_key is not None:
        check_name(order.idempotency_key, "an idempotency key")
    if _is_above_limit(books, order, amount_minor):
        return None
    cursor.execute(transfer_call(books), transfer_values(books, order, amount_minor, utc_now()))
    row_id, _, sending_after, _, receiving_after = cursor.fetchone()
    if row_id is None:
        return None
    decimals = books.coin.decimals
    return Receipt(
        row_id, from_minor_units(int(sending_after), decimals), from_minor_units(int(receiving_after), decimals)
    )


def signed(order: TransferOrder) -> TransferOrder:
    """Return the order with the people that it names in its label.

    :raises LedgerError: it names one person only.
    """
    label = signed_label(order.label, order.created_by, order.approved_by, what="a transfer")
    return order if label is order.label else replace(order, label=label)


def check_limit(books: Books, order: TransferOrder, amount_minor: int) -> None:
    """See that one person does not move too much: a slip of the unit takes two people who do not notice.

    Only for what moves something: that a transfer was made stays true when the limit is lowered after it.

    :param order: from :py:func:`signed`.
    :raises TransferAboveLimit: it takes two people to move so much.
    """
    if _is_above_limit(books, order, amount_minor):
        amount, limit = (from_minor_units(n, books.coin.decimals) for n in (amount_minor, books.max_transfer or 0))
        raise TransferAboveLimit(amount=amount, limit=limit, symbol=books.coin.symbol)


def _is_above_limit(books: Books, order: TransferOrder, amount_minor: int) -> bool:
    return books.max_transfer is not None and amount_minor > books.max_transfer and order.approved_by is None


def _checked_amount(books: Books, order: TransferOrder) -> int:
    """Return the amount in minor units."""
    amount_minor = check_minor_units(order.amount, books.coin.decimals)
    check_id(order.wallet_id, f"{books.coin.symbol} wallet")
    for account_id in (order.sending_account_id, order.receiving_account_id):
        check_id(account_id, f"{books.coin.symbol} account")
    if order.sending_account_id == order.receiving_account_id:
        raise SameAccount(f"account {order.sending_account_id} cannot send to itself; name another receiving account")
    return amount_minor


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


def _transfer_in_one_call(
    session: Session, books: Books, order: TransferOrder, amount_minor: int
) -> dict[str, Any] | None:
    """Return the row by column, or None where one call cannot do it and the long way round can, or says why not.

    Nothing is written then.
    """
    if order.overdraft or session.get_bind().dialect.name != "postgresql":
        return None
    now, decimals = utc_now(), books.coin.decimals
    row_id, sending_entry, sending_after, receiving_entry, receiving_after = (
        session.connection()
        .exec_driver_sql(transfer_call(books), transfer_values(books, order, amount_minor, now))
        .one()
    )
    if row_id is None:
        return None
    sending_after = from_minor_units(int(sending_after), decimals)
    receiving_after = from_minor_units(int(receiving_after), decimals)
    bring_up_to_date(session, books, order.sending_account_id, balance=sending_after, entries=sending_entry)
    bring_up_to_date(session, books, order.receiving_account_id, balance=receiving_after, entries=receiving_entry)
    return _FIXED | {
        "id": row_id,
        "wallet_id": order.wallet_id,
        "amount": from_minor_units(amount_minor, decimals),
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
