"""Broadcasting: withdrawals leave once, whatever happens on the way.

The danger is the moment between telling the network and writing down that it was told. So the network transaction is
signed first, its bytes are committed to the database, and only then are they published, again and again until the
backend says that the network knows them: publishing the same bytes twice is harmless. Each step below is one database
transaction, and after a crash between any two of them the next run continues where the last one stopped. A second
transaction for the same withdrawals is built only after the first is proved dead.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from sqlalchemy import insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import PreparedTransaction, TwoStepBackend
from cryptoassets_core.backend.chainevents import transaction_updates
from cryptoassets_core.clock import Clock, utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import (
    BackendError,
    BroadcastDeadError,
    RecipientRejectedError,
)
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.fee import book_fee
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionState,
)
from cryptoassets_core.ledger.withdrawal import fail_withdrawal, mark_broadcasted
from cryptoassets_core.models import GenericNetworkTransaction, GenericWallet
from cryptoassets_core.tools.broadcastrows import (
    UnsettledBroadcast,
    is_unsettled,
    load_unsettled,
    lock_broadcast,
    move_broadcast,
    payments_of,
)
from cryptoassets_core.utils.conflictresolver import ConflictResolver

R = TypeVar("R")

logger = logging.getLogger(__name__)

#: Withdrawals that one network transaction pays at most; far below what a standard transaction can carry.
MAX_WITHDRAWALS = 100

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0

#: Each statement of these transactions carries its own guard.
ISOLATION_LEVEL = "READ COMMITTED"


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What one round of broadcasting did."""

    #: Network transactions handed to the network.
    count: int
    #: Their fees, whole coins.
    fees: Decimal


_NOTHING = BroadcastResult(0, Decimal(0))


class Broadcaster:
    """Sends the withdrawals of one wallet."""

    def __init__(
        self,
        wallet: GenericWallet,
        conflict_resolver: ConflictResolver,
        backend: TwoStepBackend,
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
        self._resolver = conflict_resolver
        self._backend = backend
        self._coin = coin
        self._clock = clock
        self._books = self._wallet_model.books()

    def get_wallet(self, session: Session) -> GenericWallet:
        """Return the wallet in a session."""
        return self._wallet_model.get_by_id(session, self._wallet_id)

    def get_broadcast(self, session: Session, broadcast_id: int) -> GenericNetworkTransaction:
        """Return a broadcast in a session."""
        broadcast: GenericNetworkTransaction = session.get_one(self._books.models["network_transaction"], broadcast_id)
        return broadcast

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
        """Return ids of broadcasts that were begun and are not settled; each run takes them up again."""
        network = self._books.network_transaction
        return self._run(
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

        :returns: how many withdrawals were bundled.
        """
        try:
            return self._run(self._collect)
        except IntegrityError:
            # The unique index on unsettled broadcasts: another broadcaster was quicker.
            return 0

    def _collect(self, session: Session) -> int:
        transaction, network = self._books.transaction, self._books.network_transaction
        queued = session.scalars(
            select(transaction.c.id)
            .where(
                transaction.c.wallet_id == self._wallet_id,
                transaction.c.state == TransactionState.PENDING,
                transaction.c.network_transaction_id.is_(None),
            )
            .order_by(transaction.c.id)
            .limit(MAX_WITHDRAWALS)
            .with_for_update(skip_locked=True)
        ).all()
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

    def send_broadcasts(self) -> BroadcastResult:
        """Take the broadcast under way one run further; what cannot go now waits and is tried again later.

        :returns: what was handed to the network.
        """
        return self._advance() or _NOTHING

    def _advance(self) -> BroadcastResult | None:
        """Take the broadcast under way one step further.

        :returns: what was handed to the network, which may be nothing; None if there is no more to do now.
        """
        broadcast = self._run(lambda session: load_unsettled(session, self._books, self._wallet_id))
        if broadcast is None or (broadcast.next_attempt_at and broadcast.next_attempt_at > self._clock()):
            return None
        if not broadcast.payments:
            self._run(lambda session: self._close_empty(session, broadcast))
            return _NOTHING
        try:
            prepared = self._resume(broadcast.prepared) if broadcast.prepared else self._sign(broadcast)
            if prepared is None:
                return _NOTHING
            self._backend.submit(prepared)
        except BroadcastDeadError as error:
            self._rebuild(broadcast, error)
        except BackendError as error:
            self._postpone(broadcast, error)
        else:
            settled = self._run(lambda session: self._settle(session, broadcast.id, prepared))
            return BroadcastResult(1, prepared.fee) if settled else _NOTHING
        return None

    def _resume(self, prepared: PreparedTransaction) -> PreparedTransaction:
        # The daemon may have restarted and forgotten whose coins these are.
        self._backend.hold(prepared)
        return prepared

    def _sign(self, broadcast: UnsettledBroadcast) -> PreparedTransaction | None:
        """Have a broadcast signed and store it; None if its withdrawals have changed, and it must be looked at anew."""
        try:
            prepared = self._backend.prepare(broadcast.recipients)
        except RecipientRejectedError as error:
            # Only here: once anything is signed it may be on the network, and nothing of it may be refunded.
            if not self._leave_out(broadcast, error):
                raise
            return None
        # If the store raises it may still have been committed, so the inputs stay reserved then.
        if self._run(lambda session: self._store(session, broadcast, prepared)):
            return prepared
        logger.info("%s broadcast %s changed while it was signed; it is signed anew", self._coin.name, broadcast.id)
        self._backend.release(prepared)
        return None

    def _store(self, session: Session, broadcast: UnsettledBroadcast, prepared: PreparedTransaction) -> bool:
        lock_broadcast(session, self._books, broadcast.id)
        # Nothing can be cancelled from here on, and what was cancelled while the backend signed must not be paid.
        if payments_of(session, self._books, broadcast.id) != broadcast.payments:
            return False
        return move_broadcast(
            session,
            self._books,
            broadcast.id,
            NetworkTransactionState.COLLECTED,
            state=NetworkTransactionState.PREPARED,
            txid=prepared.txid,
            raw=prepared.raw,
            fee=prepared.fee,
            inputs=json.dumps([[outpoint.txid, outpoint.vout] for outpoint in prepared.inputs]),
            opened_at=self._clock(),
        )

    def _settle(self, session: Session, broadcast_id: int, prepared: PreparedTransaction) -> bool:
        now = self._clock()
        settled = move_broadcast(
            session,
            self._books,
            broadcast_id,
            NetworkTransactionState.PREPARED,
            state=NetworkTransactionState.LIVE,
            confirmations=0,
            tracked=True,
            closed_at=now,
            attempts=0,
            next_attempt_at=None,
            reason=None,
        )
        if not settled:
            return False  # another process published the same bytes and was quicker to say so
        withdrawals = mark_broadcasted(session, self._books, network_transaction_id=broadcast_id)
        if prepared.fee:
            book_fee(
                session,
                self._books,
                wallet_id=self._wallet_id,
                network_transaction_id=broadcast_id,
                amount=prepared.fee,
            )
        record(session, [event for _, event in transaction_updates(session, self._coin, [broadcast_id])])
        logger.info(
            "%s withdrawals %s broadcast, txid %s, fee %s",
            self._coin.name,
            sorted(withdrawals),
            prepared.txid,
            f"{prepared.fee:f}",
        )
        return True

    # --- What can go wrong ----------------------------------------------------------------------------------

    def _rebuild(self, broadcast: UnsettledBroadcast, error: BroadcastDeadError) -> None:
        """Queue the withdrawals of a broadcast again that is proved dead."""
        logger.error("%s broadcast %s is dead and built anew: %s", self._coin.name, broadcast.id, error)
        transaction = self._books.transaction

        def work(session: Session) -> None:
            if move_broadcast(
                session,
                self._books,
                broadcast.id,
                NetworkTransactionState.PREPARED,
                state=NetworkTransactionState.DEAD,
                closed_at=self._clock(),
                reason=str(error),
            ):
                session.execute(
                    update(transaction)
                    .where(transaction.c.network_transaction_id == broadcast.id)
                    .values(network_transaction_id=None)
                )

        self._run(work)
        if broadcast.prepared is not None:
            self._backend.release(broadcast.prepared)

    def _leave_out(self, broadcast: UnsettledBroadcast, error: RecipientRejectedError) -> bool:
        """Refund the payments to a recipient that can never be paid; the others go without it.

        :returns: False if it is nobody's recipient here.
        """
        refused = {id_ for id_, (address, _) in broadcast.payments.items() if address == error.address}
        if not refused:
            return False
        logger.error("%s withdrawals %s fail and are refunded: %s", self._coin.name, sorted(refused), error)

        def work(session: Session) -> None:
            lock_broadcast(session, self._books, broadcast.id)
            # Another process may have found the same, or the withdrawal was cancelled meanwhile.
            for transaction_id in sorted(refused & payments_of(session, self._books, broadcast.id).keys()):
                fail_withdrawal(session, self._books, transaction_id=transaction_id, reason=str(error))

        self._run(work)
        return True

    def _postpone(self, broadcast: UnsettledBroadcast, error: BackendError) -> None:
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(broadcast.attempts, 20))
        pause = timedelta(seconds=random.uniform(longest / 2, longest))  # noqa: S311 - spreads load, keeps no secret
        logger.warning("%s broadcast %s waits: %s", self._coin.name, broadcast.id, error)
        network = self._books.network_transaction
        self._run(
            lambda session: session.execute(
                update(network)
                .where(network.c.id == broadcast.id, network.c.closed_at.is_(None))
                .values(
                    attempts=broadcast.attempts + 1,
                    next_attempt_at=self._clock() + pause,
                    reason=str(error),
                )
            )
        )

    def _close_empty(self, session: Session, broadcast: UnsettledBroadcast) -> None:
        move_broadcast(
            session,
            self._books,
            broadcast.id,
            NetworkTransactionState.COLLECTED,
            state=NetworkTransactionState.DEAD,
            closed_at=self._clock(),
            reason="none of its withdrawals could be sent",
        )

    def _run(self, work: Callable[[Session], R]) -> R:
        return self._resolver.run(work, isolation_level=ISOLATION_LEVEL)


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
