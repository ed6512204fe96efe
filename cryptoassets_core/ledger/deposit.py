"""Deposits: recorded when first seen, and credited when deep enough; see reversal for what the network takes back.

All functions take many deposits and run a fixed number of statements. Work is driven by lists of ids, never by flags
alone: a query planner with stale statistics turns those into scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.posting import Leg, credit_what_fits, most, no_room
from cryptoassets_core.ledger.rowset import amount_type, minor, one_of, rowset
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.upsert import insert_missing


@dataclass(frozen=True, slots=True)
class SeenDeposit:
    """What a network transaction pays to one of our addresses, all its outputs to that address together."""

    network_transaction_id: int
    address_id: int
    account_id: int
    wallet_id: int
    #: Whole coins.
    amount: Decimal
    #: The reversed deposit that has come back, if it is one.
    answers_id: int | None = None
    #: It is too small to be credited, by the coin's ``min_deposit``.
    below_minimum: bool = False


def record_deposits(session: Session, books: Books, seen: Sequence[SeenDeposit]) -> None:
    """Write deposits, none of them credited yet; those that are known already are passed over."""
    insert_missing(
        session,
        books.transaction,
        [
            {
                "kind": TransactionKind.DEPOSIT,
                "state": TransactionState.BELOW_MINIMUM if deposit.below_minimum else TransactionState.INCOMING,
                "amount": deposit.amount,
                "wallet_id": deposit.wallet_id,
                "receiving_account_id": deposit.account_id,
                "address_id": deposit.address_id,
                "network_transaction_id": deposit.network_transaction_id,
                "answers_id": deposit.answers_id,
            }
            for deposit in seen
        ],
    )


@dataclass(frozen=True, slots=True)
class Credited:
    """What became of deposits that were to be credited."""

    #: Ids of the deposits that were credited now.
    ids: frozenset[int] = frozenset()
    #: Why others were not, by their ids: an account or address would hold more than the database can. Nothing was
    #: written for these, and they may be tried again.
    refused: Mapping[int, str] = field(default_factory=dict)


def credit_deposits(session: Session, books: Books, transaction_ids: Sequence[int]) -> Credited:
    """Credit deposits to their accounts, once: those that are credited already, or never are, are passed over."""
    if not transaction_ids:
        return Credited()
    transaction, address = books.transaction, books.address
    due = session.execute(
        select(
            transaction.c.id,
            transaction.c.receiving_account_id,
            transaction.c.address_id,
            transaction.c.amount,
            address.c.balance.label("address_balance"),
        )
        .join(address, transaction.c.address_id == address.c.id)
        .where(
            one_of(session, transaction_ids, transaction.c.id),
            transaction.c.kind == TransactionKind.DEPOSIT,
            transaction.c.state.in_([TransactionState.INCOMING, TransactionState.PROCESSED]),
            transaction.c.credited_at.is_(None),
        )
        .order_by(transaction.c.id)
        .with_for_update(of=transaction)
    ).all()
    fitting, refused = _what_addresses_can_hold(books, due)
    if not fitting:
        return Credited(refused=refused)
    legs = credit_what_fits(session, books, [(row.receiving_account_id, row.amount) for row in fitting])
    refused |= {
        row.id: no_room(books, row.receiving_account_id) for row, leg in zip(fitting, legs, strict=True) if leg is None
    }
    posted = [(row, leg) for row, leg in zip(fitting, legs, strict=True) if leg is not None]
    if posted:
        _mark_credited(session, books, [(row.id, leg) for row, leg in posted])
        add_to_addresses(session, books, [(row.address_id, row.amount) for row, _ in posted])
    return Credited(frozenset(row.id for row, _ in posted), refused)


def _what_addresses_can_hold(books: Books, due: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Tell deposits apart: those whose address can hold them, and why the others cannot be, by id."""
    limit, symbol = most(books), books.coin.symbol.upper()
    received = {row.address_id: row.address_balance for row in due}
    fitting, refused = [], {}
    for row in due:
        total = EXACT.add(received[row.address_id], row.amount)
        if total > limit:
            refused[row.id] = f"address {row.address_id} would have received more than {limit:f} {symbol}"
        else:
            received[row.address_id] = total
            fitting.append(row)
    return fitting, refused


def _mark_credited(session: Session, books: Books, legs: Sequence[tuple[int, Leg]]) -> None:
    transaction = books.transaction
    posted = rowset(
        session,
        "posted",
        {"id": BigInteger, "entry": BigInteger, "balance_after": amount_type(books)},
        [(id_, leg.entry, minor(books, leg.balance_after)) for id_, leg in legs],
    )
    session.execute(
        update(transaction)
        .where(transaction.c.id == posted.c.id)
        .values(
            credited_at=utc_now(),
            receiving_entry=posted.c.entry,
            receiving_balance_after=posted.c.balance_after,
        )
    )


def add_to_addresses(session: Session, books: Books, received: Sequence[tuple[int, Decimal]]) -> None:
    """Count what addresses have received, in whole coins; negative where it is taken back."""
    totals: dict[int, Decimal] = {}
    for address_id, amount in received:
        totals[address_id] = EXACT.add(totals.get(address_id, Decimal(0)), amount)
    address = books.address
    added = rowset(
        session,
        "added",
        {"address_id": BigInteger, "total": amount_type(books)},
        [(address_id, minor(books, total)) for address_id, total in sorted(totals.items())],
    )
    session.execute(
        update(address)
        .where(address.c.id == added.c.address_id)
        .values(balance=address.c.balance + added.c.total, updated_at=utc_now())
    )
