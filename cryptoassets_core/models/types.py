"""Column types that are exact on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Constraint,
    DateTime,
    Dialect,
    Enum,
    Integer,
    Numeric,
    Select,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeDecorator, TypeEngine

from cryptoassets_core.amounts import BIGINT_DECIMALS, from_minor_units, to_minor_units
from cryptoassets_core.errors import ConfigurationError

C = TypeVar("C", bound=Constraint)

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


#: Sums are taken in two parts, because SQLite cannot add up beyond 64 bits. What it cannot hold it does not get.
_PART = 10**9


def select_total(amount: InstrumentedAttribute[Decimal] | ColumnElement[Decimal]) -> Select[int, int]:
    """Return the query that adds up a column of amounts; narrow it, then :py:func:`read_total`."""
    if isinstance(amount.type, Amount) and amount.type.decimals > BIGINT_DECIMALS:
        return select(literal(0), func.sum(type_coerce(amount, Numeric)))
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


def enum_column_type(kind: type[StrEnum], *, constraint: bool = True) -> Enum:
    """Store an enumeration as its text.

    :param constraint: have the database check it; tables that are written often have :py:func:`enum_checks` instead.
    """
    return Enum(
        kind,
        native_enum=False,
        create_constraint=constraint,
        length=20,
        name=kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def enum_checks(column: str, kind: type[StrEnum]) -> tuple[CheckConstraint, CheckConstraint]:
    """Have the database check a column of :py:func:`enum_column_type`, in the way that costs each statement least.

    PostgreSQL reads a constraint anew for each statement: a list word by word, an array as one constant.
    """
    name, words = kind.__name__.lower(), [member.value for member in kind]
    listed = ", ".join(f"'{word}'" for word in words)
    return (
        CheckConstraint(f"{column} = ANY ('{{{','.join(words)}}}')", name=name).ddl_if(dialect="postgresql"),
        not_on_postgresql(CheckConstraint(f"{column} IN ({listed})", name=name)),
    )


def not_on_postgresql(constraint: C) -> C:
    """Have a constraint created everywhere else: PostgreSQL has something cheaper for it."""

    def wanted(
        ddl: Any, target: Any, bind: Any, tables: Any = None, state: Any = None, *, dialect: Dialect, **_: Any
    ) -> bool:
        return dialect.name != "postgresql"

    return constraint.ddl_if(callable_=wanted)
