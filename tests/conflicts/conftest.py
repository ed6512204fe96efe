"""A table of an application's own, on each kind of database; no app is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counters import counting
from kit import sqlite_file
from sqlalchemy import Engine


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = request.param == "sqlite"
    url = sqlite_file(tmp_path / "own.sqlite") if sqlite else request.getfixturevalue("postgres_url")
    with counting(url) as engine:
        yield engine


@pytest.fixture
def pg_engine(postgres_url: str) -> Iterator[Engine]:
    with counting(postgres_url) as engine:
        yield engine
