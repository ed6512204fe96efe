"""A listing in an order that the next one will have too, however long it is: it is sorted in a file."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterable, Iterator

from cryptoassets_core.backend.base import Txid, WalletTransaction


class SortedListing:
    """Transactions in the order of their txids, in a temporary file of this process that vanishes with it."""

    def __init__(self, transactions: Iterable[WalletTransaction]) -> None:
        """Read and keep all of them; of two with one txid, the later."""
        # A database without a name is private, and on disk as far as it does not fit into a small cache. Source:
        # SQLite documentation, "In-Memory Databases", "Temporary Databases".
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE listed (txid TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID")
        self._db.executemany(
            "INSERT OR REPLACE INTO listed VALUES (?, ?)", ((each.txid, pickle.dumps(each)) for each in transactions)
        )

    def __len__(self) -> int:
        return self._count("SELECT count(*) FROM listed")

    def count_up_to(self, position: Txid | None) -> int:
        """Return how many come before a position and at it; None is before all of them."""
        return self._count("SELECT count(*) FROM listed WHERE txid <= ?", position or "")

    def after(self, position: Txid | None) -> Iterator[WalletTransaction]:
        """Hand out those behind a position one by one."""
        rows = self._db.execute("SELECT content FROM listed WHERE txid > ? ORDER BY txid", (position or "",))
        for (content,) in rows:
            transaction: WalletTransaction = pickle.loads(content)  # noqa: S301 - written above, by nobody else
            yield transaction

    def close(self) -> None:
        """Remove the file."""
        self._db.close()

    def _count(self, query: str, *values: str) -> int:
        found: int = self._db.execute(query, values).fetchone()[0]
        return found
