"""Accounts: whose money it is."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from cryptoassets_core.ledger.statement import PAGE, StatementLine, account_statement
from cryptoassets_core.ledger.states import AccountKind
from cryptoassets_core.models.base import CoinModel, HasId, HasTimes
from cryptoassets_core.models.types import Amount, enum_checks, enum_column_type, read_total, select_total

if TYPE_CHECKING:
    from cryptoassets_core.models.address import GenericAddress
    from cryptoassets_core.models.wallet import GenericWallet


class GenericAccount(HasId, HasTimes, CoinModel):
    """An owner's share of a wallet: a user, an escrow, the house."""

    __abstract__ = True
    role = "account"

    #: Name of the account that pays the network's fees; reserved in each wallet.
    NETWORK_FEE_ACCOUNT: ClassVar[str] = "Network fees"

    #: Unique within the wallet.
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[AccountKind] = mapped_column(enum_column_type(AccountKind, constraint=False), default=AccountKind.USER)
    #: How many ledger entries the account has; each carries its number, so that none can vanish unnoticed.
    entries: Mapped[int] = mapped_column(BigInteger, default=0)
    #: The balance was taken below zero on purpose (a reversal, a fee, an allowed overdraft) and is not back yet.
    overdrawn: Mapped[bool] = mapped_column(default=False)

    @declared_attr
    def balance(cls) -> Mapped[Decimal]:  # noqa: N805 - SQLAlchemy calls it on the class
        """Spendable now, in whole coins: credited and not reserved. Only the ledger changes it."""
        return mapped_column(Amount(cls.coin.decimals), default=Decimal(0))

    @declared_attr
    def wallet_id(cls) -> Mapped[int]:  # noqa: N805
        """The wallet it is a share of."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_wallet.id"))

    @declared_attr
    def wallet(cls) -> Mapped[GenericWallet]:  # noqa: N805
        """The wallet it is a share of."""
        return relationship(cls.later("wallet"), back_populates="accounts")

    @declared_attr
    def addresses(cls) -> Mapped[list[GenericAddress]]:  # noqa: N805
        """Receiving addresses, archived ones included."""
        return relationship(cls.later("address"), back_populates="account")

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        if cls.__tablename__ is None:
            return ()
        return (
            UniqueConstraint("wallet_id", "name"),
            *enum_checks("kind", AccountKind),
            CheckConstraint("balance >= 0 OR overdrawn", name="not_below_zero"),
        )

    def pick_next_receiving_address_label(self) -> str:
        """Return a label for an address that no other address has, unreadable and safe for every backend."""
        return f"{self.coin.symbol}-account-{self.id}-{secrets.token_hex(8)}"

    def get_statement(self, before: int | None = None, limit: int = PAGE) -> list[StatementLine]:
        """Return a page of this account's history, newest first, with the balance after each entry.

        :param before: number of the last entry of the page before; None for the newest page.
        """
        return account_statement(self.session(), self.books(), account_id=self.id, before=before, limit=limit)

    def get_unconfirmed_balance(self) -> Decimal:
        """Return the whole coins that are on their way in and not yet credited."""
        deposit, network = self.sibling("transaction"), self.sibling("network_transaction")
        incoming = (
            select_total(deposit.amount)
            .join(network, deposit.network_transaction_id == network.id)
            .where(deposit.receiving_account_id == self.id, deposit.is_uncredited_deposit(), network.confirmations >= 0)
        )
        return read_total(self.session(), incoming, self.coin.decimals)
