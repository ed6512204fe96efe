"""Which driver a database URL means."""

from __future__ import annotations

import pytest

from cryptoassets_core.database import connect


@pytest.mark.parametrize("url", ["postgresql://user@localhost/shop", "postgresql+psycopg2://user@localhost/shop"])
def test_postgresql_is_spoken_by_the_driver_that_is_installed_with_us(url: str) -> None:
    engine = connect(url)

    assert engine.dialect.driver == "psycopg2"
    assert engine.url.host == "localhost"
