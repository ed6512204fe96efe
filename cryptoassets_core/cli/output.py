"""What commands print: tables and facts for people, one JSON object a line for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cryptoassets_core.visible import visible

#: Columns of what goes to a file or a pipe: a txid must stay in one piece there, for who searches for it.
WIDTH_OF_FILES = 200

#: As much of a text as a table shows.
MOST_CHARACTERS = 1000


def json_line(facts: Any) -> str:
    """Return one JSON object: amounts as text in fixed notation, times in ISO 8601.

    :param facts: a mapping or a dataclass, nested as it may be.
    """
    return json.dumps(asdict(facts) if is_dataclass(facts) and not isinstance(facts, type) else facts, default=text)


def print_json(rows: Iterable[Any]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        click.echo(json_line(row))


def print_rows(title: str, rows: Sequence[Mapping[str, object]], *, right: Iterable[str] = ()) -> None:
    """Print a table; its columns are named by the keys of the first row.

    :param right: columns to set to the right, such as amounts.
    """
    table = Table(title=title, title_justify="left")
    to_the_right = frozenset(right)
    for column in rows[0] if rows else ():
        justify: Any = "right" if column in to_the_right else "left"
        table.add_column(column.replace("_", " "), overflow="fold", justify=justify)
    for row in rows:
        table.add_row(*map(shown, row.values()))
    console().print(table, markup=False)


def print_facts(facts: Mapping[str, object], *, err: bool = False) -> None:
    """Print names and values below each other.

    :param err: to stderr, where what goes to stdout may be read by a program.
    """
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(shown(name.replace("_", " ")), shown(value))
    console(err=err).print(table, markup=False)


def shown(value: object) -> str:
    """Write a value for a terminal, which nothing in it can steer: people choose names and labels."""
    return visible(text(value), limit=MOST_CHARACTERS)


def text(value: object) -> str:
    """Write a value for people and for JSON: nothing as empty text, amounts without an exponent."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def console(*, err: bool = False) -> Console:
    """Return where tables are printed; markup is off, because it would eat brackets in what others say."""
    made = Console(stderr=err, markup=False)
    if not made.is_terminal:
        made.width = WIDTH_OF_FILES
    return made
