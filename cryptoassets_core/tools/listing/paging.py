"""Pages along a primary key."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Select, false, func, select
from sqlalchemy.orm import Session

from cryptoassets_core.names import check_id

R = TypeVar("R")

#: Rows of a page, unless asked otherwise.
PAGE_ROWS: Final = 50

#: Rows that are looked at for a page when no index knows what is wanted.
WINDOW: Final = 10_000

#: A queue is counted so far: whoever sees so many need not know how many more there are.
COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Slice:
    """Which page is wanted."""

    #: Go on beyond this number; None for the first page.
    beyond: int | None = None
    #: From the first row to the newest, instead of from the newest on.
    oldest_first: bool = False
    limit: int = PAGE_ROWS

    def __post_init__(self) -> None:
        check_id(self.limit, "page of rows in the number of")
        if self.beyond is not None:
            check_id(self.beyond, "row")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some rows, and where the next ones begin."""

    rows: list[R]
    #: ``beyond`` of the next page; None if there is nothing more.
    beyond: int | None


def read_page(
    session: Session,
    query: Select[Any],
    key: Column[int],
    wanted: Slice,
    make: Callable[[Any], R],
    *,
    sparse: bool = False,
) -> Page[R]:
    """Read a page.

    :param query: has the key among its columns, under its own name, and is not sorted or limited.
    :param key: the primary key that it goes along.
    :param make: makes a row of the page from one of the result.
    :param sparse: no index knows what the query wants, so only so much of the table is looked at as is bearable.
    """
    query = query.order_by(key.asc() if wanted.oldest_first else key.desc()).limit(wanted.limit + 1)
    edge = _edge(session, key, wanted) if sparse else None
    if wanted.beyond is not None:
        query = query.where(key > wanted.beyond if wanted.oldest_first else key < wanted.beyond)
    if edge is not None:
        query = query.where(key < edge if wanted.oldest_first else key > edge)
    found = session.execute(query).all()
    if len(found) > wanted.limit:
        found = found[: wanted.limit]
        return Page([make(row) for row in found], int(found[-1]._mapping[key.name]))
    return Page([make(row) for row in found], None if edge is None else _on(session, key, edge, wanted))


def among(column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has one of a few values; for none SQL would read all rows to find none."""
    return column.in_(values) if values else false()


def bounded_count(session: Session, query: Select[Any]) -> int:
    """Count what a query finds, to :py:data:`COUNTED` and one more, which means "more"."""
    return session.scalar(select(func.count()).select_from(query.limit(COUNTED + 1).subquery())) or 0


def _edge(session: Session, key: Column[int], wanted: Slice) -> int:
    """Return the key, exclusive, up to which this page looks."""
    if wanted.oldest_first:
        first = wanted.beyond if wanted.beyond is not None else (session.scalar(select(func.min(key))) or 1) - 1
        return first + WINDOW + 1
    newest = wanted.beyond if wanted.beyond is not None else (session.scalar(select(func.max(key))) or 0) + 1
    return newest - WINDOW - 1


def _on(session: Session, key: Column[int], edge: int, wanted: Slice) -> int | None:
    """Return where the next page begins, None if no row lies beyond the edge."""
    beyond = select(key).where(key >= edge if wanted.oldest_first else key <= edge).limit(1)
    beyond = beyond.order_by(key.asc() if wanted.oldest_first else key.desc())
    row = session.scalar(beyond)
    if row is None:
        return None
    # Gaps in the numbers are jumped over at once.
    return row - 1 if wanted.oldest_first else row + 1
