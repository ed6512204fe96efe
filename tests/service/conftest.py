"""A configuration with books for each test of the daemon."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import simnet_config

from cryptoassets_btc import BITCOIN
from cryptoassets_simnet import Simnet


@pytest.fixture
def config(tmp_path: Path, sqlite_books: Path) -> dict[str, Any]:
    """A configuration whose database has its tables."""
    shutil.copy(sqlite_books, tmp_path / "books.sqlite")
    return simnet_config(tmp_path)


@pytest.fixture
def simnet(tmp_path: Path, config: dict[str, Any]) -> Iterator[Simnet]:
    """The outside world of that configuration."""
    with Simnet(config["coins"]["btc"]["backend"]["path"], BITCOIN) as simnet:
        yield simnet
