"""What came and went past the accounts, and how far imports and adjustments cover it.

All of it, from before the books began on, may be as long as the wallet's history, so it is kept in a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cryptoassets_core.backend.base import Txid

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Settled:
    """What imports and adjustments were for."""

    #: How many network transactions past the accounts, from the oldest on.
    passing: int
    #: What was given to accounts of the deposits that are too small to be credited, whole coins.
    given: Decimal


class Passing:
    """Network transactions past the accounts, in a temporary file of this process that vanishes with it."""

    def __init__(self) -> None:
        # As in SortedListing: without a name it is private, and on disk as far as it does not fit into a small cache.
        self._db = sqlite3.connect("")
        self._db.execute(
            "CREATE TABLE passing (confirmations INTEGER, txid TEXT, amount TEXT, settled INTEGER,"
            " PRIMARY KEY (confirmations DESC, txid)) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Remove the file."""
        self._db.close()

    def add(self, txid: Txid, amount: Decimal, *, confirmations: int, settled: bool) -> None:
        """Keep one.

        :param amount: whole coins by which the backend holds more because of it.
        :param settled: it will not go away again: deep enough to be credited if it were a deposit, or paid by the
            wallet itself.
        """
        self._db.execute("INSERT INTO passing VALUES (?, ?, ?, ?)", (confirmations, txid, str(amount), settled))

    def total(self, *, settled: bool = False) -> Decimal:
        """Return what they come to, whole coins.

        :param settled: only those that will not go away again.
        """
        rows = self._db.execute("SELECT amount FROM passing WHERE settled >= ?", (settled,))
        return sum((Decimal(amount) for (amount,) in rows), _NOTHING)

    def beyond(self, count: int) -> Iterator[tuple[Txid, Decimal]]:
        """Hand out txid and amount of each behind so many of the oldest, as far as they have an order."""
        rows = self._db.execute(
            "SELECT txid, amount FROM passing ORDER BY confirmations DESC, txid LIMIT -1 OFFSET ?", (count,)
        )
        for txid, amount in rows:
            yield Txid(txid), Decimal(amount)

    def settled_by(self, imported: Decimal, *, below_minimum: Decimal) -> Settled | None:
        """Tell what was imported for: as little as possible of too small deposits, and as many others as possible.

        :returns: None if no such sum is what was imported.
        """
        total, found = _NOTHING, None
        for count, amount in enumerate(self._amounts_behind_nothing()):
            total += amount
            given = imported - total
            if 0 <= given <= below_minimum and (found is None or given <= found.given):
                found = Settled(count, given)
        return found

    def _amounts_behind_nothing(self) -> Iterator[Decimal]:
        yield _NOTHING
        for _, amount in self.beyond(0):
            yield amount
