"""What the tests of reconciling share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_world import World


@pytest.fixture
def world(books_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(books_url, tmp_path)
    yield made
    made.close()
