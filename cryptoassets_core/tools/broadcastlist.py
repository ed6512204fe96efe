"""Broadcasts for people: how each stands, and what it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, select, type_coerce
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)
from cryptoassets_core.models.types import Amount
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.broadcastdesk import final_depth
from cryptoassets_core.tools.broadcastoneshot import label_of
from cryptoassets_core.tools.broadcastrows import account_is_covered, is_conflicted


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastSummary:
    """How a broadcast stands."""

    coin: str
    id: int
    wallet: int
    state: NetworkTransactionState
    #: Nobody knows whether it was sent; a person has to say so.
    interrupted: bool
    #: It is in conflict with the chain, its withdrawals are not paid, and their coins stay reserved.
    conflicted: bool
    reason: str | None
    #: What becomes of it, for people; None if it has come to its end.
    next_step: str | None
    #: Attempts that failed since the last success.
    attempts: int
    next_attempt_at: datetime | None
    opened_at: datetime | None
    closed_at: datetime | None
    txid: str | None
    confirmations: int
    #: Under which a backend that sends in one go was asked to keep it.
    label: str
    #: How many withdrawals it carries, and what they add up to, whole coins.
    withdrawals: int
    amount: Decimal
    #: Whole coins; None as long as it is not known.
    fee: Decimal | None


@dataclass(frozen=True, slots=True)
class HeldWithdrawals:
    """Withdrawals that are not sent as long as their accounts are below zero."""

    coin: str
    held_withdrawals: int
    #: What they add up to, whole coins.
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedWithdrawal:
    """A withdrawal that a broadcast carries."""

    id: int
    account: int
    address: str
    #: Whole coins.
    amount: Decimal
    state: TransactionState


def list_broadcasts(session: Session, coin: Coin, *, recent: int) -> list[BroadcastSummary]:
    """Return what is open and the most recent ones; newest first.

    :param recent: how many of the most recent ones.
    """
    network = coin.wallet_model.books().network_transaction
    newest = (
        select(network.c.id)
        .where(network.c.transaction_type == NetworkTransactionType.BROADCAST)
        .order_by(network.c.id.desc())
        .limit(recent)
    )
    return broadcast_summaries(session, coin, sorted({*_open(session, coin), *session.scalars(newest)}))


def open_broadcasts(session: Session, coin: Coin) -> list[BroadcastSummary]:
    """Return what is not settled, and what is in conflict with the chain and keeps its withdrawals; newest first."""
    return broadcast_summaries(session, coin, sorted(_open(session, coin)))


def _open(session: Session, coin: Coin) -> set[int]:
    books = coin.wallet_model.books()
    network = books.network_transaction
    unsettled = and_(
        network.c.transaction_type == NetworkTransactionType.BROADCAST,
        network.c.closed_at.is_(None),
    )
    looks = (unsettled, is_conflicted(books))  # one for each index
    return {id_ for wanted in looks for id_ in session.scalars(select(network.c.id).where(wanted))}


def held_withdrawals(session: Session, coin: Coin) -> HeldWithdrawals:
    """Return what is held because its account is below zero."""
    books = coin.wallet_model.books()
    transaction = books.transaction
    total = func.coalesce(func.sum(transaction.c.amount), 0)
    row = session.execute(
        select(func.count(), type_coerce(total, Amount(coin.description.decimals))).where(
            transaction.c.state == TransactionState.PENDING,
            transaction.c.network_transaction_id.is_(None),
            not_(account_is_covered(books)),
        )
    ).one()
    return HeldWithdrawals(coin.name, *row)


def get_broadcast(session: Session, coin: Coin, broadcast_id: int) -> BroadcastSummary:
    """Return how one broadcast stands.

    :raises UnknownRowError: there is none of that id.
    """
    check_id(broadcast_id, "broadcast")
    found = _summaries(session, coin, coin.wallet_model.books().network_transaction.c.id == broadcast_id)
    if not found:
        raise UnknownRowError(f"{coin.name} has no broadcast {broadcast_id}; cryptoassets broadcasts list shows them")
    return found[0]


def broadcast_summaries(session: Session, coin: Coin, ids: Sequence[int]) -> list[BroadcastSummary]:
    """Return how broadcasts stand, newest first."""
    if not ids:
        return []
    return _summaries(session, coin, coin.wallet_model.books().network_transaction.c.id.in_(ids))


def carried_withdrawals(session: Session, coin: Coin, broadcast_id: int) -> list[CarriedWithdrawal]:
    """Return the withdrawals that a broadcast carries."""
    books = coin.wallet_model.books()
    transaction, address = books.transaction, books.address
    rows = session.execute(
        select(
            transaction.c.id,
            transaction.c.sending_account_id.label("account"),
            address.c.address,
            transaction.c.amount,
            transaction.c.state,
        )
        .join(address, address.c.id == transaction.c.address_id)
        .where(transaction.c.network_transaction_id == broadcast_id, transaction.c.kind == TransactionKind.WITHDRAWAL)
        .order_by(transaction.c.id)
    )
    return [CarriedWithdrawal(**row._mapping) for row in rows]


def _summaries(session: Session, coin: Coin, wanted: ColumnElement[bool]) -> list[BroadcastSummary]:
    books = coin.wallet_model.books()
    transaction, network = books.transaction, books.network_transaction
    carried = and_(
        transaction.c.network_transaction_id == network.c.id, transaction.c.kind == TransactionKind.WITHDRAWAL
    )
    total = func.coalesce(func.sum(transaction.c.amount), 0)
    rows = session.execute(
        select(
            *network.c,
            func.count(transaction.c.id).label("withdrawals"),
            type_coerce(total, Amount(coin.description.decimals)).label("amount"),
        )
        .outerjoin(transaction, carried)
        .where(network.c.transaction_type == NetworkTransactionType.BROADCAST, wanted)
        .group_by(network.c.id)
        .order_by(network.c.id.desc())
    )
    return [_summary(coin, row) for row in rows]


def _summary(coin: Coin, row: Any) -> BroadcastSummary:
    interrupted = row.state == NetworkTransactionState.OPENED and row.reason is not None
    conflicted = row.state == NetworkTransactionState.DEAD and row.withdrawals > 0
    return BroadcastSummary(
        coin=coin.name,
        id=row.id,
        wallet=row.wallet_id,
        state=row.state,
        interrupted=interrupted,
        conflicted=conflicted,
        reason=row.reason,
        next_step=_next_step(coin, row, interrupted=interrupted, conflicted=conflicted),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        txid=row.txid,
        confirmations=row.confirmations,
        label=label_of(coin.name, row.id),
        withdrawals=row.withdrawals,
        amount=row.amount,
        fee=row.fee,
    )


def _next_step(coin: Coin, row: Any, *, interrupted: bool, conflicted: bool) -> str | None:
    if interrupted:
        return "a person says what became of it: cryptoassets broadcasts resolve"
    if conflicted and row.raw is None:
        return (
            "its withdrawals are not paid and their coins stay reserved; once the conflict is"
            f" {final_depth(coin)} blocks deep a person decides: cryptoassets broadcasts resolve"
        )
    if conflicted:
        return (
            "its withdrawals are not paid and their coins stay reserved; the same bytes are published again, and once"
            f" the backend proves the conflict {final_depth(coin)} blocks deep its withdrawals are queued again"
        )
    if row.state == NetworkTransactionState.LIVE:
        return "its confirmations are followed" if row.tracked else None
    return _NEXT_STEPS.get(row.state)


_NEXT_STEPS = {
    NetworkTransactionState.COLLECTED: "it is signed, stored and published",
    NetworkTransactionState.PREPARED: "the same bytes are published until the network knows them",
    NetworkTransactionState.OPENED: "the backend's answer is waited for",
}
