"""Rows made in Python, joined in SQL: one statement for any number of rows.

PostgreSQL unfolds arrays and SQLite unfolds JSON; both take thousands of rows as one parameter each, where a list of
VALUES would have to be parsed anew and soon meets the limit on parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    FromClause,
    Integer,
    Numeric,
    String,
    TextClause,
    TypeDecorator,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from cryptoassets_core.amounts import BIGINT_DECIMALS, to_minor_units
from cryptoassets_core.ledger.books import Books

#: PostgreSQL's name of each column type a rowset may have.
_ARRAY_TYPES: Mapping[type[TypeEngine[Any]], str] = {
    BigInteger: "BIGINT",
    Boolean: "BOOLEAN",
    Integer: "INTEGER",
    Numeric: "NUMERIC",
    String: "TEXT",
}


def rowset(
    session: Session,
    name: str,
    columns: Mapping[str, type[TypeEngine[Any]]],
    rows: Sequence[Sequence[object]],
) -> FromClause:
    """Return the rows as something to join with.

    :param name: its name in the statement; one statement may join several.
    :param columns: name and type of each column, in the order of the rows' values. Amounts are in minor units
        (:py:func:`minor`) and of the type that :py:func:`amount_type` tells.
    """
    postgresql = session.get_bind().dialect.name == "postgresql"
    unfolded = _unfolded_arrays(name, columns, rows) if postgresql else _unfolded_json(name, columns, rows)
    return unfolded.columns(*(column(key, kind) for key, kind in columns.items())).subquery(name)


def one_of(session: Session, ids: Sequence[int], of: ColumnElement[int]) -> ColumnElement[bool]:
    """Say that a column has one of these numbers, which are parameters of their own as a rowset's rows are.

    Where rows of a large table are only picked by them this is better than to join: a planner that takes the table, or
    one of its partial indexes, for nearly empty would join each row with each number once hash joins are off.
    """
    if session.get_bind().dialect.name == "postgresql":
        return of == any_(cast(literal(_array(BigInteger, ids), String), ARRAY(BigInteger)))
    return of.in_(select(rowset(session, "picked", {"id": BigInteger}, [(id_,) for id_ in ids]).c.id))


def join_by_index(session: Session) -> None:
    """Have the rest of a database transaction look up the rows that rowsets name one by one, each by its index.

    From about a thousand rows on, PostgreSQL finds it cheaper to read the whole table and to hash it, so that what the
    work costs would grow with the history. A plan that it has to make from what is off seems so dear to it that it
    would compile it first, which takes longer than any of these statements.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            select(*(func.set_config(name, "off", True) for name in _OFF)),
        )


_OFF: Final = ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "jit")


def column_kind(kind: TypeEngine[Any], dialect: Dialect) -> type[TypeEngine[Any]]:
    """Return the type of a rowset's column that carries values of a table's column.

    :raises TypeError: no rowset carries it.
    """
    stored = kind.dialect_impl(dialect)
    impl = stored.impl_instance if isinstance(stored, TypeDecorator) else stored
    for known in _ARRAY_TYPES:
        if isinstance(impl, known):
            return known
    raise TypeError(f"a rowset cannot carry {kind!r}")


def amount_type(books: Books) -> type[TypeEngine[Any]]:
    """Return the type of a rowset's column of amounts, which is that of the coin's own columns."""
    return BigInteger if books.coin.decimals <= BIGINT_DECIMALS else Numeric


def minor(books: Books, amount: Decimal) -> int:
    """Return an amount as a rowset carries it."""
    return to_minor_units(amount, books.coin.decimals)


def _unfolded_arrays(
    name: str, columns: Mapping[str, type[TypeEngine[Any]]], rows: Sequence[Sequence[object]]
) -> TextClause:
    arrays = ", ".join(f"CAST(:{name}_{key} AS {_ARRAY_TYPES[kind]}[])" for key, kind in columns.items())
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    # The names come from our own code, the values go as parameters.
    return text(f"SELECT * FROM unnest({arrays}) AS unfolded ({', '.join(columns)})").bindparams(  # noqa: S608
        *(
            bindparam(f"{name}_{key}", _array(kind, column_values))
            for (key, kind), column_values in zip(columns.items(), values, strict=True)
        )
    )


def _array(kind: type[TypeEngine[Any]], values: Sequence[Any]) -> str:
    """Write an array as PostgreSQL reads it: one text, where a list would be parsed and planned number by number.

    Source: PostgreSQL documentation, "Arrays", "Array Input and Output Syntax".
    """
    if kind is not String:
        return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
    if None not in values:
        # All at once, with a separator that no text has.
        joined = _SEPARATOR.join(values)
        if values and joined.count(_SEPARATOR) == len(values) - 1:
            return '{"' + _escaped(joined).replace(_SEPARATOR, '","') + '"}'
    return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"


#: ASCII's own unit separator.
_SEPARATOR: Final = "\x1f"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unfolded_json(
    name: str, columns: Mapping[str, type[TypeEngine[Any]]], rows: Sequence[Sequence[object]]
) -> TextClause:
    selected = ", ".join(f"json_extract(value, '$[{index}]') AS {key}" for index, key in enumerate(columns))
    return text(f"SELECT {selected} FROM json_each(:{name}_rows)").bindparams(  # noqa: S608
        bindparam(f"{name}_rows", json.dumps([list(row) for row in rows]))
    )
