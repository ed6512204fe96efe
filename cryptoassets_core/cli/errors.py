"""How commands end when something is wrong: one sentence on stderr, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
from sqlalchemy.exc import DBAPIError

from cryptoassets_core.database import cause
from cryptoassets_core.errors import CryptoAssetsError

EXIT_FAILURE = 1


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what people can mend into a sentence and an exit code."""
    try:
        yield
    except CryptoAssetsError as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"the database refused: {cause(error)}")


def _fail(sentence: str) -> NoReturn:
    # Texts of drivers and plugins may have several lines.
    click.echo(f"Error: {' '.join(sentence.split())}", err=True)
    sys.exit(EXIT_FAILURE)
