"""Transfers between two accounts of one wallet; the network never sees them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session, make_transient_to_detached

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import SameAccount
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import earlier_transaction
from cryptoassets_core.ledger.posting import bring_up_to_date, check_room, credit, debit, lock_accounts, most, post
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transferfunction import transfer_call
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
    values = _transfer_in_one_call(session, books, order, amount)
    if values is None:
        return _transfer_step_by_step(session, books, order, amount)
    # All values are known: an object of its own making costs a tenth of one that is read back.
    transaction = books.models["transaction"](**values)
    make_transient_to_detached(transaction)
    session.add(transaction)
    return transaction


def transfer_at_once(session: Session, books: Books, order: TransferOrder) -> Receipt | None:
    """Move coins by a single statement, which needs no transaction around it; idempotency keys are not looked up.

    :returns: None if that cannot be, and nothing was written; :py:func:`transfer` can, or says why not.
    """
    values = _transfer_in_one_call(session, books, order, _checked_amount(books, order))
    if values is None:
        return None
    return Receipt(values["id"], values["sending_balance_after"], values["receiving_balance_after"])


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


def _transfer_in_one_call(
    session: Session, books: Books, order: TransferOrder, amount: Decimal
) -> dict[str, Any] | None:
    """Return the row by column, or None where one call cannot do it and the long way round can, or says why not.

    Nothing is written then.
    """
    if order.overdraft or session.get_bind().dialect.name != "postgresql":
        return None
    now = utc_now()
    done = session.execute(
        transfer_call(books),
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
    ).one()
    if done.id is None:
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
