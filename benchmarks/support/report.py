"""Figures for people and for programs: rich tables, or one JSON document."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Self

from rich.console import Console
from rich.table import Table

#: Wide enough for every table when nobody watches, so that a log shows what a terminal shows.
LOG_WIDTH = 190


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure that was taken several times."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Sum up the values of several runs."""
        taken = sorted(values)
        return cls(median(taken), taken[0], taken[-1], len(taken))

    def __str__(self) -> str:
        if self.low == self.high:
            return _shown(self.median)
        return f"{_shown(self.median)} [{_shown(self.low)}..{_shown(self.high)}]"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach; with ``least`` more is better, with ``most`` less is."""

    least: float | None = None
    most: float | None = None
    #: What would be better still.
    stretch: float | None = None

    def verdict(self, value: Spread | float) -> str:
        """Say how a figure, its median if it has one, does."""
        figure = value.median if isinstance(value, Spread) else value
        if self.stretch is not None and self._reaches(figure, self.stretch):
            return "better"
        limit = self.least if self.least is not None else self.most
        return "reached" if limit is None or self._reaches(figure, limit) else "MISSED"

    def _reaches(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.least is not None else figure <= limit

    def __str__(self) -> str:
        sign, limit = (">=", self.least) if self.least is not None else ("<=", self.most)
        stretch = "" if self.stretch is None else f" ({_shown(self.stretch)})"
        return "" if limit is None else f"{sign} {_shown(limit)}{stretch}"


@dataclass(slots=True)
class Measure:
    """A row: one thing that was measured, by several columns."""

    name: str
    #: By column; the column that the goal is about comes first.
    figures: dict[str, Spread | float | str]
    goal: Goal | None = None

    @property
    def verdict(self) -> str:
        """How its first figure does."""
        first = next(iter(self.figures.values()))
        return "" if self.goal is None or isinstance(first, str) else self.goal.verdict(first)


@dataclass(slots=True)
class Section:
    """A table."""

    title: str
    measures: list[Measure] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every benchmark has."""
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of tables")
    parser.add_argument("--quick", action="store_true", help="tiny numbers: shows that it runs, measures little")


def show(sections: Sequence[Section], *, as_json: bool) -> None:
    """Print what was measured."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    if as_json:
        print(json.dumps({"machine": machine(), "sections": [_plain(section) for section in sections]}, indent=2))
        return
    for section in sections:
        console.print(_table(section))
    console.print(f"median [min..max]; {machine()}", style="dim", highlight=False, markup=False)


def machine() -> str:
    """Say where the figures come from, and how busy it was: neighbours on a shared machine show in the load."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, load {load}"


def _plain(section: Section) -> dict[str, object]:
    return {
        "title": section.title,
        "measures": [
            {
                "name": measure.name,
                "figures": {
                    column: asdict(figure) if isinstance(figure, Spread) else figure
                    for column, figure in measure.figures.items()
                },
                "goal": None if measure.goal is None else str(measure.goal),
                "verdict": measure.verdict or None,
            }
            for measure in section.measures
        ],
    }


def _table(section: Section) -> Table:
    columns = list(dict.fromkeys(column for measure in section.measures for column in measure.figures))
    has_goals = any(measure.goal for measure in section.measures)
    table = Table(title=section.title, title_justify="left")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    if has_goals:
        table.add_column("goal (better)")
        table.add_column("")
    for measure in section.measures:
        cells = [measure.name, *(_cell(measure.figures.get(column, "")) for column in columns)]
        table.add_row(*cells, *([str(measure.goal or ""), measure.verdict] if has_goals else []))
    return table


def _cell(figure: Spread | float | str) -> str:
    return figure if isinstance(figure, str) else str(figure) if isinstance(figure, Spread) else _shown(figure)


def _shown(figure: float) -> str:
    """Three digits that matter; counts in full."""
    if isinstance(figure, int) or abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"
