"""Broadcasting in two steps: sign and store, then publish the stored bytes until the network knows them.

Signing reserves no coins, so that whoever is killed before the store leaves none reserved. From signing to the store
somebody else may have the same coins signed, for another wallet or in another daemon. So what spends coins of another
stored transaction is not stored, one at a time, and what is stored is held in the backend before anything is signed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, checked_prepared
from cryptoassets_core.backend.base import PreparedTransaction, TwoStepBackend
from cryptoassets_core.backend.syncstate import take_turn
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    BroadcastDeadError,
    InsufficientHotWalletFunds,
    RecipientRejectedError,
)
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.tools.broadcastdesk import NOTHING, BroadcastResult, Desk, final_depth
from cryptoassets_core.tools.broadcastpublish import publish
from cryptoassets_core.tools.broadcastrows import (
    UnsettledBroadcast,
    move_broadcast,
    payments_of,
    release_held,
    signed_broadcasts,
)
from cryptoassets_core.tools.broadcasttrial import Recipients, find_refused

logger = logging.getLogger(__name__)


class _CoinsTakenError(Exception):
    """What was signed spends coins of other broadcasts, given by their ids."""

    def __init__(self, rivals: dict[int, PreparedTransaction]) -> None:
        super().__init__(rivals)
        self.rivals = rivals


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
            prepared = broadcast.prepared or self._sign(broadcast)
            if prepared is None:
                return NOTHING
            # Each time: the daemon may have restarted and forgotten whose coins these are.
            self._hold([prepared])
            return self._publish(broadcast, prepared)
        except BackendError as error:
            self._desk.postpone(broadcast, error)
            return None

    def _publish(self, broadcast: UnsettledBroadcast, prepared: PreparedTransaction) -> BroadcastResult | None:
        try:
            txid = publish(
                self._backend, prepared, broadcast_id=broadcast.id, books=self._desk.books, run=self._desk.run
            )
        except BroadcastDeadError as error:
            self._is_dead(broadcast, prepared, error)
            # What is queued goes in the next round: should the backend be wrong, not all is taken for dead at once.
            return None
        settled = self._desk.run(
            lambda session: self._desk.settle(
                session, broadcast.id, NetworkTransactionState.PREPARED, txid=txid, fee=prepared.fee
            )
        )
        return BroadcastResult(1, prepared.fee) if settled else NOTHING

    def _hold(self, stored: Iterable[PreparedTransaction]) -> None:
        with asking("hold"):
            for prepared in stored:
                self._backend.hold(prepared)

    def _sign(self, broadcast: UnsettledBroadcast) -> PreparedTransaction | None:
        """Have a broadcast signed and store it; None if its withdrawals have changed, and it must be looked at anew."""
        unsent = self._desk.run(lambda session: signed_broadcasts(session, self._desk.books, unsent=True))
        self._hold(unsent.values())
        # Only here is anything refunded: once it is stored it may be on the network.
        try:
            prepared = self._prepare(broadcast.recipients)
        except RecipientRejectedError as error:
            if not self._desk.leave_out(broadcast, error.address, str(error)):
                raise
            return None
        except (InsufficientHotWalletFunds, BackendAuthenticationError):
            raise
        except BackendRejectedError as error:
            if not self._sort_out(broadcast):
                raise
            logger.warning("%s broadcast %s is sorted out: %s", self._desk.coin.name, broadcast.id, error)
            return None
        if prepared.fee > broadcast.amount:
            fee, amount = f"{prepared.fee:f}", f"{broadcast.amount:f}"
            reason = f"the network would take a fee of {fee}, which is more than the {amount} that are paid"
            self._desk.fail(broadcast, broadcast.payments.keys(), reason)
            return None
        try:
            stored = self._desk.run(lambda session: self._store(session, broadcast, prepared))
        except _CoinsTakenError as error:
            self._hold(error.rivals.values())
            raise BackendUnavailableError(
                f"it was signed with coins that broadcasts {sorted(error.rivals)} spend; other coins are tried next"
            ) from None
        if stored:
            return prepared
        logger.info("%s broadcast %s changed while it was signed", self._desk.coin.name, broadcast.id)
        return None

    def _prepare(self, recipients: Recipients) -> PreparedTransaction:
        with asking("prepare"):
            return checked_prepared(self._backend.prepare(recipients), self._desk.coin)

    def _sort_out(self, broadcast: UnsettledBroadcast) -> bool:
        """Take out what makes the backend refuse a batch without naming it, so that nobody waits for it in vain.

        :returns: False if the batch stays as it is.
        """
        recipients, payments = broadcast.recipients, broadcast.payments
        if len(recipients) == 1:
            # Alone it cannot be told whether the payment is refused, or all payments are.
            return self._desk.fill_up(broadcast) > 0
        refused = find_refused(self._prepare, recipients)
        if not refused:
            later = sorted(payments)[len(payments) // 2 :]
            self._desk.put_back(broadcast, later)  # it is too large
            return True
        if len(refused) == len(recipients):
            return False
        for address, reason in refused.items():
            self._desk.leave_out(broadcast, address, reason)
        return True

    def _store(self, session: Session, broadcast: UnsettledBroadcast, prepared: PreparedTransaction) -> bool:
        books = self._desk.books
        take_turn(session, books)  # or two at once would not see that they spend the same coins
        rivals = {
            id_: signed
            for id_, signed in signed_broadcasts(session, books, unsent=False).items()
            if id_ != broadcast.id and not set(signed.inputs).isdisjoint(prepared.inputs)
        }
        if rivals:
            raise _CoinsTakenError(rivals)
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

    def _is_dead(self, broadcast: UnsettledBroadcast, prepared: PreparedTransaction, error: BroadcastDeadError) -> None:
        """Set a broadcast aside that the chain keeps out, or queue its withdrawals again if that is for good."""
        desk, txid, depth, final = self._desk, prepared.txid, error.depth, final_depth(self._desk.coin)
        if depth is not None and depth >= final:
            desk.run(
                lambda session: desk.bury(
                    session, broadcast.id, NetworkTransactionState.PREPARED, txid=txid, depth=depth, reason=str(error)
                )
            )
            self._release(prepared)
            return
        reason = f"{error}; {what_comes(depth, final)}"
        if depth == 0 or txid is None:
            raise BackendError(reason)  # it may be alive in a moment, or could not be recognised in the chain
        desk.run(
            lambda session: desk.set_aside(
                session, broadcast.id, txid=txid, fee=prepared.fee, depth=depth or 1, reason=reason
            )
        )
        self._release(prepared)

    def _release(self, prepared: PreparedTransaction) -> None:
        with asking("release"):
            self._backend.release(prepared)


def what_comes(depth: int | None, final: int) -> str:
    """Say what becomes of a broadcast that is dead as the chain is now."""
    if depth is None:
        return "how deep that is the backend cannot tell, so a person decides: cryptoassets broadcasts resolve"
    return f"that is {depth} block{'' if depth == 1 else 's'} deep, and it is built anew at {final}"
