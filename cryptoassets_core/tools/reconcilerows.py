"""What the books say that the backend's wallet must hold, and by which network transactions it came and went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, String, and_, collate, func, select, type_coerce
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.rowset import rowset
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)
from cryptoassets_core.models.types import read_total, select_total
from cryptoassets_core.utils.iterutil import grouper

#: Rows fetched, and addresses asked for, at a time.
CHUNK = 1000


@dataclass(slots=True)
class BookedBroadcast:
    """A broadcast with a txid as the books have it; amounts in whole coins."""

    state: NetworkTransactionState
    #: The fee it was signed with.
    fee: Decimal
    #: Why it is in conflict with the chain, for people.
    reason: str | None
    #: Withdrawals that it carries and that have not left yet, as far as the books know.
    pending: Decimal = Decimal(0)
    #: Withdrawals that have left.
    paid: Decimal = Decimal(0)
    #: The fee as charged to the fee account and not refunded.
    fee_booked: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksSums:
    """A coin's books at one moment; amounts in whole coins, over all wallets."""

    #: What all accounts have, those for fees included.
    accounts: Decimal
    #: Withdrawals that are reserved and not handed to the network, as far as the books know.
    pending: Decimal
    #: Deposits that wait for confirmations.
    incoming: Decimal
    #: Deposits that are too small to be credited.
    below_minimum: Decimal
    #: Imports and adjustments of all time: what came into the books past the network, less what went.
    imported: Decimal


def read_sums(session: Session, coin: Coin) -> BooksSums:
    """Add everything up; the session should look at one moment, as a read-only one of the app does."""
    books = coin.wallet_model.books()
    decimals = coin.description.decimals
    account, row = books.account, books.transaction
    beside_the_network = select_total(row.c.amount).where(
        row.c.kind.in_([TransactionKind.BALANCE_IMPORT, TransactionKind.ADJUSTMENT])
    )
    return BooksSums(
        accounts=read_total(session, select_total(account.c.balance), decimals),
        pending=read_total(
            session, select_total(row.c.amount).where(row.c.state == TransactionState.PENDING), decimals
        ),
        incoming=read_total(
            session, select_total(row.c.amount).where(coin.transaction_model.is_uncredited_deposit()), decimals
        ),
        below_minimum=read_total(
            session, select_total(row.c.amount).where(row.c.state == TransactionState.BELOW_MINIMUM), decimals
        ),
        imported=read_total(session, beside_the_network.where(row.c.receiving_account_id.is_not(None)), decimals)
        - read_total(session, beside_the_network.where(row.c.sending_account_id.is_not(None)), decimals),
    )


def own_addresses(session: Session, books: Books, addresses: Iterable[str]) -> set[str]:
    """Return those of the addresses that belong to an account, of whichever wallet; archived ones do too."""
    own: set[str] = set()
    for chunk in grouper(CHUNK, addresses):
        wanted = rowset(session, "paid", {"address": String}, [(address,) for address in chunk])
        own.update(
            session.scalars(
                select(books.address.c.address)
                .join(wanted, books.address.c.address == wanted.c.address)
                .where(books.address.c.account_id.is_not(None))
            )
        )
    return own


def booked_deposits(session: Session, books: Books) -> Iterator[tuple[Txid, dict[str, Decimal]]]:
    """Hand out the deposits that stand, credited or not: each txid once, in their order, with amounts by address."""
    row, network, address = books.transaction, books.network_transaction, books.address
    standing = (
        select(network.c.txid, address.c.address, row.c.amount)
        .join(network, network.c.id == row.c.network_transaction_id)
        .join(address, address.c.id == row.c.address_id)
        .where(row.c.kind == TransactionKind.DEPOSIT, row.c.state != TransactionState.REVERSED)
        .order_by(_bytewise(session, network.c.txid))
    )
    for txid, found in groupby(_stream(session, standing), key=attrgetter("txid")):
        yield Txid(txid), {each.address: each.amount for each in found}


def booked_broadcasts(session: Session, books: Books) -> Iterator[tuple[Txid, BookedBroadcast]]:
    """Hand out the broadcasts that are signed, in the order of their txids."""
    row, network = books.transaction, books.network_transaction
    carried = and_(
        row.c.network_transaction_id == network.c.id,
        row.c.kind.in_([TransactionKind.WITHDRAWAL, TransactionKind.NETWORK_FEE, TransactionKind.REFUND]),
    )
    signed = (
        select(
            network.c.txid,
            network.c.state,
            network.c.fee,
            network.c.reason,
            row.c.kind,
            row.c.state.label("row_state"),
            type_coerce(func.sum(row.c.amount), row.c.amount.type).label("amount"),
        )
        .outerjoin(row, carried)
        .where(network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.txid.is_not(None))
        .group_by(network.c.id, row.c.kind, row.c.state)
        .order_by(_bytewise(session, network.c.txid))
    )
    for txid, found in groupby(_stream(session, signed), key=attrgetter("txid")):
        yield Txid(txid), _broadcast(list(found))


def _broadcast(found: Sequence[Any]) -> BookedBroadcast:
    broadcast = BookedBroadcast(found[0].state, found[0].fee or Decimal(0), found[0].reason)
    for each in found:
        if each.kind == TransactionKind.NETWORK_FEE:
            broadcast.fee_booked += each.amount
        elif each.kind == TransactionKind.REFUND:
            broadcast.fee_booked -= each.amount
        elif each.row_state == TransactionState.PENDING:
            broadcast.pending += each.amount
        elif each.kind == TransactionKind.WITHDRAWAL:
            broadcast.paid += each.amount
    return broadcast


def _bytewise(session: Session, txid: ColumnElement[str]) -> ColumnElement[str]:
    """Order as Python does, and as a listing is sorted, whatever the database's collation is."""
    return collate(txid, "C") if session.get_bind().dialect.name == "postgresql" else txid


def _stream(session: Session, query: Any) -> Any:
    return session.execute(query, execution_options={"yield_per": CHUNK})
