"""The pytest plugin ``cryptoassets_simnet``: applications on a simulated network. Imports nothing before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cryptoassets_simnet.apps import SimnetApp


@pytest.fixture
def make_simnet_app(tmp_path: Path) -> Iterator[Callable[..., SimnetApp]]:
    """Make applications: ``make_simnet_app(symbol="ltc", url=postgres_url, confirmation_count=6)``.

    Without ``url`` the books are an SQLite file; the coin's plugin must be installed.
    """
    from cryptoassets_simnet.apps import SimnetApp  # noqa: PLC0415

    made: list[SimnetApp] = []

    def make(*, symbol: str = "btc", url: str | None = None, **coin_settings: Any) -> SimnetApp:
        place = tmp_path / f"simnet-{len(made)}"
        place.mkdir()
        books = url or f"sqlite:///{place / 'books.sqlite'}"
        made.append(SimnetApp(books, place / "chain", symbol=symbol, **coin_settings))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def simnet_app(make_simnet_app: Callable[..., SimnetApp]) -> SimnetApp:
    """An application with Bitcoin on a simulated network and its books in an SQLite file."""
    return make_simnet_app()
