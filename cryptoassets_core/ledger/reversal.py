"""Deposits that the network takes back: a whole reorganisation of them in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.deposit import add_to_addresses
from cryptoassets_core.ledger.posting import debit_what_must_be
from cryptoassets_core.ledger.rowset import one_of
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.upsert import insert_and_return


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
    written = insert_and_return(
        session,
        transaction,
        [
            {
                "amount": row.amount,
                "wallet_id": row.wallet_id,
                "address_id": row.address_id,
                "network_transaction_id": row.network_transaction_id,
                "answers_id": row.id,
                "sending_account_id": leg.account_id,
                "sending_entry": leg.entry,
                "sending_balance_after": leg.balance_after,
            }
            for row, leg in zip(credited, legs, strict=True)
        ],
        {"kind": TransactionKind.REVERSAL, "state": TransactionState.REVERSAL, "credited_at": utc_now()},
    )
    return sorted(written, key=lambda row: int(row.answers_id))
