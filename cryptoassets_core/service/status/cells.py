"""What stands in the tables of the pages: texts of strangers are made fit to be shown here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from cryptoassets_core.visible import visible

#: States that are well, under way, and in trouble; what is not among them is neither.
_TONES = {
    "well": {"processed", "live", "delivered", "broadcasted", "internal", "running", "well"},
    "busy": {"pending", "incoming", "collected", "prepared", "opened"},
    "ill": {"dead", "failed", "reversed", "interrupted", "conflicted", "ill"},
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One value on a page."""

    text: str
    #: How it looks: text of anybody, a word of ours, number, amount, time, hash, badge or nothing.
    kind: str = "word"
    #: Where it leads, a path below our own prefix.
    href: str | None = None
    #: Well, busy or ill, for a badge; the machine's form of a time.
    more: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what it is about, the names of its columns, and its rows."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    #: What is said in its place when it has no rows.
    empty: str = "There is none."


NOTHING = Cell("", "nothing")


def text(value: object, href: str | None = None) -> Cell:
    """A text that somebody may have written who means ill."""
    return NOTHING if value is None or value == "" else Cell(visible(str(value)), "text", href)


def number(value: int | None, href: str | None = None) -> Cell:
    """A count, or the running number of a row."""
    return NOTHING if value is None else Cell(str(value), "number", href)


def amount(value: Decimal | None, unit: str = "", *, signed: bool = False) -> Cell:
    """Whole coins in fixed notation."""
    if value is None:
        return NOTHING
    return Cell(f"{value:+f}{unit}" if signed else f"{value:f}{unit}", "amount")


def time(value: datetime | None) -> Cell:
    """A time, in UTC."""
    if value is None:
        return NOTHING
    return Cell(f"{value:%Y-%m-%d %H:%M:%S}", "time", more=value.isoformat(timespec="seconds"))


def hash_(value: str | None, href: str | None = None) -> Cell:
    """A hash or an address, which may break anywhere."""
    return NOTHING if not value else Cell(visible(value, limit=120), "hash", href)


def badge(value: StrEnum | str) -> Cell:
    """A state."""
    tone = next((tone for tone, states in _TONES.items() if str(value) in states), "")
    return Cell(str(value), "badge", more=tone)


def value_cell(value: object) -> Cell:
    """Whatever a panel shows."""
    if isinstance(value, datetime):
        return time(value)
    if isinstance(value, Decimal):
        return amount(value)
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
