"""Pictures: bars as SVG that the server draws, beside a table that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from cryptoassets_core.service.status.cells import Cell, Table, amount, number, text
from cryptoassets_core.tools.listing.activity import History

WIDTH: Final = 720
HEIGHT: Final = 200
_DAY: Final = timedelta(days=1)
_LEFT: Final = 8
_TOP: Final = 22
_BOTTOM: Final = 24

#: Labels below the bars, at most; more would run into each other.
_LABELS: Final = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, in the units of the picture."""

    x: float
    y: int
    width: float
    height: int
    #: Which series it belongs to, from 0.
    series: int


@dataclass(frozen=True, slots=True)
class Label:
    """Words below the bars."""

    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, and the table that says the same."""

    name: str
    title: str
    #: What it shows, in a sentence.
    summary: str
    series: Sequence[str]
    bars: Sequence[Bar]
    labels: Sequence[Label]
    #: What the highest bar stands for.
    highest: str
    table: Table
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def base(self) -> int:
        """Where the bars stand."""
        return HEIGHT - _BOTTOM


def history_chart(history: History, unit: str) -> Chart:
    """Draw what came in and went out."""
    form = "%H:%M" if history.width < timedelta(hours=1) else "%d %b %H:%M" if history.width < _DAY else "%d %b"
    names = [f"{bar.begins_at:{form}}" for bar in history.bars]
    rows = [
        [Cell(f"{bar.begins_at:%Y-%m-%d %H:%M}"), amount(bar.deposits), amount(bar.withdrawals)] for bar in history.bars
    ]
    return _chart(
        "history",
        "Deposits and withdrawals",
        f"The newest {history.looked_at:,} transactions, a bar for {_words(history.width)}, times in UTC.",
        names,
        {"Deposits": [bar.deposits for bar in history.bars], "Withdrawals": [bar.withdrawals for bar in history.bars]},
        Table(f"Deposits and withdrawals in {unit}", ["From", f"Deposits ({unit})", f"Withdrawals ({unit})"], rows),
        unit,
    )


def count_chart(name: str, title: str, summary: str, what: str, counts: Sequence[tuple[object, int]]) -> Chart:
    """Draw how often something is so."""
    return _chart(
        name,
        title,
        summary,
        [str(label) for label, _ in counts],
        {title: [Decimal(count) for _, count in counts]},
        Table(title, [what, "Number"], [[text(label), number(count)] for label, count in counts]),
        "",
    )


def _chart(
    name: str,
    title: str,
    summary: str,
    names: Sequence[str],
    series: dict[str, list[Decimal]],
    table: Table,
    unit: str,
) -> Chart:
    highest = max((value for values in series.values() for value in values), default=Decimal(0))
    room = (WIDTH - 2 * _LEFT) / max(1, len(names))
    thick = min(46.0, room * 0.8 / len(series))
    bars = [
        _bar(_LEFT + room * (place + 0.5) + thick * (index - len(series) / 2), thick, value, highest, index)
        for index, values in enumerate(series.values())
        for place, value in enumerate(values)
        if value > 0
    ]
    every = max(1, -(-len(names) // _LABELS))
    labels = [
        Label(round(_LEFT + room * (place + 0.5), 1), words) for place, words in enumerate(names) if place % every == 0
    ]
    shown = f"{highest.normalize():f} {unit}".strip()
    return Chart(name, title, summary, list(series), bars, labels, shown, table)


def _bar(x: float, width: float, value: Decimal, highest: Decimal, series: int) -> Bar:
    # What there is at all shall be seen: two units high at least.
    height = max(2, round(value * (HEIGHT - _TOP - _BOTTOM) / highest))
    return Bar(round(x, 1), HEIGHT - _BOTTOM - height, round(width - 1, 1), height, series)


def _words(width: timedelta) -> str:
    seconds = int(width.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number_of = seconds // size
            return f"{number_of} {unit}s" if number_of > 1 else f"one {unit}"
    return "no time"
