"""Broadcasting in one go, where nobody can tell after a crash whether the coins left.

So the broadcast is marked as opened, and that is committed, before the backend is called. A definite refusal takes the
mark away. Whatever else happens, the machine never calls again: the broadcast is interrupted, which is told, and a
person finds out what became of it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, checked_sent
from cryptoassets_core.backend.base import OneShotBackend, SentTransaction
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    RecipientRejectedError,
)
from cryptoassets_core.event.events import broadcast_interrupted
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.tools.broadcastdesk import NOTHING, BroadcastResult, Desk
from cryptoassets_core.tools.broadcastrows import (
    UnsettledBroadcast,
    mark_interrupted,
    move_broadcast,
    payments_of,
    release_held,
)

logger = logging.getLogger(__name__)

#: After so long nobody can be in the middle of the call any more: the process that made it has ended.
LONGEST_CALL = timedelta(minutes=10)


def label_of(coin_name: str, broadcast_id: int) -> str:
    """Return the label under which a backend is asked to keep a broadcast."""
    return f"{coin_name}-broadcast-{broadcast_id}"


class OneShot:
    """Hands broadcasts to a backend that signs and publishes in one go."""

    def __init__(self, desk: Desk, backend: OneShotBackend) -> None:
        self._desk = desk
        self._backend = backend

    def hand_over(self, broadcast: UnsettledBroadcast) -> BroadcastResult | None:
        """Send a broadcast.

        :returns: what was handed to the network, which may be nothing; None if there is no more to do now.
        """
        if broadcast.prepared is not None:
            stored = "it is signed and stored, which this backend cannot publish; configure the one that signed it"
            self._desk.postpone(broadcast, BackendError(stored))
            return None
        if not self._desk.run(lambda session: self._open(session, broadcast)):
            return NOTHING
        try:
            with asking("send"):
                label = label_of(self._desk.coin.name, broadcast.id)
                sent = checked_sent(self._backend.send(broadcast.recipients, label), self._desk.coin)
        except (BackendRejectedError, BackendUnavailableError) as error:
            return self._take_back(broadcast, error)
        except BackendError as error:
            interrupt(self._desk, broadcast, f"the outcome is unknown: {error}")
            return None
        # Should the database fail now, this line is what a person needs.
        logger.info("%s broadcast %s was sent, txid %s", self._desk.coin.name, broadcast.id, sent.txid)
        return self._settle(broadcast, sent)

    def _open(self, session: Session, broadcast: UnsettledBroadcast) -> bool:
        release_held(session, self._desk.books, broadcast.id)
        # Nothing can be cancelled from here on, and what was cancelled since we looked must not be paid.
        if payments_of(session, self._desk.books, broadcast.id) != broadcast.payments:
            return False
        return move_broadcast(
            session,
            self._desk.books,
            broadcast.id,
            NetworkTransactionState.COLLECTED,
            state=NetworkTransactionState.OPENED,
            opened_at=self._desk.clock(),
            next_attempt_at=None,
            reason=None,
        )

    def _take_back(self, broadcast: UnsettledBroadcast, error: BackendError) -> BroadcastResult | None:
        """Undo the opening: nothing was sent, for certain."""
        self._desk.run(
            lambda session: move_broadcast(
                session,
                self._desk.books,
                broadcast.id,
                NetworkTransactionState.OPENED,
                state=NetworkTransactionState.COLLECTED,
                opened_at=None,
            )
        )
        if isinstance(error, RecipientRejectedError) and self._desk.leave_out(broadcast, error.address, str(error)):
            return NOTHING
        self._desk.postpone(broadcast, error)
        return None

    def _settle(self, broadcast: UnsettledBroadcast, sent: SentTransaction) -> BroadcastResult:
        settled = self._desk.run(
            lambda session: self._desk.settle(
                session, broadcast.id, NetworkTransactionState.OPENED, txid=sent.txid, fee=sent.fee
            )
        )
        if settled:
            return BroadcastResult(1, sent.fee or NOTHING.fees)
        logger.error(
            "%s broadcast %s was sent, txid %s, but was resolved otherwise meanwhile: look at it, it may be paid twice",
            self._desk.coin.name,
            broadcast.id,
            sent.txid,
        )
        return NOTHING


def interrupt_if_overdue(desk: Desk, broadcast: UnsettledBroadcast) -> None:
    """Declare an opened broadcast interrupted when whoever opened it has had more than enough time."""
    if broadcast.reason is None and broadcast.opened_at and broadcast.opened_at + LONGEST_CALL < desk.clock():
        interrupt(desk, broadcast, "the process that sent it ended before the outcome was stored")


def interrupt(desk: Desk, broadcast: UnsettledBroadcast, reason: str) -> None:
    """Leave an opened broadcast to a person, and say so, once."""

    def work(session: Session) -> bool:
        told = broadcast_interrupted(
            coin_name=desk.coin.name,
            network_transaction=broadcast.id,
            label=label_of(desk.coin.name, broadcast.id),
            withdrawals=len(broadcast.payments),
            amount=broadcast.amount,
            reason=reason,
        )
        interrupted = mark_interrupted(session, desk.books, broadcast.id, reason=reason)
        if interrupted:
            record(session, [told])
        return interrupted

    if desk.run(work):
        logger.error(
            "%s broadcast %s is interrupted and waits for a person: %s; find out at the backend whether it was sent,"
            " then use: cryptoassets broadcasts resolve",
            desk.coin.name,
            broadcast.id,
            reason,
        )
