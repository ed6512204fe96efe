"""Broadcasting in two steps: sign and store, then publish the stored bytes until the network knows them."""

from __future__ import annotations

import json
import logging

from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, checked_prepared
from cryptoassets_core.backend.base import PreparedTransaction, TwoStepBackend
from cryptoassets_core.errors import BackendError, BroadcastDeadError, RecipientRejectedError
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.tools.broadcastdesk import NOTHING, BroadcastResult, Desk
from cryptoassets_core.tools.broadcastrows import UnsettledBroadcast, move_broadcast, payments_of, release_held

logger = logging.getLogger(__name__)


class TwoStep:
    """Hands broadcasts to a backend that can sign without publishing."""

    def __init__(self, desk: Desk, backend: TwoStepBackend) -> None:
        self._desk = desk
        self._backend = backend

    def hand_over(self, broadcast: UnsettledBroadcast) -> BroadcastResult | None:
        """Take a broadcast one step further.

        :returns: what was handed to the network, which may be nothing; None if there is no more to do now.
        """
        try:
            prepared = self._resume(broadcast.prepared) if broadcast.prepared else self._sign(broadcast)
            if prepared is None:
                return NOTHING
            with asking("submit"):
                self._backend.submit(prepared)
        except BroadcastDeadError as error:
            self._rebuild(broadcast, error)
            return None
        except BackendError as error:
            self._desk.postpone(broadcast, error)
            return None
        settled = self._desk.run(
            lambda session: self._desk.settle(
                session, broadcast.id, NetworkTransactionState.PREPARED, txid=prepared.txid, fee=prepared.fee
            )
        )
        return BroadcastResult(1, prepared.fee) if settled else NOTHING

    def _resume(self, prepared: PreparedTransaction) -> PreparedTransaction:
        # The daemon may have restarted and forgotten whose coins these are.
        with asking("hold"):
            self._backend.hold(prepared)
        return prepared

    def _sign(self, broadcast: UnsettledBroadcast) -> PreparedTransaction | None:
        """Have a broadcast signed and store it; None if its withdrawals have changed, and it must be looked at anew."""
        try:
            with asking("prepare"):
                prepared = checked_prepared(self._backend.prepare(broadcast.recipients), self._desk.coin)
        except RecipientRejectedError as error:
            # Only here: once anything is signed it may be on the network, and nothing of it may be refunded.
            if not self._desk.leave_out(broadcast, error):
                raise
            return None
        # If the store raises it may still have been committed, so the inputs stay reserved then.
        if self._desk.run(lambda session: self._store(session, broadcast, prepared)):
            return prepared
        logger.info("%s broadcast %s changed while it was signed", self._desk.coin.name, broadcast.id)
        with asking("release"):
            self._backend.release(prepared)
        return None

    def _store(self, session: Session, broadcast: UnsettledBroadcast, prepared: PreparedTransaction) -> bool:
        books = self._desk.books
        release_held(session, books, broadcast.id)
        # Nothing can be cancelled from here on, and what was cancelled while the backend signed must not be paid.
        if payments_of(session, books, broadcast.id) != broadcast.payments:
            return False
        return move_broadcast(
            session,
            books,
            broadcast.id,
            NetworkTransactionState.COLLECTED,
            state=NetworkTransactionState.PREPARED,
            txid=prepared.txid,
            raw=prepared.raw,
            fee=prepared.fee,
            inputs=json.dumps([[outpoint.txid, outpoint.vout] for outpoint in prepared.inputs]),
            opened_at=self._desk.clock(),
        )

    def _rebuild(self, broadcast: UnsettledBroadcast, error: BroadcastDeadError) -> None:
        """Queue the withdrawals of a broadcast again that is proved dead."""
        logger.error("%s broadcast %s is dead and built anew: %s", self._desk.coin.name, broadcast.id, error)
        self._desk.run(
            lambda session: self._desk.give_up(
                session, broadcast.id, NetworkTransactionState.PREPARED, reason=str(error)
            )
        )
        if broadcast.prepared is not None:
            with asking("release"):
                self._backend.release(broadcast.prepared)
