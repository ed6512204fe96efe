"""What all model classes share: a coin, its tables, and the way from one model to its siblings.

The classes of one coin live in one module and share one MetaData, so that an application can replace a stock coin by a
module of its own and use both in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column, object_session

from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.errors import CryptoAssetsError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.models.functions import define_functions
from cryptoassets_core.models.guards import guard_books
from cryptoassets_core.models.sync_state import sync_state_table
from cryptoassets_core.models.types import RowId, UTCDateTime

if TYPE_CHECKING:
    from cryptoassets_core.coin.registry import Coin

#: Constraints are named, so that errors and migrations can name them.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

#: Under this key a session knows the coins of its app.
SESSION_COINS = "cryptoassets_coins"

#: Under this key a session knows what lets withdrawals go or refuses them.
SESSION_APPROVE = "cryptoassets_approve_withdrawal"

_metadata_by_module: dict[tuple[str, str], MetaData] = {}


class CoinModel(DeclarativeBase):
    """Base of the model classes. A coin's own classes set ``coin`` and nothing else."""

    __abstract__ = True

    #: The coin; set by the plugin.
    coin: ClassVar[CoinDescription]
    #: Which of the coin's tables it is; set by the generic class.
    role: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "coin" in cls.__dict__:
            cls.metadata = _metadata(cls.__module__, cls.coin)
            cls.metadata.info["models"][cls.role] = cls
        super().__init_subclass__(**kwargs)

    @declared_attr.directive
    def __tablename__(cls) -> str | None:  # noqa: N805 - SQLAlchemy calls it on the class
        if cls._inherits_table():
            return None
        return f"{cls.coin.symbol}_{cls.role}"

    @classmethod
    def _inherits_table(cls) -> bool:
        """An application's subclass of a coin's class lives in the same table."""
        return any("__table__" in parent.__dict__ for parent in cls.__mro__[1:])

    @classmethod
    def sibling(cls, role: str) -> Any:
        """Return the class of the same coin for another table."""
        return cls.metadata.info["models"][role]

    @classmethod
    def later(cls, role: str) -> Callable[[], Any]:
        """Return a function that returns the sibling, for relationships to classes that come later."""
        return lambda: cls.sibling(role)

    @classmethod
    def books(cls) -> Books:
        """Return the coin's tables, for set-based work."""
        books: Books | None = cls.metadata.info.get("books")
        if books is None:
            books = Books.of(cls.coin, cls.metadata.tables, cls.metadata.info["models"])
            cls.metadata.info["books"] = books
        return books

    def session(self) -> Session:
        """Return the session that this object belongs to."""
        session = object_session(self)
        if session is None:
            raise CryptoAssetsError(f"{type(self).__name__} is not in a session; add it or load it first")
        return session

    def configured_coin(self) -> Coin:
        """Return the coin as the app of this object's session is configured."""
        coins = self.session().info.get(SESSION_COINS)
        if coins is None:
            raise CryptoAssetsError(
                "this session does not come from a CryptoAssetsApp; open it with app.open_session() "
                "or app.conflict_resolver"
            )
        return coins.get(self.coin.symbol)  # type: ignore[no-any-return]

    def limited_books(self) -> Books:
        """Return the coin's tables under the limits of this session's app; there are none where there is no app."""
        within_app = SESSION_COINS in self.session().info
        return self.configured_coin().limited(self.books()) if within_app else self.books()


def _metadata(module: str, coin: CoinDescription) -> MetaData:
    key = (module, coin.symbol)
    if key not in _metadata_by_module:
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        metadata.info["models"] = {}
        sync_state_table(coin.symbol, metadata)
        guard_books(coin.symbol, metadata)
        define_functions(coin, metadata)
        _metadata_by_module[key] = metadata
    return _metadata_by_module[key]


class HasId:
    """A running number as primary key."""

    #: Running number.
    id: Mapped[int] = mapped_column(RowId, primary_key=True)


class HasTimes:
    """When a row was made and last changed."""

    #: When the row was made.
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
    #: When the row was last changed.
    updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime, onupdate=utc_now)
