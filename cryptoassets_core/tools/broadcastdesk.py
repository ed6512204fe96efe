"""What every way of broadcasting does to the books of one wallet, each step a database transaction of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.backend.chainevents import dead_broadcasts, transaction_updates
from cryptoassets_core.clock import Clock
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, InsufficientHotWalletFunds
from cryptoassets_core.event.events import broadcast_rebuilt, withdrawal_failed, withdrawal_waiting
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.fee import book_fee, refund_fee
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.ledger.withdrawal import fail_withdrawal, mark_broadcasted, requeue_withdrawals
from cryptoassets_core.tools.broadcastrows import (
    UnsettledBroadcast,
    lock_broadcast,
    move_broadcast,
    payments_of,
    queued_withdrawals,
)
from cryptoassets_core.utils.conflictresolver import ConflictResolver

R = TypeVar("R")

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0

#: How long a broadcast may be unconfirmed before it is published again, and from one time to the next.
PAUSE = timedelta(minutes=10)

#: However few blocks a coin is followed for, so many prove that something is dead: it is paid once more then, and a
#: reorganisation of a block or two is nothing unusual.
LEAST_FINAL_DEPTH = 6

#: Each statement of these transactions carries its own guard.
ISOLATION_LEVEL = "READ COMMITTED"


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What one round of broadcasting did."""

    #: Network transactions handed to the network.
    count: int
    #: Their fees as far as they are known, whole coins.
    fees: Decimal


NOTHING = BroadcastResult(0, Decimal(0))


def final_depth(coin: Coin) -> int:
    """Return the number of blocks in conflict with the chain after which a broadcast is dead for good."""
    return max(coin.max_confirmation_count, coin.confirmation_count, LEAST_FINAL_DEPTH)


@dataclass(frozen=True, slots=True)
class Desk:
    """Writes down what becomes of a wallet's broadcasts."""

    coin: Coin
    wallet_id: int
    resolver: ConflictResolver
    clock: Clock

    @property
    def books(self) -> Books:
        """The coin's tables."""
        return self.coin.wallet_model.books()

    def run(self, work: Callable[[Session], R]) -> R:
        """Run a database transaction, again if it meets a conflict."""
        return self.resolver.run(work, isolation_level=ISOLATION_LEVEL)

    def settle(
        self,
        session: Session,
        broadcast_id: int,
        from_state: NetworkTransactionState,
        *,
        txid: Txid,
        fee: Decimal | None,
        reason: str | None = None,
    ) -> bool:
        """Note that the network has a broadcast, book its fee, and tell.

        :param reason: how that is known, if not from the backend's answer.
        :returns: False if somebody else was quicker to say so.
        """
        withdrawals = self._close(
            session,
            broadcast_id,
            from_state,
            txid=txid,
            fee=fee,
            state=NetworkTransactionState.LIVE,
            confirmations=0,
            reason=reason,
        )
        if withdrawals is None:
            return False
        logger.info(
            "%s withdrawals %s broadcast, txid %s, fee %s",
            self.coin.name,
            sorted(withdrawals),
            txid,
            "not known yet" if fee is None else f"{fee:f}",
        )
        return True

    def set_aside(
        self, session: Session, broadcast_id: int, *, txid: Txid, fee: Decimal, depth: int, reason: str
    ) -> bool:
        """Note that a stored broadcast is dead as the chain is now, so that the queue need not wait for it, and tell.

        It is as one that died after the network had it, for the network may have had it: what it carries stays with
        it until it is dead for good.

        :param depth: for how many blocks it is in conflict with the chain.
        :returns: False if somebody else was quicker to say what became of it.
        """
        closed = self._close(
            session,
            broadcast_id,
            NetworkTransactionState.PREPARED,
            txid=txid,
            fee=fee,
            state=NetworkTransactionState.DEAD,
            confirmations=-depth,
            reason=reason,
            next_attempt_at=self.clock() + PAUSE,
        )
        if closed is None:
            return False
        record(session, dead_broadcasts(session, self.coin, {broadcast_id: reason}))
        return True

    def _close(
        self,
        session: Session,
        broadcast_id: int,
        from_state: NetworkTransactionState,
        *,
        txid: Txid,
        fee: Decimal | None,
        **values: object,
    ) -> Sequence[int] | None:
        """Settle a broadcast, book its fee, and tell; return its withdrawals, None if it is not in that state."""
        settled = move_broadcast(
            session,
            self.books,
            broadcast_id,
            from_state,
            txid=txid,
            fee=fee,
            tracked=True,
            closed_at=self.clock(),
            attempts=0,
            **{"next_attempt_at": None, **values},
        )
        if not settled:
            return None
        withdrawals = mark_broadcasted(session, self.books, network_transaction_id=broadcast_id)
        if fee:
            book_fee(session, self.books, wallet_id=self.wallet_id, network_transaction_id=broadcast_id, amount=fee)
        record(session, transaction_updates(session, self.coin, [broadcast_id]))
        return withdrawals

    def carry_on_as(
        self,
        session: Session,
        broadcast_id: int,
        from_state: NetworkTransactionState,
        *,
        txid: Txid,
        reason: str | None = None,
        **values: object,
    ) -> bool:
        """Note that the network has a settled broadcast, perhaps under another txid than it was known by, and tell.

        :param values: what else becomes of it.
        :returns: False if it is not in that state any more.
        """
        carried = move_broadcast(
            session,
            self.books,
            broadcast_id,
            from_state,
            state=NetworkTransactionState.LIVE,
            txid=txid,
            confirmations=0,
            block_hash=None,
            tracked=True,
            attempts=0,
            reason=reason,
            **values,
        )
        if carried:
            record(session, transaction_updates(session, self.coin, [broadcast_id]))
        return carried

    def bury(
        self,
        session: Session,
        broadcast_id: int,
        from_state: NetworkTransactionState,
        *,
        txid: str | None,
        depth: int,
        reason: str,
    ) -> bool:
        """End a broadcast that is dead for good: queue what it carries again, refund its fee, and tell.

        :param depth: for how many blocks it is in conflict with the chain.

        :returns: False if it is not in that state any more, or carries nothing.
        """
        amounts = [amount for _, amount in payments_of(session, self.books, broadcast_id).values()]
        gone = {"confirmations": -depth, "tracked": False, "next_attempt_at": None}
        if not amounts or not self.give_up(session, broadcast_id, from_state, reason=reason, **gone):
            return False
        refund_fee(session, self.books, network_transaction_id=broadcast_id)
        told = broadcast_rebuilt(
            coin_name=self.coin.name,
            network_transaction=broadcast_id,
            txid=txid,
            withdrawals=len(amounts),
            amount=sum(amounts, Decimal(0)),
            reason=reason,
        )
        record(session, [told])
        logger.error("%s broadcast %s is dead for good and built anew: %s", self.coin.name, broadcast_id, reason)
        return True

    def give_up(
        self,
        session: Session,
        broadcast_id: int,
        from_state: NetworkTransactionState,
        *,
        reason: str,
        **values: object,
    ) -> bool:
        """End a broadcast that never gets to the network; what it carries is queued again.

        :param values: what else becomes of it.
        :returns: False if it is not in that state any more.
        """
        if not move_broadcast(
            session,
            self.books,
            broadcast_id,
            from_state,
            state=NetworkTransactionState.DEAD,
            closed_at=self.clock(),
            reason=reason,
            **values,
        ):
            return False
        requeue_withdrawals(session, self.books, network_transaction_id=broadcast_id)
        return True

    def leave_out(self, broadcast: UnsettledBroadcast, address: str, reason: str) -> bool:
        """Refund the payments to a recipient that can never be paid; the others go without it.

        :returns: False if it is nobody's recipient here.
        """
        refused = {id_ for id_, payment in broadcast.payments.items() if payment[0] == address}
        if refused:
            self.fail(broadcast, refused, reason)
        return bool(refused)

    def fail(self, broadcast: UnsettledBroadcast, refused: Collection[int], reason: str) -> None:
        """Refund withdrawals of a broadcast that is not signed."""
        logger.error("%s withdrawals %s fail and are refunded: %s", self.coin.name, sorted(refused), reason)

        def work(session: Session) -> None:
            lock_broadcast(session, self.books, broadcast.id)
            # Another process may have found the same, or the withdrawal was cancelled meanwhile.
            carried = payments_of(session, self.books, broadcast.id)
            self.refund(session, {id_: carried[id_] for id_ in refused if id_ in carried}, reason=reason)

        self.run(work)

    def fill_up(self, broadcast: UnsettledBroadcast) -> int:
        """Let a broadcast that is not signed carry what is queued too, as far as there is room; return how many."""

        def work(session: Session) -> int:
            if lock_broadcast(session, self.books, broadcast.id) != NetworkTransactionState.COLLECTED:
                return 0
            room = self.coin.max_withdrawals_per_broadcast - len(payments_of(session, self.books, broadcast.id))
            queued = queued_withdrawals(session, self.books, self.wallet_id, most=max(room, 0))
            self._bundle(session, queued, broadcast.id)
            return len(queued)

        return self.run(work)

    def put_back(self, broadcast: UnsettledBroadcast, withdrawals: Collection[int]) -> None:
        """Queue some of the withdrawals of a broadcast again, if it is not signed."""

        def work(session: Session) -> None:
            if lock_broadcast(session, self.books, broadcast.id) == NetworkTransactionState.COLLECTED:
                carried = payments_of(session, self.books, broadcast.id)
                self._bundle(session, carried.keys() & set(withdrawals), None)

        self.run(work)

    def _bundle(self, session: Session, withdrawals: Collection[int], broadcast_id: int | None) -> None:
        transaction = self.books.transaction
        session.execute(
            update(transaction).where(transaction.c.id.in_(withdrawals)).values(network_transaction_id=broadcast_id)
        )

    def refund(self, session: Session, payments: Mapping[int, tuple[str, Decimal]], *, reason: str) -> None:
        """Refund withdrawals that are not signed, given with their payees, and tell."""
        for transaction_id, (address, _) in sorted(payments.items()):
            refund = fail_withdrawal(session, self.books, transaction_id=transaction_id, reason=reason)
            failed = withdrawal_failed(
                coin_name=self.coin.name,
                transaction=transaction_id,
                refund=refund.id,
                account=refund.receiving_account_id,
                address=address,
                amount=refund.amount,
                reason=reason,
            )
            record(session, [failed])

    def postpone(self, broadcast: UnsettledBroadcast, error: BackendError) -> None:
        """Let a broadcast wait; each time longer, up to a limit."""
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(broadcast.attempts, 20))
        pause = timedelta(seconds=random.uniform(longest / 2, longest))  # noqa: S311 - spreads load, keeps no secret
        logger.warning("%s broadcast %s waits: %s", self.coin.name, broadcast.id, error)
        self.run(lambda session: self._postpone(session, broadcast, error, pause))

    def _postpone(self, session: Session, broadcast: UnsettledBroadcast, error: BackendError, pause: timedelta) -> None:
        network = self.books.network_transaction
        waiting = session.execute(
            update(network)
            # What is opened by now is another process's affair, and a reason would call it interrupted.
            .where(
                network.c.id == broadcast.id,
                network.c.closed_at.is_(None),
                network.c.state != NetworkTransactionState.OPENED,
            )
            .values(
                attempts=broadcast.attempts + 1,
                next_attempt_at=self.clock() + pause,
                reason=str(error),
            )
            .returning(network.c.told_waiting)
        ).one_or_none()
        if isinstance(error, InsufficientHotWalletFunds) and waiting is not None and not waiting.told_waiting:
            session.execute(update(network).where(network.c.id == broadcast.id).values(told_waiting=True))
            told = withdrawal_waiting(
                coin_name=self.coin.name,
                network_transaction=broadcast.id,
                withdrawals=len(broadcast.payments),
                amount=broadcast.amount,
                reason=str(error),
            )
            record(session, [told])
