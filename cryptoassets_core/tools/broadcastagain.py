"""What the network forgot is published again: the stored bytes, never others.

A node that restarts with an empty mempool, evicts what pays too little, or loses a block forgets transactions that
nobody tells us of. The same bytes can do no harm, so what stays unconfirmed is handed over again from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, checked_submitted
from cryptoassets_core.backend.base import TwoStepBackend
from cryptoassets_core.backend.chainevents import dead_broadcasts, transaction_updates
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, BackendUnavailableError, BroadcastDeadError
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.states import NetworkTransactionState, NetworkTransactionType
from cryptoassets_core.models.network_transaction import NOT_BROADCAST
from cryptoassets_core.tools.broadcastdesk import ISOLATION_LEVEL
from cryptoassets_core.tools.broadcastrows import move_broadcast, stored_transaction
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

#: How long a broadcast may be unconfirmed before it is published again, and between one time and the next.
PAUSE = timedelta(minutes=10)

#: How many are published again in one go, oldest first: later ones may spend the change of earlier ones.
MOST = 100


def submit_again(
    coin: Coin, conflict_resolver: ConflictResolver, backend: TwoStepBackend, *, clock: Clock = utc_now
) -> int:
    """Publish again what is unconfirmed for long; trouble with one is written down and stops no other.

    :returns: how many the network knows now.
    """
    again = _Again(coin, conflict_resolver, clock)
    done = 0
    for row in again.overdue():
        prepared = stored_transaction(row)
        if prepared is None:
            continue
        try:
            with asking("submit"):
                txid = checked_submitted(backend.submit(prepared))
        except BackendUnavailableError:
            break  # the next round asks again, for all of them
        except BroadcastDeadError as error:
            again.bury(row.id, error)
        except BackendError as error:
            logger.warning("%s broadcast %s is not accepted again: %s", coin.name, row.id, error)
            again.note(row.id, attempts=row.attempts + 1, reason=str(error))
        else:
            again.note(row.id, attempts=0, reason=None, txid=txid)
            done += 1
    return done


class _Again:
    def __init__(self, coin: Coin, resolver: ConflictResolver, clock: Clock) -> None:
        self._coin = coin
        self._books = coin.wallet_model.books()
        self._resolver = resolver
        self._clock = clock

    def overdue(self) -> Sequence[Any]:
        network, now = self._books.network_transaction, self._clock()
        due = or_(
            network.c.next_attempt_at <= now,
            # The clock was set back since.
            network.c.next_attempt_at > now + PAUSE,
            and_(network.c.next_attempt_at.is_(None), network.c.closed_at <= now - PAUSE),
        )
        wanted = (
            select(network)
            .where(
                network.c.tracked,
                network.c.transaction_type == NetworkTransactionType.BROADCAST,
                network.c.state == NetworkTransactionState.LIVE,
                network.c.confirmations == 0,
                network.c.raw.is_not(None),
                due,
            )
            .order_by(network.c.id)
            .limit(MOST)
        )
        return self._resolver.run(lambda session: session.execute(wanted).all(), isolation_level=ISOLATION_LEVEL)

    def note(self, broadcast_id: int, **values: object) -> None:
        self._resolver.run(
            lambda session: move_broadcast(
                session,
                self._books,
                broadcast_id,
                NetworkTransactionState.LIVE,
                next_attempt_at=self._clock() + PAUSE,
                **values,
            ),
            isolation_level=ISOLATION_LEVEL,
        )

    def bury(self, broadcast_id: int, error: BroadcastDeadError) -> None:
        """Note that a broadcast is proved dead. Its coins stay reserved: the network had it once."""

        def work(session: Session) -> None:
            network = self._books.network_transaction
            unconfirmed = session.execute(
                update(network)
                .where(
                    network.c.id == broadcast_id,
                    network.c.state == NetworkTransactionState.LIVE,
                    network.c.confirmations == 0,
                )
                .values(state=NetworkTransactionState.DEAD, confirmations=NOT_BROADCAST, reason=str(error))
                .returning(network.c.id)
            ).one_or_none()
            if unconfirmed is not None:
                updates = [event for _, event in transaction_updates(session, self._coin, [broadcast_id])]
                record(session, [*updates, *dead_broadcasts(session, self._coin, {broadcast_id: str(error)})])

        self._resolver.run(work, isolation_level=ISOLATION_LEVEL)
