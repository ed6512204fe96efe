"""What the books say that the backend's wallet must hold, and by which network transactions it came and went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import String, func, select, type_coerce
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
class BooksView:
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
    #: Deposits that stand, credited or not, by txid and address.
    deposits: dict[Txid, dict[str, Decimal]] = field(repr=False)
    #: Broadcasts that are signed, by txid.
    broadcasts: dict[Txid, BookedBroadcast] = field(repr=False)


def read_books(session: Session, coin: Coin) -> BooksView:
    """Read everything; the session should look at one moment, as a read-only one of the app does."""
    books = coin.wallet_model.books()
    decimals = coin.description.decimals
    account, row = books.account, books.transaction
    beside_the_network = select_total(row.c.amount).where(
        row.c.kind.in_([TransactionKind.BALANCE_IMPORT, TransactionKind.ADJUSTMENT])
    )
    return BooksView(
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
        deposits=_deposits(session, books),
        broadcasts=_broadcasts(session, books),
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


def _deposits(session: Session, books: Books) -> dict[Txid, dict[str, Decimal]]:
    row, network, address = books.transaction, books.network_transaction, books.address
    standing = (
        select(network.c.txid, address.c.address, row.c.amount)
        .join(network, network.c.id == row.c.network_transaction_id)
        .join(address, address.c.id == row.c.address_id)
        .where(row.c.kind == TransactionKind.DEPOSIT, row.c.state != TransactionState.REVERSED)
    )
    deposits: dict[Txid, dict[str, Decimal]] = {}
    for found in _stream(session, standing):
        deposits.setdefault(found.txid, {})[found.address] = found.amount
    return deposits


def _broadcasts(session: Session, books: Books) -> dict[Txid, BookedBroadcast]:
    row, network = books.transaction, books.network_transaction
    signed = (
        select(network.c.txid, network.c.state, network.c.fee, network.c.reason)
        .where(network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.txid.is_not(None))
        .order_by(network.c.id)
    )
    broadcasts = {
        found.txid: BookedBroadcast(found.state, found.fee or Decimal(0), found.reason)
        for found in _stream(session, signed)
    }
    carried = (
        select(network.c.txid, row.c.kind, row.c.state, type_coerce(func.sum(row.c.amount), row.c.amount.type))
        .join(network, network.c.id == row.c.network_transaction_id)
        .where(
            row.c.kind.in_([TransactionKind.WITHDRAWAL, TransactionKind.NETWORK_FEE, TransactionKind.REFUND]),
            network.c.txid.is_not(None),
        )
        .group_by(network.c.txid, row.c.kind, row.c.state)
    )
    for txid, kind, state, amount in _stream(session, carried):
        broadcast = broadcasts[txid]
        if kind == TransactionKind.NETWORK_FEE:
            broadcast.fee_booked += amount
        elif kind == TransactionKind.REFUND:
            broadcast.fee_booked -= amount
        elif state == TransactionState.PENDING:
            broadcast.pending += amount
        else:
            broadcast.paid += amount
    return broadcasts


def _stream(session: Session, query: Any) -> Any:
    return session.execute(query, execution_options={"yield_per": CHUNK})
