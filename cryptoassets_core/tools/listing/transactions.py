"""Transactions as lists, and an account's own history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, select, union_all
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.statement import account_statement
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.broadcastrows import is_conflicted
from cryptoassets_core.tools.listing.paging import Page, Slice, among, read_page
from cryptoassets_core.tools.listing.search import find_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """A movement of coins."""

    coin: str
    id: int
    wallet: int
    kind: TransactionKind
    state: TransactionState
    #: Whole coins.
    amount: Decimal
    #: Id and name of the paying account.
    sender: int | None
    sender_name: str | None
    #: Number of the entry in the paying account, and its balance after it, whole coins.
    sender_entry: int | None
    sender_balance: Decimal | None
    #: The receiving account, likewise.
    receiver: int | None
    receiver_name: str | None
    receiver_entry: int | None
    receiver_balance: Decimal | None
    #: The address that was paid.
    address: str | None
    #: Id of the network transaction that carries it.
    network_transaction: int | None
    txid: str | None
    confirmations: int | None
    #: Withdrawal: in conflict with the chain, so not paid, and its coins stay reserved.
    conflicted: bool
    #: Why what carries it waits, is in conflict or not credited, for people, and when it is tried again.
    reason: str | None
    next_attempt_at: datetime | None
    #: Id of the transaction that this one answers.
    answers: int | None
    label: str | None
    created_at: datetime
    credited_at: datetime | None
    processed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One entry of an account."""

    entry: int
    #: Whole coins, negative when the account paid.
    change: Decimal
    #: Whole coins.
    balance_after: Decimal
    transaction: TransactionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilter:
    """Which transactions are wanted; all conditions hold together."""

    #: Id of a wallet.
    wallet: int | None = None
    kinds: tuple[TransactionKind, ...] = ()
    state: TransactionState | None = None
    #: Made at this time or later.
    since: datetime | None = None
    #: Carried by network transactions whose hash begins so.
    txid: str | None = None
    #: Paid to this address.
    address: str | None = None
    #: Not done yet: deposits that are not credited, withdrawals that are not known to be sent or in conflict.
    open_only: bool = False


def list_transactions(
    session: Session, coin: Coin, wanted: Slice, which: TransactionFilter = TransactionFilter()
) -> Page[TransactionRow]:
    """Return a page of transactions.

    :raises BadSearchError: no hash can begin so, or too many do.
    """
    transaction = coin.wallet_model.books().transaction
    key, query = transaction.c.id, select(transaction.c.id).where(*_conditions(transaction, which))
    indexed = _indexed(session, coin, query, which)
    if indexed is not None:
        page = _page_of_few(session, indexed, key, wanted)
    else:
        sparse = which != TransactionFilter()
        page = read_page(session, query, key, wanted, _only, sparse=sparse)
        page = Page(page.rows, _unless_older(session, coin, page.beyond, wanted, which.since))
    return Page(get_transactions(session, coin, page.rows), page.beyond)


def get_transactions(session: Session, coin: Coin, ids: Sequence[int]) -> list[TransactionRow]:
    """Return transactions in the order of their ids as given; those that there are none of are left out."""
    rows = session.execute(_details(coin).where(among(coin.wallet_model.books().transaction.c.id, ids)))
    found = {row.id: TransactionRow(coin=coin.name, **row._mapping) for row in rows}
    return [found[each] for each in ids if each in found]


def get_transaction(session: Session, coin: Coin, transaction_id: int) -> TransactionRow:
    """Return one transaction.

    :raises UnknownRowError: there is none of that id.
    """
    found = get_transactions(session, coin, [check_id(transaction_id, f"{coin.name} transaction")])
    if not found:
        raise UnknownRowError(f"there is no {coin.name} transaction {transaction_id}")
    return found[0]


def answers_to(session: Session, coin: Coin, transaction_id: int, *, limit: int = 20) -> list[TransactionRow]:
    """Return the refund, reversal or renewed deposits that answer a transaction."""
    transaction = coin.wallet_model.books().transaction
    query = select(transaction.c.id).where(transaction.c.answers_id == transaction_id)
    ids = session.scalars(query.order_by(transaction.c.id + 0).limit(limit)).all()
    return get_transactions(session, coin, ids)


def carried_by(session: Session, coin: Coin, network_transaction_id: int, wanted: Slice) -> Page[TransactionRow]:
    """Return what a network transaction carries."""
    transaction = coin.wallet_model.books().transaction
    query = select(transaction.c.id).where(transaction.c.network_transaction_id == network_transaction_id)
    page = _page_of_few(session, query, transaction.c.id, wanted)
    return Page(get_transactions(session, coin, page.rows), page.beyond)


def list_entries(session: Session, coin: Coin, account_id: int, wanted: Slice) -> Page[EntryRow]:
    """Return a page of an account's history, newest first; it goes along the numbers of its entries."""
    lines = account_statement(
        session,
        coin.wallet_model.books(),
        account_id=account_id,
        before=wanted.beyond,
        limit=wanted.limit,
    )
    found = {row.id: row for row in get_transactions(session, coin, [line.transaction.id for line in lines])}
    rows = [
        EntryRow(
            entry=line.entry,
            change=line.change,
            balance_after=line.balance_after,
            transaction=found[line.transaction.id],
        )
        for line in lines
    ]
    return Page(rows, rows[-1].entry if rows and rows[-1].entry > 1 else None)


def uncredited_of(session: Session, coin: Coin, account_id: int, *, limit: int) -> list[TransactionRow]:
    """Return deposits to an account that wait for confirmations."""
    transaction = coin.wallet_model.books().transaction
    query = select(transaction.c.id).where(
        transaction.c.receiving_account_id == account_id, coin.transaction_model.is_uncredited_deposit()
    )
    ids = session.scalars(query.order_by((transaction.c.id + 0).desc()).limit(limit)).all()
    return get_transactions(session, coin, ids)


def _conditions(transaction: Table, which: TransactionFilter) -> Iterator[ColumnElement[bool]]:
    if which.wallet is not None:
        yield transaction.c.wallet_id == which.wallet
    if which.kinds:
        yield transaction.c.kind.in_(which.kinds)
    if which.state is not None:
        yield transaction.c.state == which.state
    if which.since is not None:
        yield transaction.c.created_at >= which.since


def _indexed(session: Session, coin: Coin, query: Select[Any], which: TransactionFilter) -> Select[Any] | None:
    """Narrow a query by what an index knows; None if no index helps."""
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    if which.txid is not None:
        carriers = find_ids(session, [select(network.c.id)], network.c.txid, which.txid.lower(), Slice().limit)
        return query.where(among(transaction.c.network_transaction_id, carriers))
    if which.address is not None:
        rows = select(books.address.c.id).where(books.address.c.address == which.address)
        ids = [
            each
            for owned in (books.address.c.account_id.is_not(None), books.address.c.account_id.is_(None))
            for each in session.scalars(rows.where(owned))
        ]
        return query.where(among(transaction.c.address_id, ids))
    if which.open_only:
        deposits = query.where(coin.transaction_model.is_uncredited_deposit())
        sent = (*_pending(session, coin, query), _conflicted(session, coin, query))
        return select(union_all(*sent, deposits).subquery())
    if which.state is TransactionState.PENDING:
        return select(union_all(*_pending(session, coin, query)).subquery())
    return None


def _pending(session: Session, coin: Coin, query: Select[Any]) -> tuple[Select[Any], Select[Any]]:
    """Narrow a query to withdrawals that wait, and to those that an unsettled broadcast carries."""
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    unsettled = select(network.c.id).where(
        network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.closed_at.is_(None)
    )
    pending = query.where(transaction.c.state == TransactionState.PENDING)
    return (
        pending.where(transaction.c.network_transaction_id.is_(None)),
        pending.where(among(transaction.c.network_transaction_id, list(session.scalars(unsettled)))),
    )


def _conflicted(session: Session, coin: Coin, query: Select[Any]) -> Select[Any]:
    """Narrow a query to withdrawals that are in conflict with the chain."""
    books = coin.wallet_model.books()
    carriers = list(session.scalars(select(books.network_transaction.c.id).where(is_conflicted(books))))
    return query.where(
        among(books.transaction.c.network_transaction_id, carriers),
        books.transaction.c.kind == TransactionKind.WITHDRAWAL,
    )


def _page_of_few(session: Session, query: Select[Any], key: Any, wanted: Slice) -> Page[int]:
    """Read a page of what an index finds: a few rows, which are sorted after they are found."""
    found = query.subquery()
    # The sum keeps databases from going along the primary key in search of them.
    place = found.c[key.name] + 0
    query = select(found.c[key.name]).order_by(place.asc() if wanted.oldest_first else place.desc())
    if wanted.beyond is not None:
        query = query.where(place > wanted.beyond if wanted.oldest_first else place < wanted.beyond)
    rows = list(session.scalars(query.limit(wanted.limit + 1)))
    more = len(rows) > wanted.limit
    return Page(rows[: wanted.limit], rows[wanted.limit - 1] if more else None)


def _unless_older(
    session: Session, coin: Coin, beyond: int | None, wanted: Slice, since: datetime | None
) -> int | None:
    """Return where the next page begins, or None if all that follows is older than wanted."""
    if beyond is None or since is None or wanted.oldest_first:
        return beyond
    transaction = coin.wallet_model.books().transaction
    query = select(transaction.c.created_at).where(transaction.c.id < beyond).order_by(transaction.c.id.desc()).limit(1)
    made_at = session.scalar(query)
    return None if made_at is None or made_at < since else beyond


def _details(coin: Coin) -> Select[Any]:
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    sender, receiver = books.account.alias("sender"), books.account.alias("receiver")
    return (
        select(
            transaction.c.id,
            transaction.c.wallet_id.label("wallet"),
            transaction.c.kind,
            transaction.c.state,
            transaction.c.amount,
            transaction.c.sending_account_id.label("sender"),
            sender.c.name.label("sender_name"),
            transaction.c.sending_entry.label("sender_entry"),
            transaction.c.sending_balance_after.label("sender_balance"),
            transaction.c.receiving_account_id.label("receiver"),
            receiver.c.name.label("receiver_name"),
            transaction.c.receiving_entry.label("receiver_entry"),
            transaction.c.receiving_balance_after.label("receiver_balance"),
            books.address.c.address,
            transaction.c.network_transaction_id.label("network_transaction"),
            network.c.txid,
            network.c.confirmations,
            and_(
                transaction.c.kind == TransactionKind.WITHDRAWAL,
                network.c.state.is_not_distinct_from(NetworkTransactionState.DEAD),
            ).label("conflicted"),
            network.c.reason,
            network.c.next_attempt_at,
            transaction.c.answers_id.label("answers"),
            transaction.c.label,
            transaction.c.created_at,
            transaction.c.credited_at,
            transaction.c.processed_at,
        )
        .outerjoin(sender, sender.c.id == transaction.c.sending_account_id)
        .outerjoin(receiver, receiver.c.id == transaction.c.receiving_account_id)
        .outerjoin(books.address, books.address.c.id == transaction.c.address_id)
        .outerjoin(network, network.c.id == transaction.c.network_transaction_id)
    )


def _only(row: Any) -> int:
    return int(row[0])
