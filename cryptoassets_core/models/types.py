"""Column types that are exact on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Enum,
    Integer,
    Numeric,
    Select,
    func,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeDecorator, TypeEngine

from cryptoassets_core.amounts import BIGINT_DECIMALS, from_minor_units, to_minor_units
from cryptoassets_core.errors import ConfigurationError

#: A running number. SQLite counts by itself only in a column declared INTEGER, which holds 64 bits there too.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Amount(TypeDecorator[Decimal]):
    """Whole coins in Python, a whole number of minor units in the column."""

    impl = BigInteger
    cache_ok = True

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self.decimals = decimals

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """BIGINT where it suffices; SQLite has nothing larger that is exact."""
        if self.decimals <= BIGINT_DECIMALS:
            return dialect.type_descriptor(BigInteger())
        if dialect.name == "sqlite":
            raise ConfigurationError(
                f"SQLite cannot hold a coin with {self.decimals} decimals exactly (at most {BIGINT_DECIMALS}); "
                "use PostgreSQL"
            )
        return dialect.type_descriptor(Numeric(38, 0))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """To minor units; whatever is not exact is refused."""
        return None if value is None else to_minor_units(value, self.decimals)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        """To whole coins."""
        return None if value is None else from_minor_units(int(value), self.decimals)


#: Sums are taken in two parts, because SQLite cannot add up beyond 64 bits.
_PART = 10**9


def select_total(amount: InstrumentedAttribute[Decimal] | ColumnElement[Decimal]) -> Select[int, int]:
    """Return the query that adds up a column of amounts; narrow it, then :py:func:`read_total`."""
    minor = type_coerce(amount, BigInteger)
    return select(func.sum(minor // _PART), func.sum(minor % _PART))


def read_total(session: Session, query: Select[int, int], decimals: int) -> Decimal:
    """Return the whole coins that a query of :py:func:`select_total` adds up, exact beyond any column's width."""
    large, small = session.execute(query).one()
    return from_minor_units(int(large or 0) * _PART + int(small or 0), decimals)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, also on databases that forget the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone could mean anything."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time must carry its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_column_type(kind: type[StrEnum]) -> Enum:
    """Store an enumeration as its text, checked by the database."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=20,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )
