"""A transfer as one function in PostgreSQL.

Parsing and planning take the server longer than the transfer itself, and it does both anew for each statement that a
driver sends as text. What stands in a function is planned once a connection, whatever pools connections in between.

Inside is one statement. Both accounts are locked in id order first; the debit is conditional, the credit happens if the
debit did, and the row is written if both did. Under READ COMMITTED PostgreSQL looks at the newest version of a row that
it waited for, and checks the condition on that one. Source: PostgreSQL documentation, "Transaction Isolation", "WITH
Queries" and "PL/pgSQL Under the Hood".
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Dialect,
    Insert,
    TextualSelect,
    bindparam,
    column,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.types import TypeEngine

from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def transfer_call(books: Books) -> TextualSelect:
    """Return the statement that calls the function; its row is all NULL where nothing was done."""
    statement: TextualSelect | None = books.statements.get("transfer")
    if statement is None:
        arguments = ", ".join(f":{name}" for name in _arguments(books))
        statement = books.statements["transfer"] = (
            text(f"SELECT * FROM {_name(books)}({arguments})")  # noqa: S608 - our own names, the values are parameters
            .bindparams(*(bindparam(name, type_=kind) for name, kind in _arguments(books).items()))
            .columns(*(column(name, kind) for name, kind in _results(books).items()))
        )
    return statement


def transfer_function(books: Books, dialect: Dialect) -> str:
    """Return the SQL that defines the function."""
    arguments = [f"{name} {kind.compile(dialect)}" for name, kind in _arguments(books).items()]
    results = [f"OUT posted_{name} {kind.compile(dialect)}" for name, kind in _results(books).items()]
    body = _statement(books).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return (
        f"CREATE OR REPLACE FUNCTION {_name(books)}({', '.join(arguments + results)}) LANGUAGE plpgsql AS "
        f"$$ BEGIN {body} INTO {', '.join(f'posted_{name}' for name in _results(books))}; END $$"
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


def _statement(books: Books) -> Insert:
    account, transaction = books.account, books.transaction
    given = {name: literal_column(name, kind) for name, kind in _arguments(books).items()}
    wallet_id, amount, now = given["order_wallet_id"], given["order_amount"], given["order_now"]
    sender, receiver, room = given["order_sender"], given["order_receiver"], given["order_room"]
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
        transaction.c.label: given["order_label"],
        transaction.c.address_id: given["order_address_id"],
        transaction.c.idempotency_key: given["order_idempotency_key"],
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
        .returning(*(transaction.c[name] for name in _results(books)))
    )
