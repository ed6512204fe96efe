"""Rows made in Python arrive in the database as they are, whatever is in their texts."""

from __future__ import annotations

import pytest
from chain_world import World
from sqlalchemy import BigInteger, Boolean, String, select

from cryptoassets_core.ledger.rowset import rowset

PLAIN = ["a", "", "NULL", 'quote " and back \\ slash', "{curly, braces}", "ß€\n\t'", "unit separator's neighbour \x1e"]


@pytest.mark.parametrize("texts", [[], ["one"], PLAIN, [*PLAIN, None], [*PLAIN, "a \x1f in it", '\x1f"'], [None, None]])
def test_rows_arrive_as_they_are(books_url: str, tmp_path: object, texts: list[str | None]) -> None:
    rows = [(number, text, text is None) for number, text in enumerate(texts)]
    world = World(books_url, tmp_path)  # type: ignore[arg-type]

    def read(session: object) -> list[tuple[object, ...]]:
        given = rowset(session, "given", {"id": BigInteger, "text": String, "missing": Boolean}, rows)  # type: ignore[arg-type]
        found = session.execute(select(given).order_by(given.c.id))  # type: ignore[attr-defined]
        return [(row.id, row.text, bool(row.missing)) for row in found]

    assert world.run(read) == rows
    world.close()
