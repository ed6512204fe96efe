"""A person says what became of a broadcast, where no machine can know.

That is so for one that was sent in one go and interrupted. What is signed and stored is published by the daemon until
it is proved dead, and a word of a person against it could pay twice. So of those a person may only tell the txid under
which the chain has it, or what to do with one that can never confirm, and the backend is asked for proof.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.answers import asking, is_fee
from cryptoassets_core.backend.base import CoinBackend, TwoStepBackend, Txid, WalletTransaction
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, BroadcastDeadError, LedgerError
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.names import check_name, is_txid
from cryptoassets_core.tools.broadcastdesk import Desk, final_depth
from cryptoassets_core.tools.broadcastlist import BroadcastSummary, get_broadcast
from cryptoassets_core.tools.broadcastoneshot import LONGEST_CALL
from cryptoassets_core.tools.broadcastpublish import broadcast_known_as, publish
from cryptoassets_core.tools.broadcastrows import lock_broadcast, payments_of, stored_transaction
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

_State = NetworkTransactionState

_NOT_BY_HAND = {
    _State.COLLECTED: "nothing of it is signed or sent, and the daemon tries again by itself",
    _State.PREPARED: "it is signed and stored, and the daemon publishes it, or builds it anew once the backend proves"
    " that it can never confirm; a payment beside it could be a second one",
    _State.LIVE: "the network has it",
    _State.DEAD: "what it still carries stays reserved until it can never confirm",
}


class BroadcastResolver:
    """Closes broadcasts of one coin on the word of a person."""

    def __init__(self, coin: Coin, conflict_resolver: ConflictResolver, *, who: str, clock: Clock = utc_now) -> None:
        """
        :param who: the person; it is kept with the broadcast.
        """
        self._coin = coin
        self._resolver = conflict_resolver
        self._who = check_name(who, "who resolves a broadcast")
        self._clock = clock

    def look_at(self, broadcast_id: int, *, never_sent: bool) -> BroadcastSummary:
        """Return how a broadcast stands that may be resolved.

        :param never_sent: so that it is known to be unsent, and not in another way.
        :raises LedgerError: it may not.
        """
        find = self._interrupted if never_sent else self._unsettled
        return self._resolver.run(lambda session: find(session, broadcast_id))

    @exactly
    def was_sent(self, broadcast_id: int, txid: str, *, backend: CoinBackend) -> None:
        """Close a broadcast that was sent; its fee is what the backend says, now or later.

        One that was signed and stored is known by the txid from then on, which must be in a block and pay as much.

        :raises LedgerError: it cannot be resolved, or the txid cannot be its own.
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
            broadcast = self._unsettled(session, broadcast_id)
            self._check_unused(session, txid)
            desk, reason = self._desk(broadcast), self._reason("was sent")
            if broadcast.state != _State.OPENED:
                self._check_carried(broadcast, carried)
            if broadcast.state == _State.DEAD:
                desk.carry_on_as(session, broadcast.id, broadcast.state, txid=carried.txid, reason=reason)
            else:
                fee = carried.fee
                desk.settle(session, broadcast.id, broadcast.state, txid=carried.txid, fee=fee, reason=reason)

        self._resolver.run(work)
        logger.warning("%s broadcast %s %s", self._coin.name, broadcast_id, self._reason(f"was sent as {txid}"))

    @exactly
    def was_never_sent(self, broadcast_id: int) -> None:
        """Release a broadcast that was not sent, and never will be: its withdrawals are queued again.

        :raises LedgerError: it is not interrupted.
        """

        def work(session: Session) -> None:
            broadcast = self._interrupted(session, broadcast_id)
            self._desk(broadcast).give_up(session, broadcast.id, _State.OPENED, reason=self._reason("was never sent"))

        self._resolver.run(work)
        logger.warning("%s broadcast %s %s", self._coin.name, broadcast_id, self._reason("was never sent"))

    @exactly
    def is_dead(self, broadcast_id: int, *, backend: CoinBackend, refund: bool) -> None:
        """Pay the withdrawals of a broadcast anew, or refund them, because it can never confirm.

        :param refund: give them back instead of queueing them again.
        :raises LedgerError: it can still confirm as far as the backend knows, or is not dead at all.
        :raises BackendError: the backend cannot tell.
        """
        if self.look_at(broadcast_id, never_sent=False).state == _State.OPENED:
            raise LedgerError("what was interrupted is not proved dead; say whether it was sent or never sent")
        depth = self._conflict_depth(broadcast_id, backend)

        def work(session: Session) -> None:
            broadcast = self._unsettled(session, broadcast_id)
            desk, reason = self._desk(broadcast), self._reason("is dead")
            payments = payments_of(session, desk.books, broadcast.id)
            buried = desk.bury(session, broadcast.id, broadcast.state, txid=broadcast.txid, depth=depth, reason=reason)
            if buried and refund:
                desk.refund(session, payments, reason=f"network transaction {broadcast.txid} {reason}")

        self._resolver.run(work)
        done = "refunded" if refund else "queued again"
        logger.warning("%s broadcast %s is dead: its withdrawals are %s", self._coin.name, broadcast_id, done)

    def _conflict_depth(self, broadcast_id: int, backend: CoinBackend) -> int:
        """Return for how many blocks a broadcast is in conflict with the chain; 1 if nobody but the person can tell.

        :raises LedgerError: a reorganisation could still bring it back, or the network has it.
        """
        network = self._coin.wallet_model.books().network_transaction
        row = self._resolver.run(
            lambda session: session.execute(select(network).where(network.c.id == broadcast_id)).one()
        )
        name, final = f"{self._coin.name} broadcast {broadcast_id}", final_depth(self._coin)
        prepared = stored_transaction(row)
        depth: int | None
        if prepared is not None and isinstance(backend, TwoStepBackend):
            try:
                carried = publish(
                    backend,
                    prepared,
                    broadcast_id=broadcast_id,
                    books=self._coin.wallet_model.books(),
                    run=self._resolver.run,
                )
            except BroadcastDeadError as error:
                depth = error.depth
            else:
                raise LedgerError(f"{name} is not dead: the network has it as {carried}")
        else:
            with asking("get_transactions"):
                seen = backend.get_transactions([Txid(row.txid)] if row.txid else []).get(row.txid)
            depth = None if seen is None else -seen.confirmations
        if depth is not None and depth < final:
            raise LedgerError(
                f"{name} can still confirm: what keeps it out is {max(depth, 0)} blocks deep, and only at {final} it is"
                " taken to be final"
            )
        return depth or 1

    def _interrupted(self, session: Session, broadcast_id: int) -> BroadcastSummary:
        broadcast = self._locked(session, broadcast_id)
        name = f"{self._coin.name} broadcast {broadcast_id}"
        if broadcast.state in _NOT_BY_HAND:
            raise LedgerError(f"{name} is not interrupted but {broadcast.state}: {_NOT_BY_HAND[broadcast.state]}")
        until = (broadcast.opened_at or self._clock()) + LONGEST_CALL
        if not broadcast.interrupted and until >= self._clock():
            raise LedgerError(f"{name} may be just under way; resolve it after {until:%Y-%m-%d %H:%M:%S} UTC")
        return broadcast

    def _unsettled(self, session: Session, broadcast_id: int) -> BroadcastSummary:
        broadcast = self._locked(session, broadcast_id)
        if broadcast.state == _State.PREPARED or (broadcast.state == _State.DEAD and broadcast.withdrawals):
            return broadcast
        return self._interrupted(session, broadcast_id)

    def _locked(self, session: Session, broadcast_id: int) -> BroadcastSummary:
        get_broadcast(session, self._coin, broadcast_id)
        lock_broadcast(session, self._coin.wallet_model.books(), broadcast_id)
        return get_broadcast(session, self._coin, broadcast_id)

    def _check_carried(self, broadcast: BroadcastSummary, carried: WalletTransaction) -> None:
        if carried.confirmations < 1:
            raise LedgerError(f"{carried.txid} is in no block, so it is not known which of the two will be paid")
        if carried.sent != broadcast.amount:
            raise LedgerError(
                f"{carried.txid} pays {carried.sent:f}, and {self._coin.name} broadcast {broadcast.id} carries"
                f" {broadcast.amount:f}; see that it is the right txid"
            )

    def _check_unused(self, session: Session, txid: str) -> None:
        other = broadcast_known_as(session, self._coin.wallet_model.books(), txid)
        if other is not None:
            raise LedgerError(f"{txid} is the txid of {self._coin.name} broadcast {other.id}")

    def _desk(self, broadcast: BroadcastSummary) -> Desk:
        return Desk(self._coin, broadcast.wallet, self._resolver, self._clock)

    def _reason(self, what: str) -> str:
        return f"{what}, says {self._who} at {self._clock():%Y-%m-%d %H:%M:%S} UTC"
