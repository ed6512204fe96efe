"""A person says what became of an interrupted broadcast.

Only of those: what is signed and stored is published by the daemon until it is proved dead, and a word of a person
against it could pay twice.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.backend.answers import asking, is_fee, is_txid
from cryptoassets_core.backend.base import CoinBackend, Txid
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, LedgerError
from cryptoassets_core.ledger.states import NetworkTransactionState, NetworkTransactionType
from cryptoassets_core.names import check_name
from cryptoassets_core.tools.broadcastdesk import Desk
from cryptoassets_core.tools.broadcastlist import BroadcastSummary, get_broadcast
from cryptoassets_core.tools.broadcastoneshot import LONGEST_CALL
from cryptoassets_core.tools.broadcastrows import lock_broadcast
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

_NOT_BY_HAND = {
    NetworkTransactionState.COLLECTED: "nothing of it is signed or sent, and the daemon tries again by itself",
    NetworkTransactionState.PREPARED: "it is signed and stored, and the daemon publishes it, or builds it anew once the"
    " backend proves that it can never confirm; a payment beside it could be a second one",
    NetworkTransactionState.LIVE: "the network has it",
    NetworkTransactionState.DEAD: "it is closed, and what it still carries stays reserved",
}


class BroadcastResolver:
    """Closes interrupted broadcasts of one coin on the word of a person."""

    def __init__(self, coin: Coin, conflict_resolver: ConflictResolver, *, who: str, clock: Clock = utc_now) -> None:
        """
        :param who: the person; it is kept with the broadcast.
        """
        self._coin = coin
        self._resolver = conflict_resolver
        self._who = check_name(who, "who resolves a broadcast")
        self._clock = clock

    def look_at(self, broadcast_id: int) -> BroadcastSummary:
        """Return how a broadcast stands that may be resolved.

        :raises LedgerError: it is not interrupted.
        """
        return self._resolver.run(lambda session: self._interrupted(session, broadcast_id))

    def was_sent(self, broadcast_id: int, txid: str, *, backend: CoinBackend) -> None:
        """Close a broadcast that was sent; its fee is what the backend says, now or later.

        :raises LedgerError: it is not interrupted, or the txid cannot be its own.
        :raises BackendError: the backend cannot tell.
        """
        if not is_txid(txid):
            raise LedgerError("a txid is 64 lowercase hexadecimal digits, as block explorers write it")
        with asking("get_transactions"):
            carried = backend.get_transactions([Txid(txid)]).get(Txid(txid))
        if carried is None:
            raise LedgerError(f"the backend's wallet knows no transaction {txid}; see that it is the right txid")
        if carried.fee is not None and not is_fee(carried.fee, self._coin):
            raise BackendError(f"the backend tells an impossible fee for {txid}")

        def work(session: Session) -> None:
            broadcast = self._interrupted(session, broadcast_id)
            self._check_unused(session, txid)
            self._desk(broadcast).settle(
                session,
                broadcast.id,
                NetworkTransactionState.OPENED,
                txid=Txid(txid),
                fee=carried.fee,
                reason=self._reason("was sent"),
            )

        self._resolver.run(work)
        logger.warning("%s broadcast %s %s", self._coin.name, broadcast_id, self._reason(f"was sent as {txid}"))

    def was_never_sent(self, broadcast_id: int) -> None:
        """Release a broadcast that was not sent, and never will be: its withdrawals are queued again.

        :raises LedgerError: it is not interrupted.
        """

        def work(session: Session) -> None:
            broadcast = self._interrupted(session, broadcast_id)
            self._desk(broadcast).give_up(
                session, broadcast.id, NetworkTransactionState.OPENED, reason=self._reason("was never sent")
            )

        self._resolver.run(work)
        logger.warning("%s broadcast %s %s", self._coin.name, broadcast_id, self._reason("was never sent"))

    def _interrupted(self, session: Session, broadcast_id: int) -> BroadcastSummary:
        get_broadcast(session, self._coin, broadcast_id)
        lock_broadcast(session, self._coin.wallet_model.books(), broadcast_id)
        broadcast = get_broadcast(session, self._coin, broadcast_id)
        name = f"{self._coin.name} broadcast {broadcast_id}"
        if broadcast.state in _NOT_BY_HAND:
            raise LedgerError(f"{name} is not interrupted but {broadcast.state}: {_NOT_BY_HAND[broadcast.state]}")
        until = (broadcast.opened_at or self._clock()) + LONGEST_CALL
        if not broadcast.interrupted and until >= self._clock():
            raise LedgerError(f"{name} may be just under way; resolve it after {until:%Y-%m-%d %H:%M:%S} UTC")
        return broadcast

    def _check_unused(self, session: Session, txid: str) -> None:
        network = self._coin.wallet_model.books().network_transaction
        other = session.scalar(
            select(network.c.id).where(
                network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.txid == txid
            )
        )
        if other is not None:
            raise LedgerError(f"{txid} is the txid of {self._coin.name} broadcast {other}")

    def _desk(self, broadcast: BroadcastSummary) -> Desk:
        return Desk(self._coin, broadcast.wallet, self._resolver, self._clock)

    def _reason(self, what: str) -> str:
        return f"{what}, says {self._who} at {self._clock():%Y-%m-%d %H:%M:%S} UTC"
