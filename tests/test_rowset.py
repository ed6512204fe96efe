"""Rows made in Python arrive in the database as they are, whatever is in their texts."""

from __future__ import annotations

import pytest
from chain_world import World
from sqlalchemy import BigInteger, Boolean, String, create_engine, select, text
from sqlalchemy.orm import Session

from cryptoassets_core.ledger.rowset import join_by_index, rowset
from cryptoassets_core.testing.postgres import PostgresServer

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


@pytest.mark.postgres
def test_forbidden_scan_is_not_compiled_for_seeming_dear(postgres_server: PostgresServer) -> None:
    """A table without an index has to be scanned all the same."""
    with postgres_server.database() as url, Session(create_engine(url)) as session:
        if not session.scalar(text("SELECT pg_jit_available()")):
            pytest.skip("this PostgreSQL was built without its compiler (Debian's has it)")
        session.execute(text("CREATE TABLE one_row AS SELECT 1 AS number"))
        change = text("EXPLAIN (ANALYZE) UPDATE one_row SET number = 2")

        join_by_index(session)
        plan = "\n".join(session.scalars(change))
        session.execute(text("SET LOCAL jit = on"))
        compiled = "\n".join(session.scalars(change))

    assert "JIT" not in plan
    assert "JIT" in compiled
