"""Network transactions: what the coin's network carries for us, in or out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column, relationship

from cryptoassets_core.clock import utc_now
from cryptoassets_core.ledger.states import NetworkTransactionState, NetworkTransactionType
from cryptoassets_core.ledger.upsert import insert_missing
from cryptoassets_core.models.base import CoinModel, HasId
from cryptoassets_core.models.types import Amount, UTCDateTime, enum_column_type
from cryptoassets_core.names import check_txid

if TYPE_CHECKING:
    from cryptoassets_core.models.transaction import GenericTransaction

#: Confirmations of a network transaction that the network does not know yet.
NOT_BROADCAST = -1


class GenericNetworkTransaction(HasId, CoinModel):
    """A deposit or a broadcast. Paying ourselves over the network makes one of each with the same txid.

    A deposit may pay accounts of several wallets; a broadcast is paid by the hot wallet behind one wallet.
    """

    __abstract__ = True
    role = "network_transaction"

    #: When it became known here.
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: Its hash; None while a broadcast is not signed.
    txid: Mapped[str | None] = mapped_column(String(64))
    transaction_type: Mapped[NetworkTransactionType] = mapped_column(enum_column_type(NetworkTransactionType))
    state: Mapped[NetworkTransactionState] = mapped_column(enum_column_type(NetworkTransactionState))
    #: Broadcast: when it was first possible that it is published.
    opened_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Broadcast: when it was settled, that is known to the network or given up.
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Block that includes it.
    block_hash: Mapped[str | None] = mapped_column(String(64))
    #: A block reward, which waits for maturity.
    coinbase: Mapped[bool] = mapped_column(default=False)
    #: Its confirmations are still followed.
    tracked: Mapped[bool] = mapped_column(default=False)
    #: Broadcast: the signed bytes, hexadecimal, kept from signing on.
    raw: Mapped[str | None] = mapped_column(Text)
    #: Broadcast: the outputs it spends, as JSON ``[[txid, vout], …]``.
    inputs: Mapped[str | None] = mapped_column(Text)
    #: Broadcast: attempts that failed since the last success.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    #: Broadcast: not tried again before.
    next_attempt_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Deposit: why what it pays is not credited, though deep enough.
    #: Broadcast: why it waits or died, or how it was resolved, for the operator. One that is opened and has a reason is
    #: interrupted: whoever opened it has given up, and a person must find out what happened.
    reason: Mapped[str | None] = mapped_column(Text)
    #: Broadcast: the application was told that the hot wallet holds too little for it.
    told_waiting: Mapped[bool] = mapped_column(default=False)
    #: Blocks on top, the including one counted; -1 until the network knows it, negative also when in conflict.
    confirmations: Mapped[int] = mapped_column(Integer, default=NOT_BROADCAST)

    @declared_attr
    def fee(cls) -> Mapped[Decimal | None]:  # noqa: N805 - SQLAlchemy calls it on the class
        """Broadcast: what the network charges for it, whole coins."""
        return mapped_column(Amount(cls.coin.decimals))

    @declared_attr
    def wallet_id(cls) -> Mapped[int | None]:  # noqa: N805
        """Broadcast: the wallet whose withdrawals it carries."""
        return mapped_column(ForeignKey(f"{cls.coin.symbol}_wallet.id"))

    @declared_attr
    def transactions(cls) -> Mapped[list[GenericTransaction]]:  # noqa: N805
        """The movements that it carries."""
        return relationship(cls.later("transaction"), back_populates="network_transaction")

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        name = cls.__tablename__
        if name is None:
            return ()
        # At most one unsettled broadcast a wallet: two could spend the same coins, or pay one withdrawal twice.
        unsettled, tracked = text("transaction_type = 'broadcast' AND closed_at IS NULL"), text("tracked")
        broadcast = text("transaction_type = 'broadcast'")
        dead = text("transaction_type = 'broadcast' AND state = 'dead'")
        return (
            UniqueConstraint("txid", "transaction_type"),
            Index(f"uq_{name}_unsettled", "wallet_id", unique=True, postgresql_where=unsettled, sqlite_where=unsettled),
            Index(f"ix_{name}_tracked", "id", postgresql_where=tracked, sqlite_where=tracked),
            # There are thousands of deposits to one broadcast.
            Index(f"ix_{name}_broadcast", "id", postgresql_where=broadcast, sqlite_where=broadcast),
            Index(f"ix_{name}_dead", "id", postgresql_where=dead, sqlite_where=dead),
            # Each row is written anew with each of the first blocks on top: with room in its page no index is touched.
            {"postgresql_with": {"fillfactor": 50}},
        )

    @classmethod
    def get_or_create_deposit(cls, session: Session, txid: str) -> tuple[GenericNetworkTransaction, bool]:
        """Return the incoming network transaction of that hash, and whether it was made just now.

        :param txid: 64 lowercase hexadecimal digits.
        :raises InvalidNameError: it is written otherwise.
        """
        check_txid(txid)
        wanted = select(cls).where(cls.txid == txid, cls.transaction_type == NetworkTransactionType.DEPOSIT)
        deposit = session.scalar(wanted)
        if deposit is not None:
            return deposit, False
        row = {
            "txid": txid,
            "transaction_type": NetworkTransactionType.DEPOSIT,
            "state": NetworkTransactionState.LIVE,
            "confirmations": 0,
            "tracked": True,
        }
        insert_missing(session, cls.books().network_transaction, [row])
        return session.scalars(wanted).one(), True

    def can_be_confirmed(self) -> bool:
        """Tell whether it is deep enough in the chain for the coin's configured confirmation count.

        A block reward has to be mature besides.
        """
        return self.confirmations >= self.configured_coin().confirmations_needed(coinbase=self.coinbase)


class GenericConfirmationNetworkTransaction(GenericNetworkTransaction):
    """A network transaction that miners confirm: the base for every coin there is today."""

    __abstract__ = True
