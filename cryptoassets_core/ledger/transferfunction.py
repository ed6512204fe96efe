"""A transfer as one function in PostgreSQL.

Parsing and planning take the server longer than the transfer itself, and it does both anew for each statement that a
driver sends as text. What stands in a function is planned once a connection, whatever pools connections in between.

Inside, both accounts are locked in id order and looked at before anything is written; what follows cannot fail for want
of coins. Under READ COMMITTED PostgreSQL looks at the newest version of a row that it waited for. Source: PostgreSQL
documentation, "Transaction Isolation" and "PL/pgSQL Under the Hood".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Dialect
from sqlalchemy.types import TypeEngine

from cryptoassets_core.amounts import max_minor_units
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


class _Order(Protocol):
    """The part of a :py:class:`~cryptoassets_core.ledger.transfer.TransferOrder` that the function needs."""

    @property
    def wallet_id(self) -> int: ...
    @property
    def sending_account_id(self) -> int: ...
    @property
    def receiving_account_id(self) -> int: ...
    @property
    def label(self) -> str | None: ...
    @property
    def address_id(self) -> int | None: ...
    @property
    def idempotency_key(self) -> str | None: ...


def transfer_call(books: Books) -> str:
    """Return the SQL that calls the function, for a driver: its row is all NULL where nothing was done.

    The row is the transaction's id, then the entry and the balance after of sender and receiver; amounts are in minor
    units. Past SQLAlchemy's statements, because making one and reading its result would cost more than the call.
    """
    sql: str | None = books.statements.get("transfer")
    if sql is None:
        places = ", ".join("%s" for _ in _arguments(books))
        sql = books.statements["transfer"] = f"SELECT * FROM {_name(books)}({places})"  # noqa: S608 - our own name
    return sql


def transfer_values(books: Books, order: _Order, amount_minor: int, now: datetime) -> tuple[object, ...]:
    """Return the values of :py:func:`transfer_call`."""
    return (
        order.wallet_id,
        order.sending_account_id,
        order.receiving_account_id,
        amount_minor,
        max_minor_units(books.coin.decimals) - amount_minor,
        order.label,
        order.address_id,
        order.idempotency_key,
        now,
    )


def transfer_function(books: Books, dialect: Dialect) -> str:
    """Return the SQL that defines the function."""
    arguments = [f"{name} {kind.compile(dialect)}" for name, kind in _arguments(books).items()]
    results = [f"OUT posted_{name} {kind.compile(dialect)}" for name, kind in _results(books).items()]
    return (
        f"CREATE OR REPLACE FUNCTION {_name(books)}({', '.join(arguments + results)}) LANGUAGE plpgsql AS "
        f"$$ {_body(books.account.name, books.transaction.name)} $$"
    )


def _name(books: Books) -> str:
    return f"{books.coin.symbol}_transfer"


def _arguments(books: Books) -> dict[str, TypeEngine[Any]]:
    account, transaction = books.account, books.transaction
    # No argument may be called like a column: PostgreSQL could not tell them apart.
    return {
        "order_wallet_id": account.c.wallet_id.type,
        "order_sender": account.c.id.type,
        "order_receiver": account.c.id.type,
        "order_amount": account.c.balance.type,
        # What the receiver may hold at most before the transfer.
        "order_room": account.c.balance.type,
        "order_label": transaction.c.label.type,
        "order_address_id": transaction.c.address_id.type,
        "order_idempotency_key": transaction.c.idempotency_key.type,
        "order_now": transaction.c.created_at.type,
    }


def _results(books: Books) -> dict[str, TypeEngine[Any]]:
    transaction = books.transaction
    names = ("id", "sending_entry", "sending_balance_after", "receiving_entry", "receiving_balance_after")
    return {name: transaction.c[name].type for name in names}


def _body(account: str, transaction: str) -> str:
    # An account is looked up by its number alone: with the wallet as a condition, a planner without statistics would go
    # by the index of account names and read all accounts of the wallet.
    return f"""
DECLARE
    account_id bigint;
    ready boolean;
BEGIN
    FOREACH account_id IN ARRAY ARRAY[least(order_sender, order_receiver), greatest(order_sender, order_receiver)] LOOP
        SELECT wallet_id = order_wallet_id
               AND CASE WHEN id = order_sender THEN balance >= order_amount ELSE balance <= order_room END
        INTO ready FROM {account} WHERE id = account_id FOR NO KEY UPDATE;
        IF ready IS NOT TRUE THEN
            RETURN;
        END IF;
    END LOOP;
    UPDATE {account}
    SET balance = balance - order_amount, entries = entries + 1, updated_at = order_now
    WHERE id = order_sender AND balance >= order_amount
    RETURNING entries, balance INTO posted_sending_entry, posted_sending_balance_after;
    UPDATE {account}
    SET balance = balance + order_amount, entries = entries + 1, updated_at = order_now,
        overdrawn = overdrawn AND balance + order_amount < 0
    WHERE id = order_receiver
    RETURNING entries, balance INTO posted_receiving_entry, posted_receiving_balance_after;
    INSERT INTO {transaction}
        (wallet_id, kind, state, amount, label, address_id, idempotency_key, overdraft, created_at, credited_at,
         sending_account_id, sending_entry, sending_balance_after,
         receiving_account_id, receiving_entry, receiving_balance_after)
    VALUES
        (order_wallet_id, '{TransactionKind.INTERNAL}', '{TransactionState.INTERNAL}', order_amount, order_label,
         order_address_id, order_idempotency_key, false, order_now, order_now,
         order_sender, posted_sending_entry, posted_sending_balance_after,
         order_receiver, posted_receiving_entry, posted_receiving_balance_after)
    RETURNING id INTO posted_id;
END
"""  # noqa: S608 - our own names
