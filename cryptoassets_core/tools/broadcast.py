"""Broadcasting: withdrawals leave once, whatever happens on the way.

The danger is the moment between telling the network and writing down that it was told. So the network transaction is
signed first, its bytes are committed to the database, and only then are they published, again and again until the
backend says that the network knows them: publishing the same bytes twice is harmless. Each step below is one database
transaction, and after a crash between any two of them the next run continues where the last one stopped. A second
transaction for the same withdrawals is built only after the first is proved dead.

Where a backend can only do it all in one go, see :py:mod:`~cryptoassets_core.tools.broadcastoneshot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.base import OneShotBackend, TwoStepBackend
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionState,
)
from cryptoassets_core.models import GenericNetworkTransaction, GenericWallet
from cryptoassets_core.tools.broadcastdesk import LONGEST_RETRY_SECONDS, NOTHING, BroadcastResult, Desk
from cryptoassets_core.tools.broadcastoneshot import OneShot, interrupt_if_overdue
from cryptoassets_core.tools.broadcastrows import (
    UnsettledBroadcast,
    is_unsettled,
    load_unsettled,
    queued_withdrawals,
    release_held,
)
from cryptoassets_core.tools.broadcasttwostep import TwoStep
from cryptoassets_core.utils.conflictresolver import ConflictResolver

__all__ = ["BroadcastResult", "Broadcaster", "wallets_to_broadcast"]


class Broadcaster:
    """Sends the withdrawals of one wallet."""

    def __init__(
        self,
        wallet: GenericWallet,
        conflict_resolver: ConflictResolver,
        backend: TwoStepBackend | OneShotBackend,
        *,
        coin: Coin,
        clock: Clock = utc_now,
    ) -> None:
        """
        :param wallet: only its class and id are used, so it may come from a session that is closed.
        """
        self._wallet_model = type(wallet)
        # What a closed session leaves behind: the attributes are expired and could not be loaded again.
        (self._wallet_id,) = inspect(wallet).identity or (wallet.id,)
        self._books = self._wallet_model.books()
        self._desk = Desk(coin, self._wallet_id, conflict_resolver, clock)
        # What has both ways is used in the one that leaves no doubt.
        self._way: OneShot | TwoStep
        if isinstance(backend, OneShotBackend) and not isinstance(backend, TwoStepBackend):
            self._way = OneShot(self._desk, backend)
        else:
            self._way = TwoStep(self._desk, backend)

    def get_wallet(self, session: Session) -> GenericWallet:
        """Return the wallet in a session."""
        return self._wallet_model.get_by_id(session, self._wallet_id)

    def get_broadcast(self, session: Session, broadcast_id: int) -> GenericNetworkTransaction:
        """Return a broadcast in a session."""
        broadcast: GenericNetworkTransaction = session.get_one(self._books.models["network_transaction"], broadcast_id)
        return broadcast

    @exactly
    def do_broadcasts(self) -> BroadcastResult:
        """Bundle what is queued and hand it to the network, until nothing is left that can go now."""
        count, fees = 0, Decimal(0)
        while True:
            self.collect_for_broadcast()
            step = self._advance()
            if step is None:
                return BroadcastResult(count, fees)
            count, fees = count + step.count, fees + step.fees

    def check_interrupted_broadcasts(self) -> list[int]:
        """Return ids of broadcasts that were begun and are not settled.

        Those that are signed and stored are taken up by each run; those that were sent in one go wait for a person.
        """
        network = self._books.network_transaction
        return self._desk.run(
            lambda session: list(
                session.scalars(
                    select(network.c.id).where(
                        network.c.transaction_type == NetworkTransactionType.BROADCAST,
                        network.c.wallet_id == self._wallet_id,
                        network.c.closed_at.is_(None),
                        network.c.opened_at.is_not(None),
                    )
                )
            )
        )

    # --- Collect --------------------------------------------------------------------------------------------

    def collect_for_broadcast(self) -> int:
        """Bundle queued withdrawals, in order, into one broadcast, unless one is under way.

        Those of accounts that are below zero, after a reversal, are held until it is made up for.

        :returns: how many withdrawals were bundled.
        """
        try:
            return self._desk.run(self._collect)
        except IntegrityError:
            # The unique index on unsettled broadcasts: another broadcaster was quicker.
            return 0

    def _collect(self, session: Session) -> int:
        transaction, network = self._books.transaction, self._books.network_transaction
        most = self._desk.coin.max_withdrawals_per_broadcast
        queued = queued_withdrawals(session, self._books, self._wallet_id, most=most)
        if not queued or is_unsettled(session, self._books, self._wallet_id):
            return 0
        broadcast_id = session.scalars(
            insert(network)
            .values(
                transaction_type=NetworkTransactionType.BROADCAST,
                state=NetworkTransactionState.COLLECTED,
                wallet_id=self._wallet_id,
            )
            .returning(network.c.id)
        ).one()
        session.execute(
            update(transaction).where(transaction.c.id.in_(queued)).values(network_transaction_id=broadcast_id)
        )
        return len(queued)

    # --- Send -----------------------------------------------------------------------------------------------

    @exactly
    def send_broadcasts(self) -> BroadcastResult:
        """Take the broadcast under way one run further; what cannot go now waits and is tried again later.

        :returns: what was handed to the network.
        """
        return self._advance() or NOTHING

    def _advance(self) -> BroadcastResult | None:
        """Take the broadcast under way one step further.

        :returns: what was handed to the network, which may be nothing; None if there is no more to do now.
        """
        broadcast = self._desk.run(self._load)
        if broadcast is None or self._is_paused(broadcast):
            return None
        if broadcast.state == NetworkTransactionState.OPENED:
            interrupt_if_overdue(self._desk, broadcast)
            return None
        if not broadcast.payments:
            self._desk.run(lambda session: self._close_empty(session, broadcast))
            return NOTHING
        return self._way.hand_over(broadcast)

    def _load(self, session: Session) -> UnsettledBroadcast | None:
        broadcast = load_unsettled(session, self._books, self._wallet_id)
        # What waited may carry withdrawals of accounts that fell below zero meanwhile.
        if broadcast is not None and broadcast.attempts and release_held(session, self._books, broadcast.id):
            return load_unsettled(session, self._books, self._wallet_id)
        return broadcast

    def _is_paused(self, broadcast: UnsettledBroadcast) -> bool:
        if broadcast.next_attempt_at is None:
            return False
        # No pause is longer: otherwise the clock was set back, and it would last as long again.
        return timedelta(0) < broadcast.next_attempt_at - self._desk.clock() <= timedelta(seconds=LONGEST_RETRY_SECONDS)

    def _close_empty(self, session: Session, broadcast: UnsettledBroadcast) -> None:
        self._desk.give_up(
            session,
            broadcast.id,
            NetworkTransactionState.COLLECTED,
            reason="none of its withdrawals could be sent",
        )


def wallets_to_broadcast(session: Session, coin: Coin) -> Sequence[GenericWallet]:
    """Return the wallets that have withdrawals to send or a broadcast under way."""
    model = coin.wallet_model
    books = model.books()
    transaction, network = books.transaction, books.network_transaction
    queued = select(transaction.c.wallet_id).where(
        transaction.c.state == TransactionState.PENDING, transaction.c.network_transaction_id.is_(None)
    )
    unsettled = select(network.c.wallet_id).where(
        network.c.transaction_type == NetworkTransactionType.BROADCAST, network.c.closed_at.is_(None)
    )
    return session.scalars(select(model).where(model.id.in_(queued.union(unsettled))).order_by(model.id)).all()
