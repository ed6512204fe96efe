"""Functions that live in the database beside a coin's tables."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, MetaData, Table, event

from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.transferfunction import transfer_function


def define_functions(coin: CoinDescription, metadata: MetaData) -> None:
    """Have the functions created with the coin's transaction table, where the database has such a language."""

    @event.listens_for(metadata, "after_create")
    def _create(_target: MetaData, connection: Connection, tables: Sequence[Table] = (), **_: object) -> None:
        books = Books.of(coin, metadata.tables, metadata.info["models"])
        if books.transaction in tables and connection.dialect.name == "postgresql":
            connection.exec_driver_sql(transfer_function(books, connection.dialect))
