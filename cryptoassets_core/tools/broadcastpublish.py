"""Publishing stored bytes, and telling a broadcast from another one that makes the same payments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, checked_submitted
from cryptoassets_core.backend.base import PreparedTransaction, TwoStepBackend, Txid
from cryptoassets_core.errors import BroadcastDeadError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import NetworkTransactionType


def publish(
    backend: TwoStepBackend,
    prepared: PreparedTransaction,
    *,
    broadcast_id: int,
    books: Books,
    run: Callable[[Callable[[Session], Any]], Any],
) -> Txid:
    """Hand stored bytes to the backend.

    :param run: runs a database transaction.
    :returns: the txid under which the network has them, or another transaction that makes their payments.
    :raises BroadcastDeadError: they cannot confirm; also because another broadcast has spent their coins and makes the
        same payments beside its own, so that a backend, which knows of no withdrawals, takes it for theirs.
    :raises BackendError: they are refused, or nobody knows.
    """
    with asking("submit"):
        txid = checked_submitted(backend.submit(prepared))
    if txid == prepared.txid:
        return txid
    other = run(lambda session: broadcast_known_as(session, books, txid))
    if other is not None and other.id != broadcast_id:
        raise BroadcastDeadError(
            f"its coins are spent by {txid}, which is broadcast {other.id}", depth=max(other.confirmations, 0)
        )
    return txid


def broadcast_known_as(session: Session, books: Books, txid: str) -> Any | None:
    """Return id and confirmations of the broadcast of that txid, if there is one."""
    network = books.network_transaction
    return session.execute(
        select(network.c.id, network.c.confirmations).where(
            network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.txid == txid
        )
    ).one_or_none()
