"""Deposits that the network takes back: a whole reorganisation of them in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, insert, literal, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.deposit import add_to_addresses
from cryptoassets_core.ledger.posting import Leg, debit_what_must_be
from cryptoassets_core.ledger.rowset import amount_type, minor, one_of, rowset
from cryptoassets_core.ledger.states import TransactionKind, TransactionState


def reverse_deposits(session: Session, books: Books, transaction_ids: Sequence[int]) -> Sequence[Any]:
    """Take deposits back, once each; what was credited is taken from the account, below zero if it must be.

    :returns: the row of the reversal of each deposit that had been credited, in the order of the deposits.
    """
    if not transaction_ids:
        return []
    transaction = books.transaction
    taken = session.execute(
        update(transaction)
        .where(
            one_of(session, sorted(transaction_ids), transaction.c.id),
            transaction.c.kind == TransactionKind.DEPOSIT,
            transaction.c.state != TransactionState.REVERSED,
        )
        .values(state=TransactionState.REVERSED)
        .returning(
            transaction.c.id,
            transaction.c.wallet_id,
            transaction.c.receiving_account_id,
            transaction.c.address_id,
            transaction.c.network_transaction_id,
            transaction.c.amount,
            transaction.c.credited_at,
        )
    ).all()
    credited = sorted((row for row in taken if row.credited_at is not None), key=lambda row: int(row.id))
    if not credited:
        return []
    legs = debit_what_must_be(session, books, [(row.receiving_account_id, row.amount) for row in credited])
    add_to_addresses(session, books, [(row.address_id, EXACT.minus(row.amount)) for row in credited])
    return _write_reversals(session, books, credited, legs)


def _write_reversals(session: Session, books: Books, deposits: Sequence[Any], legs: Sequence[Leg]) -> Sequence[Any]:
    transaction, amount, now = books.transaction, amount_type(books), utc_now()
    columns = {
        "amount": amount,
        "wallet_id": BigInteger,
        "address_id": BigInteger,
        "network_transaction_id": BigInteger,
        "answers_id": BigInteger,
        "sending_account_id": BigInteger,
        "sending_entry": BigInteger,
        "sending_balance_after": amount,
    }
    rows = rowset(
        session,
        "reversals",
        columns,
        [
            (
                minor(books, row.amount),
                row.wallet_id,
                row.address_id,
                row.network_transaction_id,
                row.id,
                leg.account_id,
                leg.entry,
                minor(books, leg.balance_after),
            )
            for row, leg in zip(deposits, legs, strict=True)
        ],
    )
    constant = {
        "kind": literal(TransactionKind.REVERSAL, transaction.c.kind.type),
        "state": literal(TransactionState.REVERSAL, transaction.c.state.type),
        "created_at": literal(now, transaction.c.created_at.type),
        "credited_at": literal(now, transaction.c.credited_at.type),
    }
    written = session.execute(
        insert(transaction)
        .from_select([*columns, *constant], select(*(rows.c[name] for name in columns), *constant.values()))
        .returning(*transaction.c)
    )
    return sorted(written, key=lambda row: int(row.answers_id))
