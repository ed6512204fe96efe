"""What a page is asked for: the query of its address, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from flask import request, url_for

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BadSearchError, UnknownRowError
from cryptoassets_core.tools.listing.paging import PAGE_ROWS, Slice

E = TypeVar("E", bound=StrEnum)

#: Longest text that is looked for; no column holds more.
_LONGEST: Final = 255

#: Digits of the largest number of a row.
_DIGITS: Final = 19

_OLDEST: Final = "oldest"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form above a list."""

    name: str
    label: str
    value: str = ""
    #: Value and words of each choice; without any, it takes a text.
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Pager:
    """Where a list goes on."""

    #: The first page, None on it.
    first: str | None
    following: str | None
    oldest_first: bool


def asked_text(name: str) -> str | None:
    """Return a text of the query; None if it is empty.

    :raises BadSearchError: it is longer than anything there is, or has what no database can hold.
    """
    value = request.args.get(name, "").strip()
    if len(value) > _LONGEST or "\0" in value:
        raise BadSearchError(f"{name} is looked for by at most {_LONGEST} characters, none of them a zero")
    return value or None


def asked_number(name: str) -> int | None:
    """Return the number of a row; None if it is empty.

    :raises BadSearchError: it is none.
    """
    value = asked_text(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > _DIGITS:
        raise BadSearchError(f"{name} is the number of a row, in digits")
    return int(value)


def asked_choice(name: str, kind: type[E]) -> E | None:
    """Return one of a few words; None if it is empty.

    :raises BadSearchError: it is none of them.
    """
    value = asked_text(name)
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise BadSearchError(f"{name} is one of: {', '.join(kind)}") from None


def asked_slice(*, limit: int = PAGE_ROWS) -> Slice:
    """Return which page of a list is wanted."""
    return Slice(asked_number("beyond"), oldest_first=request.args.get("order") == _OLDEST, limit=limit)


def asked_coin(app: CryptoAssetsApp, symbol: str | None = None) -> Coin:
    """Return the coin that the page is about; the first one if the query names none.

    :raises UnknownRowError: it is not configured.
    """
    coins = dict(app.coins.all())
    wanted = symbol if symbol is not None else request.args.get("coin") or next(iter(coins), "")
    if wanted not in coins:
        raise UnknownRowError("there is no such coin in the configuration")
    return coins[wanted]


def choices(kind: type[StrEnum], *others: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the choices of a field: any, those given, and each of the words."""
    return (("", "any"), *others, *((each.value, each.replace("_", " ")) for each in kind))


def pager(page: str, coin: str | None, fields: Mapping[str, object], wanted: Slice, beyond: int | None) -> Pager:
    """Return the links below a list."""
    query = {name: value for name, value in fields.items() if value not in (None, "")}
    if coin is not None:
        query["coin"] = coin
    if wanted.oldest_first:
        query["order"] = _OLDEST
    values = {name: str(value) for name, value in query.items()}
    return Pager(
        None if wanted.beyond is None else url_for(page, **values),  # type: ignore[arg-type]
        None if beyond is None else url_for(page, beyond=str(beyond), **values),  # type: ignore[arg-type]
        wanted.oldest_first,
    )


#: The field that every list along a primary key has.
def order_field(wanted: Slice) -> Field:
    """Return the field that turns a list around."""
    return Field(
        "order", "Order", _OLDEST if wanted.oldest_first else "", (("", "newest first"), (_OLDEST, "oldest first"))
    )
