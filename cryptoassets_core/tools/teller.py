"""Single movements, each in a database transaction of its own.

Inside a managed transaction an application reads, decides and writes, and SERIALIZABLE keeps that together at the price
of conflicts. A movement that stands alone needs none of it: its statements carry their own guards. So a teller works at
READ COMMITTED, where an account that everybody pays into is a short queue and not a cause of replays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import lone_statements
from cryptoassets_core.ledger.batch import transfer_many
from cryptoassets_core.ledger.transfer import Receipt, TransferOrder, transfer, transfer_at_once
from cryptoassets_core.ledger.withdrawal import cancel_withdrawal
from cryptoassets_core.names import check_label, check_name
from cryptoassets_core.utils.conflictresolver import ConflictResolver

ISOLATION_LEVEL = "READ COMMITTED"


class Teller:
    """Moves coins of one coin, a movement at a time. Usable from many threads."""

    def __init__(self, coin: Coin, conflict_resolver: ConflictResolver) -> None:
        self._books = coin.limited(coin.wallet_model.books())
        self._resolver = conflict_resolver
        with conflict_resolver.session_factory() as session:
            engine = session.get_bind()
        #: Where a transfer can be a single statement.
        self._engine = engine if isinstance(engine, Engine) and engine.dialect.name == "postgresql" else None

    def send_internal(self, order: TransferOrder) -> Receipt:
        """Move coins between two accounts of a wallet.

        :raises LedgerError: as :py:meth:`~cryptoassets_core.models.GenericWallet.send_internal`.
        """
        check_label(order.label)
        idempotent = order.idempotency_key is not None
        if self._engine is not None and not order.overdraft and not self._resolver.in_transaction:
            # Without a transaction around it a busy account is locked for the statement only, and not until we are
            # scheduled again to commit. Refusals and repeated keys take the long way.
            receipt = self._resolver.run_statement(
                partial(self._transfer_at_once, self._engine, order), idempotent=idempotent
            )
            if receipt is not None:
                return receipt
        return self._resolver.run(
            lambda session: self._transfer(session, order), isolation_level=ISOLATION_LEVEL, idempotent=idempotent
        )

    def _transfer_at_once(self, engine: Engine, order: TransferOrder) -> Receipt | None:
        try:
            with lone_statements(engine) as cursor:
                return transfer_at_once(cursor, self._books, order)
        except IntegrityError:
            if order.idempotency_key is None:
                raise
            return None  # the key was used before, as the long way will find

    def _transfer(self, session: Session, order: TransferOrder) -> Receipt:
        done = transfer(session, self._books, order)
        return Receipt(done.id, done.sending_balance_after, done.receiving_balance_after)

    def send_internal_many(self, wallet_id: int, orders: Sequence[TransferOrder]) -> list[int]:
        """Make many transfers, all or none; returns their transaction ids."""
        return self._resolver.run(
            lambda session: transfer_many(session, self._books, wallet_id=wallet_id, orders=orders),
            isolation_level=ISOLATION_LEVEL,
        )

    def cancel_withdrawal(self, wallet_id: int, transaction_id: int, *, reason: str = "cancelled") -> int:
        """Call back a pending withdrawal; returns the transaction id of its refund."""
        check_name(reason, "the reason of a cancellation")

        def work(session: Session) -> int:
            refund = cancel_withdrawal(
                session, self._books, wallet_id=wallet_id, transaction_id=transaction_id, reason=reason
            )
            return int(refund.id)

        return self._resolver.run(work, isolation_level=ISOLATION_LEVEL)
