"""Insert many rows in one statement, and pass over those there are already: the database decides, without a race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, Dialect, FromClause, Insert, Table, insert, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from cryptoassets_core.ledger.rowset import column_kind, rowset

Rows = Sequence[Mapping[str, Any]]

_I = TypeVar("_I", bound=Insert)


def insert_missing(session: Session, table: Table, rows: Rows) -> None:
    """Insert rows and pass over those that a unique constraint says are there already.

    :param rows: values by column name, the same names in each; other columns get their defaults.
    """
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(_from(_carried(session, table, rows), sqlite.insert(table)).on_conflict_do_nothing())
    else:
        session.execute(_from(_carried(session, table, rows), postgresql.insert(table)).on_conflict_do_nothing())


def insert_rows(session: Session, table: Table, rows: Rows) -> None:
    """Insert rows, which get their numbers in the order given; for ``rows`` see :py:func:`insert_missing`."""
    if rows:
        session.execute(_from(_carried(session, table, rows), insert(table)))


def insert_and_return(session: Session, table: Table, rows: Rows, same: Mapping[str, Any]) -> Sequence[Any]:
    """Insert rows and return them whole, in no order.

    :param same: values that all of them have, by column name; these may be of any type, also of none that ``rows`` can
        carry.
    """
    if not rows:
        return []
    carried = _carried(session, table, rows)
    constant = {name: literal(value, table.c[name].type) for name, value in same.items()}
    return session.execute(
        insert(table)
        .from_select([*carried.c.keys(), *constant], select(carried, *constant.values()))
        .returning(*table.c)
    ).all()


def _from(carried: FromClause, statement: _I) -> _I:
    # SQLite takes ON for the condition of a join unless there is a WHERE before it.
    return statement.from_select(list(carried.c.keys()), select(carried).where(true()))


def _carried(session: Session, table: Table, rows: Rows) -> FromClause:
    """Return the rows as something to select from, each value as its column's type would send it."""
    dialect = session.get_bind().dialect
    columns = [table.c[name] for name in rows[0]]
    processors = [_processor(column, dialect) for column in columns]
    return rowset(
        session,
        "given",
        {column.name: column_kind(column.type, dialect) for column in columns},
        [
            [
                row[column.name] if process is None else process(row[column.name])
                for column, process in zip(columns, processors, strict=True)
            ]
            for row in rows
        ],
    )


def _processor(column: Column[Any], dialect: Dialect) -> Any | None:
    return column.type.dialect_impl(dialect).bind_processor(dialect)
