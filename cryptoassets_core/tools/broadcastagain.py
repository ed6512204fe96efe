"""What the network forgot, or killed, is published again: the stored bytes, never others.

A node that restarts with an empty mempool, evicts what pays too little, or loses a block forgets transactions that
nobody tells us of. The same bytes can do no harm, so what stays unconfirmed is handed over again from time to time.

So is what conflicts with the chain, for three things can have happened. The network carries the same payments under
another txid, as anybody can bring about where inputs are not segwit: the backend finds it, and the broadcast is known
by that txid from then on. Or the conflict was reorganised away, and it is alive again. Or it is dead: once that is so
deep that it can never confirm, its withdrawals are queued again, for another transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.answers import asking
from cryptoassets_core.backend.base import TwoStepBackend, Txid
from cryptoassets_core.backend.chainevents import dead_broadcasts, transaction_updates
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, BackendUnavailableError, BroadcastDeadError
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import NetworkTransactionState, NetworkTransactionType
from cryptoassets_core.tools.broadcastdesk import ISOLATION_LEVEL, PAUSE, Desk, final_depth
from cryptoassets_core.tools.broadcastpublish import publish
from cryptoassets_core.tools.broadcastrows import is_conflicted, stored_transaction
from cryptoassets_core.tools.broadcasttwostep import what_comes
from cryptoassets_core.utils.conflictresolver import ConflictResolver

R = TypeVar("R")

logger = logging.getLogger(__name__)

#: How many are published again in one go, oldest first: later ones may spend the change of earlier ones.
MOST = 100


@exactly
def submit_again(
    coin: Coin, conflict_resolver: ConflictResolver, backend: TwoStepBackend, *, clock: Clock = utc_now
) -> int:
    """Publish again what is unconfirmed for long, or dead; trouble with one is written down and stops no other.

    :returns: how many the network knows now.
    """
    again, books = _Again(coin, conflict_resolver, clock), coin.wallet_model.books()
    done = 0
    for row in again.run(lambda session: overdue(session, books, now=clock())):
        prepared = stored_transaction(row)
        if prepared is None:
            continue
        try:
            txid = publish(backend, prepared, broadcast_id=row.id, books=books, run=again.run)
        except BackendUnavailableError:
            break  # the next round asks again, for all of them
        except BroadcastDeadError as error:
            if again.is_dead(row, error):
                with asking("release"):
                    backend.release(prepared)
        except BackendError as error:
            logger.warning("%s broadcast %s is not accepted again: %s", coin.name, row.id, error)
            again.note(row, attempts=row.attempts + 1, reason=str(error))
        else:
            again.is_alive(row, txid)
            done += 1
    return done


def overdue(session: Session, books: Books, *, now: datetime) -> Sequence[Any]:
    """Return what is unconfirmed for long, and what is dead and carries withdrawals, as far as its pause is over."""
    network = books.network_transaction
    due = or_(
        network.c.next_attempt_at <= now,
        # The clock was set back since.
        network.c.next_attempt_at > now + PAUSE,
    )
    never = network.c.next_attempt_at.is_(None)
    forgotten = and_(
        network.c.tracked,
        network.c.transaction_type == NetworkTransactionType.BROADCAST,
        network.c.state == NetworkTransactionState.LIVE,
        network.c.confirmations == 0,
        or_(due, and_(never, network.c.closed_at <= now - PAUSE)),
    )
    dead = and_(is_conflicted(books), or_(due, never))
    found: list[Any] = []
    for wanted in (forgotten, dead):  # one look for each index
        signed = select(network).where(wanted, network.c.raw.is_not(None))
        found.extend(session.execute(signed.order_by(network.c.id).limit(MOST)))
    return found


class _Again:
    def __init__(self, coin: Coin, resolver: ConflictResolver, clock: Clock) -> None:
        self._coin = coin
        self._books = coin.wallet_model.books()
        self._resolver = resolver
        self._clock = clock

    def run(self, work: Callable[[Session], R]) -> R:
        return self._resolver.run(work, isolation_level=ISOLATION_LEVEL)

    def note(self, row: Any, **values: object) -> bool:
        """Write down how an attempt went; False if the broadcast has changed meanwhile."""
        return self.run(lambda session: self._move(session, row, **values))

    def is_alive(self, row: Any, txid: Txid) -> None:
        """Note that the network has a broadcast, perhaps under another txid than it was known by, or again."""
        if row.state == NetworkTransactionState.LIVE and row.txid == txid:
            self.note(row, attempts=0, reason=None)
            return

        desk = Desk(self._coin, row.wallet_id, self._resolver, self._clock)
        pause = self._clock() + PAUSE
        self.run(lambda session: desk.carry_on_as(session, row.id, row.state, txid=txid, next_attempt_at=pause))
        logger.warning("%s broadcast %s, txid %s, is carried as %s", self._coin.name, row.id, row.txid, txid)

    def is_dead(self, row: Any, error: BroadcastDeadError) -> bool:
        """Note that a broadcast cannot confirm as the chain is now.

        :returns: True if it never can, and its withdrawals are queued again; else its coins stay reserved.
        """
        desk = Desk(self._coin, row.wallet_id, self._resolver, self._clock)
        if error.depth is not None and error.depth >= final_depth(self._coin):
            depth = error.depth
            return self.run(
                lambda session: desk.bury(session, row.id, row.state, txid=row.txid, depth=depth, reason=str(error))
            )
        reason = f"{error}; {what_comes(error.depth, final_depth(self._coin))}"
        if row.state == NetworkTransactionState.DEAD:
            self.note(row, reason=reason)
            return False

        def work(session: Session) -> None:
            network = self._books.network_transaction
            unconfirmed = network.c.confirmations == 0
            dead = {"state": NetworkTransactionState.DEAD, "confirmations": -(error.depth or 1)}
            if self._move(session, row, unconfirmed, reason=reason, **dead):
                updates = transaction_updates(session, self._coin, [row.id])
                record(session, [*updates, *dead_broadcasts(session, self._coin, {row.id: reason})])

        self.run(work)
        return False

    def _move(self, session: Session, row: Any, *conditions: ColumnElement[bool], **values: object) -> bool:
        network = self._books.network_transaction
        moved = session.execute(
            update(network)
            .where(network.c.id == row.id, network.c.state == row.state, *conditions)
            .values(next_attempt_at=self._clock() + PAUSE, **values)
            .returning(network.c.id)
        )
        return moved.one_or_none() is not None
