"""Transactions: the journal. One row is one movement with both its legs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    and_,
    text,
)
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.states import NetworkTransactionState, TransactionKind, TransactionState
from cryptoassets_core.models.base import CoinModel, HasId
from cryptoassets_core.models.types import Amount, UTCDateTime, enum_checks, enum_column_type, not_on_postgresql

if TYPE_CHECKING:
    from cryptoassets_core.models.account import GenericAccount
    from cryptoassets_core.models.address import GenericAddress
    from cryptoassets_core.models.network_transaction import GenericNetworkTransaction
    from cryptoassets_core.models.wallet import GenericWallet


class GenericTransaction(HasId, CoinModel):
    """A movement of coins: between accounts, in from the network, or out to it.

    Each leg carries the number of the entry in its account and the balance after it, so that an account's history can
    be read, and checked, entry by entry. A withdrawal's leg is posted when it is asked for, a deposit's when it is
    credited.
    """

    __abstract__ = True
    role = "transaction"

    kind: Mapped[TransactionKind] = mapped_column(enum_column_type(TransactionKind, constraint=False))
    state: Mapped[TransactionState] = mapped_column(enum_column_type(TransactionState, constraint=False))
    #: When it became known here.
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: When the receiving account got it; None while a deposit is unconfirmed, or too small.
    credited_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Withdrawal: when it was broadcast. Deposit: when the application acknowledged it.
    processed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: What it is about, for people.
    label: Mapped[str | None] = mapped_column(String(255))
    #: Given by the caller so that repeating a call moves nothing twice; unique within the wallet.
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    #: It was allowed to take the sending account below zero.
    overdraft: Mapped[bool] = mapped_column(default=False)
    #: Number of this entry in the sending account.
    sending_entry: Mapped[int | None] = mapped_column(BigInteger)
    #: Number of this entry in the receiving account.
    receiving_entry: Mapped[int | None] = mapped_column(BigInteger)

    @declared_attr
    def amount(cls) -> Mapped[Decimal]:  # noqa: N805 - SQLAlchemy calls it on the class
        """Whole coins, always more than zero."""
        return mapped_column(Amount(cls.coin.decimals))

    @declared_attr
    def sending_balance_after(cls) -> Mapped[Decimal | None]:  # noqa: N805
        """The sending account's balance after this entry."""
        return mapped_column(Amount(cls.coin.decimals))

    @declared_attr
    def receiving_balance_after(cls) -> Mapped[Decimal | None]:  # noqa: N805
        """The receiving account's balance after this entry."""
        return mapped_column(Amount(cls.coin.decimals))

    @declared_attr
    def wallet_id(cls) -> Mapped[int]:  # noqa: N805
        """The wallet whose accounts are moved."""
        return mapped_column(BigInteger)

    @declared_attr
    def sending_account_id(cls) -> Mapped[int | None]:  # noqa: N805
        """Who pays; None when coins come from outside."""
        return mapped_column(BigInteger)

    @declared_attr
    def receiving_account_id(cls) -> Mapped[int | None]:  # noqa: N805
        """Who receives; None when coins go outside."""
        return mapped_column(BigInteger)

    @declared_attr
    def address_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The address that was paid, where there is one."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_address.id"))

    @declared_attr
    def network_transaction_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The network transaction that carries it; None for internal ones and for withdrawals that wait."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_network_transaction.id"))

    @declared_attr
    def answers_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The row that this refund, reversal or renewed deposit answers."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_transaction.id"))

    @declared_attr
    def wallet(cls) -> Mapped[GenericWallet]:  # noqa: N805
        """The wallet whose accounts are moved."""
        return relationship(cls.later("wallet"))

    @declared_attr
    def sending_account(cls) -> Mapped[GenericAccount | None]:  # noqa: N805
        """Who pays."""
        return relationship(cls.later("account"), foreign_keys=[cls.sending_account_id])  # type: ignore[list-item]

    @declared_attr
    def receiving_account(cls) -> Mapped[GenericAccount | None]:  # noqa: N805
        """Who receives."""
        return relationship(cls.later("account"), foreign_keys=[cls.receiving_account_id])  # type: ignore[list-item]

    @declared_attr
    def address(cls) -> Mapped[GenericAddress | None]:  # noqa: N805
        """The address that was paid."""
        return relationship(cls.later("address"))

    @declared_attr
    def network_transaction(cls) -> Mapped[GenericNetworkTransaction | None]:  # noqa: N805
        """The network transaction that carries it."""
        return relationship(cls.later("network_transaction"), back_populates="transactions")

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        name = cls.__tablename__
        if name is None:
            return ()
        symbol = cls.coin.symbol
        return (
            # PostgreSQL has a trigger for these; see guards.
            *(
                not_on_postgresql(ForeignKeyConstraint([column], [f"{symbol}_{role}.id"]))
                for column, role in _OWNERS.items()
            ),
            *enum_checks("kind", TransactionKind),
            *enum_checks("state", TransactionState),
            CheckConstraint("amount > 0", name="positive"),
            CheckConstraint("sending_account_id IS NOT NULL OR receiving_account_id IS NOT NULL", name="has_account"),
            CheckConstraint("sending_account_id <> receiving_account_id", name="two_accounts"),
            # The two legs as an account's history: gapless numbers, and the way to page through it.
            Index(f"uq_{name}_sending", "sending_account_id", "sending_entry", unique=True),
            Index(f"uq_{name}_receiving", "receiving_account_id", "receiving_entry", unique=True),
            _partial_index(
                f"uq_{name}_deposit",
                ["network_transaction_id", "address_id"],
                f"kind = '{TransactionKind.DEPOSIT}' AND state <> '{TransactionState.REVERSED}'",
                unique=True,
            ),
            # Only what has a value is indexed: a plain transfer, of which there are most, has none of these.
            _partial_index(
                f"uq_{name}_idempotency_key",
                ["wallet_id", "idempotency_key"],
                "idempotency_key IS NOT NULL",
                unique=True,
            ),
            *(
                _partial_index(f"ix_{name}_{column}", [column], f"{column} IS NOT NULL")
                for column in ("address_id", "network_transaction_id", "answers_id")
            ),
            _partial_index(f"ix_{name}_deposits", ["wallet_id", "id"], f"kind = '{TransactionKind.DEPOSIT}'"),
            # A withdrawal is refunded once, a deposit reversed once.
            _partial_index(f"uq_{name}_answered", ["answers_id"], _ANSWERED, unique=True),
            _partial_index(f"ix_{name}_queued", ["wallet_id", "id"], _QUEUED),
            _partial_index(f"ix_{name}_uncredited", ["receiving_account_id"], _UNCREDITED),
        )

    @classmethod
    def is_uncredited_deposit(cls) -> ColumnElement[bool]:
        """SQL condition: a deposit that waits for confirmations."""
        return and_(
            cls.kind == TransactionKind.DEPOSIT,
            cls.credited_at.is_(None),
            cls.state != TransactionState.REVERSED,
            cls.state != TransactionState.BELOW_MINIMUM,
        )

    @property
    def txid(self) -> str | None:
        """Hash of the network transaction that carries it, None as long as there is none."""
        return self.network_transaction.txid if self.network_transaction else None

    @property
    def confirmations(self) -> int | None:
        """Confirmations of the network transaction, None as long as the network does not know it."""
        if self.network_transaction is None or self.network_transaction.txid is None:
            return None
        return self.network_transaction.confirmations

    @property
    def conflicted(self) -> bool:
        """Tell whether it is a withdrawal that is in conflict with the chain: not paid, and its coins stay reserved.

        Its state stays ``broadcasted``, as it may come back. Otherwise it is ``pending`` again once that cannot be.
        """
        return (
            self.kind == TransactionKind.WITHDRAWAL
            and self.network_transaction is not None
            and self.network_transaction.state == NetworkTransactionState.DEAD
        )

    @property
    def reason(self) -> str | None:
        """Why the network transaction that carries it waits, is in conflict or not credited, for people.

        None if nothing stands in its way.
        """
        return self.network_transaction.reason if self.network_transaction else None

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the broadcast that carries it is tried again; None if it is not waiting for that."""
        return self.network_transaction.next_attempt_at if self.network_transaction else None

    def can_be_confirmed(self) -> bool:
        """Tell whether it may be considered final: internal, or deep enough in the chain."""
        return self.network_transaction is None or self.network_transaction.can_be_confirmed()


#: Whom a row is about: columns and the tables that they refer to.
_OWNERS = {"wallet_id": "wallet", "sending_account_id": "account", "receiving_account_id": "account"}

_ANSWERED = f"kind IN ('{TransactionKind.REFUND}', '{TransactionKind.REVERSAL}')"
_QUEUED = f"state = '{TransactionState.PENDING}' AND network_transaction_id IS NULL"
_UNCREDITED = (
    f"kind = '{TransactionKind.DEPOSIT}' AND credited_at IS NULL"
    f" AND state <> '{TransactionState.REVERSED}' AND state <> '{TransactionState.BELOW_MINIMUM}'"
)


def _partial_index(name: str, columns: list[str], condition: str, *, unique: bool = False) -> Index:
    where = text(condition)
    return Index(name, *columns, unique=unique, postgresql_where=where, sqlite_where=where)
