"""Finds rows by the beginning of a hash or an address, through an index whatever the database's collation is."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, and_, func
from sqlalchemy.orm import Session

from cryptoassets_core.errors import BadSearchError

#: Shorter beginnings find too much to be of use.
SHORTEST: Final = 4

#: Longest beginning, the width of the column of addresses.
LONGEST: Final = 255


def find_ids(
    session: Session, queries: list[Select[int]], column: Column[Any], beginning: str, limit: int
) -> list[int]:
    """Return ids of rows in which a text begins so, in the order of that text.

    :param queries: select the ids, each from rows that one index has.
    :param limit: how many are returned at most, of each query.
    :raises BadSearchError: nothing can begin so, or too much does.
    """
    condition = _begins_with(column, beginning.strip())
    return [row for query in queries for row in session.scalars(query.where(condition).order_by(column).limit(limit))]


def _begins_with(column: Column[Any], beginning: str) -> ColumnElement[bool]:
    """Return the condition that a text of letters and digits begins so.

    The index is ordered by the database's collation, which may hold upper and lower case for nearly the same. So the
    range is taken wide, and each row in it looked at: letters and digits all lie below a row of ``z``.
    """
    if not SHORTEST <= len(beginning) <= LONGEST or not beginning.isascii() or not beginning.isalnum():
        raise BadSearchError(
            f"a hash or an address is looked for by {SHORTEST} to {LONGEST} letters and digits from its beginning on"
        )
    return and_(
        column >= beginning,
        column <= beginning + "z" * LONGEST,
        func.substr(column, 1, len(beginning)) == beginning,
    )
