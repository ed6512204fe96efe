"""Addresses: where coins come in, and where they were sent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, or_, text
from sqlalchemy.orm import Mapped, Query, declared_attr, mapped_column, relationship

from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.models.base import CoinModel, HasId, HasTimes
from cryptoassets_core.models.types import Amount, UTCDateTime, read_total, select_total

if TYPE_CHECKING:
    from cryptoassets_core.models.account import GenericAccount
    from cryptoassets_core.models.transaction import GenericTransaction

#: Room for the longest known address formats, MWEB and unified ones included.
ADDRESS_LENGTH = 255


class GenericAddress(HasId, HasTimes, CoinModel):
    """A receiving address of an account, or, without an account, an address outside that was paid."""

    __abstract__ = True
    role = "address"

    #: In the coin's canonical form; compared byte by byte.
    address: Mapped[str] = mapped_column(String(ADDRESS_LENGTH))
    #: For people.
    label: Mapped[str | None] = mapped_column(String(255))
    #: When it left the lists; what is paid to it later is credited all the same.
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @declared_attr
    def balance(cls) -> Mapped[Decimal]:  # noqa: N805 - SQLAlchemy calls it on the class
        """Credited deposits of all time, in whole coins; spending does not lower it."""
        return mapped_column(Amount(cls.coin.decimals), default=Decimal(0))

    @declared_attr
    def account_id(cls) -> Mapped[int | None]:  # noqa: N805
        """Whose receiving address it is; None for an address outside."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_account.id"))

    @declared_attr
    def account(cls) -> Mapped[GenericAccount | None]:  # noqa: N805
        """Whose receiving address it is; None for an address outside."""
        return relationship(cls.later("account"), back_populates="addresses")

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        name = cls.__tablename__
        if name is None:
            return ()
        # One owner for a receiving address, and one row for a payee. One string may be both: a user may
        # withdraw to an address that was not ours then and is now, or have the network carry an own payment.
        owned, outside = text("account_id IS NOT NULL"), text("account_id IS NULL")
        return (
            Index(f"uq_{name}_receiving", "address", unique=True, postgresql_where=owned, sqlite_where=owned),
            Index(f"uq_{name}_external", "address", unique=True, postgresql_where=outside, sqlite_where=outside),
            # An account's addresses in order, and nothing of all the payees.
            Index(f"ix_{name}_account_id", "account_id", "id", postgresql_where=owned, sqlite_where=owned),
        )

    def archive(self) -> None:
        """Take it off the lists; what is paid to it later is credited all the same."""
        self.archived_at = self.archived_at or utc_now()

    def is_deposit(self) -> bool:
        """Tell whether coins paid to it are ours."""
        return self.account_id is not None

    def get_received_transactions(self, external: bool = True, internal: bool = True) -> Query[GenericTransaction]:
        """Return the query of what arrived at this address.

        :param external: deposits from the network.
        :param internal: transfers from accounts of the same wallet that were sent to this address.
        """
        transaction = self.sibling("transaction")
        wanted = [TransactionKind.DEPOSIT] * external + [TransactionKind.INTERNAL] * internal
        query: Query[GenericTransaction] = self.session().query(transaction)
        return query.filter(transaction.address_id == self.id, transaction.kind.in_(wanted))

    def get_balance_by_confirmations(self, confirmations: int = 0, include_internal: bool = True) -> Decimal:
        """Return the whole coins of all time that arrived with at least so many confirmations.

        Deposits that are too small to be credited do not count.
        """
        transaction, network = self.sibling("transaction"), self.sibling("network_transaction")
        deep_enough = network.confirmations >= max(confirmations, 0)
        query = (
            select_total(transaction.amount)
            .outerjoin(network, transaction.network_transaction_id == network.id)
            .where(
                transaction.address_id == self.id,
                transaction.state.not_in([TransactionState.REVERSED, TransactionState.BELOW_MINIMUM]),
                or_(
                    (transaction.kind == TransactionKind.DEPOSIT) & deep_enough,
                    (transaction.kind == TransactionKind.INTERNAL) & include_internal,
                ),
            )
        )
        return read_total(self.session(), query, self.coin.decimals)
