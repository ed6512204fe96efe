"""How commands end when something is wrong: one sentence on stderr, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from cryptoassets_core.errors import CryptoAssetsError

EXIT_FAILURE = 1


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what people can mend into a sentence and an exit code."""
    try:
        yield
    except CryptoAssetsError as error:
        _fail(str(error))
    except Exception as error:
        refused = _refused_by_database(error)
        if refused is None:
            raise
        _fail(refused)


def _refused_by_database(error: Exception) -> str | None:
    # Imported only now: help needs no database library, and takes a third of the time without.
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from cryptoassets_core.database import cause  # noqa: PLC0415

    return f"the database refused: {cause(error)}" if isinstance(error, DBAPIError) else None


def _fail(sentence: str) -> NoReturn:
    # Texts of drivers and plugins may have several lines.
    click.echo(f"Error: {' '.join(sentence.split())}", err=True)
    sys.exit(EXIT_FAILURE)
