"""A broadcast under way, as the database holds it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, not_, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, Txid
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnsettledBroadcast:
    """A broadcast that is begun and neither known to the network nor given up."""

    id: int
    state: NetworkTransactionState
    opened_at: datetime | None
    reason: str | None
    #: The application was told that the hot wallet holds too little.
    told_waiting: bool
    #: What was signed; None as long as nothing is.
    prepared: PreparedTransaction | None
    #: Payee and amount of each withdrawal, by id; amounts in whole coins.
    payments: dict[int, tuple[str, Decimal]]
    attempts: int
    next_attempt_at: datetime | None

    @property
    def amount(self) -> Decimal:
        """What is paid, in whole coins, the fee apart."""
        return sum((amount for _, amount in self.payments.values()), Decimal(0))

    @property
    def recipients(self) -> dict[str, Decimal]:
        """What each address gets, in whole coins: payments to one address are merged."""
        merged: dict[str, Decimal] = {}
        for address, amount in self.payments.values():
            merged[address] = merged.get(address, Decimal(0)) + amount
        return merged


def load_unsettled(session: Session, books: Books, wallet_id: int) -> UnsettledBroadcast | None:
    """Return the wallet's broadcast under way; there is at most one."""
    row = session.execute(select(books.network_transaction).where(_unsettled(books, wallet_id))).one_or_none()
    if row is None:
        return None
    return UnsettledBroadcast(
        id=row.id,
        state=row.state,
        opened_at=row.opened_at,
        reason=row.reason,
        told_waiting=row.told_waiting,
        prepared=stored_transaction(row),
        payments=payments_of(session, books, row.id),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )


def is_unsettled(session: Session, books: Books, wallet_id: int) -> bool:
    """Tell whether the wallet has a broadcast under way."""
    network = books.network_transaction
    return session.execute(select(network.c.id).where(_unsettled(books, wallet_id))).one_or_none() is not None


def payments_of(session: Session, books: Books, broadcast_id: int) -> dict[int, tuple[str, Decimal]]:
    """Return payee and amount, in whole coins, of each withdrawal that a broadcast carries, by id."""
    transaction, address = books.transaction, books.address
    rows = session.execute(
        select(transaction.c.id, address.c.address, transaction.c.amount)
        .join(address, address.c.id == transaction.c.address_id)
        .where(transaction.c.network_transaction_id == broadcast_id)
        .order_by(transaction.c.id)
    )
    return {row.id: (row.address, row.amount) for row in rows}


def lock_broadcast(session: Session, books: Books, broadcast_id: int) -> NetworkTransactionState:
    """Keep others from changing a broadcast, and from cancelling what it carries, until the session ends.

    :returns: its state.
    """
    network = books.network_transaction
    state: NetworkTransactionState = session.scalars(
        select(network.c.state).where(network.c.id == broadcast_id).with_for_update()
    ).one()
    return state


def move_broadcast(
    session: Session, books: Books, broadcast_id: int, from_state: NetworkTransactionState, **values: object
) -> bool:
    """Change a broadcast if it is still in a state; of several processes only one succeeds."""
    network = books.network_transaction
    moved = session.execute(
        update(network)
        .where(network.c.id == broadcast_id, network.c.state == from_state)
        .values(**values)
        .returning(network.c.id)
    )
    return moved.one_or_none() is not None


def account_is_covered(books: Books) -> ColumnElement[bool]:
    """SQL condition: the account that pays a withdrawal is not below zero, as a reversal may have left it."""
    transaction, account = books.transaction, books.account
    return exists().where(account.c.id == transaction.c.sending_account_id, account.c.balance >= 0)


def is_conflicted(books: Books) -> ColumnElement[bool]:
    """SQL condition: a broadcast that is in conflict with the chain, and keeps its withdrawals as it may come back.

    One that is dead for good carries none any more.
    """
    transaction, network = books.transaction, books.network_transaction
    return and_(
        network.c.transaction_type == NetworkTransactionType.BROADCAST,
        network.c.state == NetworkTransactionState.DEAD,
        exists().where(
            transaction.c.network_transaction_id == network.c.id,
            transaction.c.kind == TransactionKind.WITHDRAWAL,
        ),
    )


def queued_withdrawals(session: Session, books: Books, wallet_id: int, *, most: int) -> Sequence[int]:
    """Lock the oldest withdrawals that wait for a broadcast and are not held, and return their ids."""
    transaction = books.transaction
    return session.scalars(
        select(transaction.c.id)
        .where(
            transaction.c.wallet_id == wallet_id,
            transaction.c.state == TransactionState.PENDING,
            transaction.c.network_transaction_id.is_(None),
            account_is_covered(books),
        )
        .order_by(transaction.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()


def release_held(session: Session, books: Books, broadcast_id: int) -> bool:
    """Put withdrawals of accounts below zero back in the queue, where they are held, if nothing is signed yet.

    :returns: whether there were any.
    """
    transaction, network = books.transaction, books.network_transaction
    state = session.scalar(select(network.c.state).where(network.c.id == broadcast_id).with_for_update())
    if state != NetworkTransactionState.COLLECTED:
        return False  # another process was quicker: what it signed or sent must stay with it
    held = session.scalars(
        update(transaction)
        .where(transaction.c.network_transaction_id == broadcast_id, not_(account_is_covered(books)))
        .values(network_transaction_id=None)
        .returning(transaction.c.id)
    ).all()
    if held:
        logger.warning("withdrawals %s are held: their accounts are below zero", sorted(held))
    return bool(held)


def mark_interrupted(session: Session, books: Books, broadcast_id: int, *, reason: str) -> bool:
    """Give an opened broadcast the reason that leaves it to a person; False if it has one, or is not opened."""
    network = books.network_transaction
    marked = session.execute(
        update(network)
        .where(
            network.c.id == broadcast_id,
            network.c.state == NetworkTransactionState.OPENED,
            network.c.reason.is_(None),
        )
        .values(reason=reason)
        .returning(network.c.id)
    )
    return marked.one_or_none() is not None


def _unsettled(books: Books, wallet_id: int) -> ColumnElement[bool]:
    network = books.network_transaction
    return and_(
        network.c.transaction_type == NetworkTransactionType.BROADCAST,
        network.c.wallet_id == wallet_id,
        network.c.closed_at.is_(None),
    )


def signed_broadcasts(session: Session, books: Books, *, unsent: bool) -> dict[int, PreparedTransaction]:
    """Return what is signed for any wallet of the coin and may not be spent in the backend's eyes, by broadcast.

    :param unsent: leave out what was sent and is still followed. The backend knows that, unless it was exchanged for
        another one, or set back.
    """
    network = books.network_transaction
    broadcasts = network.c.transaction_type == NetworkTransactionType.BROADCAST
    wanted = [and_(broadcasts, network.c.closed_at.is_(None))]
    if not unsent:
        wanted.append(and_(broadcasts, network.c.tracked, network.c.state == NetworkTransactionState.LIVE))
    signed = {}
    for condition in wanted:  # one look for each index
        for row in session.execute(select(network).where(condition, network.c.raw.is_not(None))):
            signed[row.id] = stored_transaction(row)
    return {id_: prepared for id_, prepared in signed.items() if prepared is not None}


def stored_transaction(row: Any) -> PreparedTransaction | None:
    """Return what a row of network transactions holds signed; None if nothing is signed or stored."""
    if row.raw is None:
        return None
    inputs = tuple(Outpoint(Txid(txid), vout) for txid, vout in json.loads(row.inputs))
    txid = None if row.txid is None else Txid(row.txid)
    return PreparedTransaction(txid=txid, raw=row.raw, fee=row.fee, inputs=inputs)
