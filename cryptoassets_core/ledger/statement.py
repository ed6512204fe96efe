"""An account's history, entry by entry, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.names import check_id

#: Entries of a page, unless asked otherwise.
PAGE = 50


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One entry of an account."""

    #: Number of the entry, 1 for the account's first; pages continue with ``before=entry``.
    entry: int
    #: Whole coins, negative when the account paid.
    change: Decimal
    #: Whole coins after this entry.
    balance_after: Decimal
    #: The movement, as a model object.
    transaction: Any


def account_statement(
    session: Session, books: Books, *, account_id: int, before: int | None = None, limit: int = PAGE
) -> list[StatementLine]:
    """Return a page of an account's history; two index look-ups, however long the history is.

    :param before: the last entry of the page before, None for the newest.
    :param limit: entries of the page, at least 1.
    :raises UnknownRowError: there can be no such entry, or no such number of entries.
    """
    check_id(limit, "page of entries in the number of")
    if before is not None:
        check_id(before, "entry")
    model = books.models["transaction"]
    lines = []
    for side, sign in (("sending", Decimal(-1)), ("receiving", Decimal(1))):
        account, entry = getattr(model, f"{side}_account_id"), getattr(model, f"{side}_entry")
        page = select(model).where(account == account_id, entry.is_not(None)).order_by(entry.desc()).limit(limit)
        if before is not None:
            page = page.where(entry < before)
        lines += [
            StatementLine(
                getattr(transaction, f"{side}_entry"),
                EXACT.multiply(sign, transaction.amount),
                getattr(transaction, f"{side}_balance_after"),
                transaction,
            )
            for transaction in session.scalars(page)
        ]
    return sorted(lines, key=lambda line: line.entry, reverse=True)[:limit]
