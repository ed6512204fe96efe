"""A listing while it is read: it comes newest first, is handed on oldest first, and may be years long."""

from __future__ import annotations

import pickle
import sqlite3
import weakref
from collections.abc import Iterable, Iterator

from cryptoassets_blockio.pages import Item
from cryptoassets_core.backend.base import Txid


class ItemFile:
    """Items of one listing, in a temporary file that is gone when nobody has the object any more."""

    def __init__(self) -> None:
        # A database without a name is private, and on disk as far as it does not fit into a small cache. Source:
        # SQLite documentation, "In-Memory Databases", "Temporary Databases". Whoever drops it last may be any thread.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("CREATE TABLE item (place INTEGER PRIMARY KEY, txid TEXT UNIQUE, content BLOB)")
        weakref.finalize(self, self._db.close)

    def add(self, items: Iterable[Item]) -> None:
        """Keep items, newest first, each txid once."""
        self._db.executemany(
            "INSERT INTO item (txid, content) VALUES (?, ?)", ((each.txid, pickle.dumps(each)) for each in items)
        )

    def __len__(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM item").fetchone()[0]
        return count

    def oldest_first(self) -> Iterator[Item]:
        """Hand out all items one by one."""
        for (content,) in self._db.execute("SELECT content FROM item ORDER BY place DESC"):
            yield _item(content)

    def get(self, txid: Txid) -> Item | None:
        """Return the item of a transaction, None if it is not there."""
        row = self._db.execute("SELECT content FROM item WHERE txid = ?", (txid,)).fetchone()
        return None if row is None else _item(row[0])


def _item(content: bytes) -> Item:
    item: Item = pickle.loads(content)  # noqa: S301 - written above, by nobody else
    return item
