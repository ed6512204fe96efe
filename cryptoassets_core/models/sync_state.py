"""How far a coin's chain has been followed: one row a coin."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table

from cryptoassets_core.models.types import UTCDateTime


def sync_state_table(symbol: str, metadata: MetaData) -> Table:
    """Describe the coin's table.

    The row is written in the same database transaction as what was read from the chain, and locked by whoever does so.
    """
    return Table(
        f"{symbol}_sync_state",
        metadata,
        Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
        # Block from which the next listing continues.
        Column("checkpoint", String(64)),
        # Best block when the chain was last followed.
        Column("tip", String(64)),
        Column("synced_at", UTCDateTime),
        # Behind which txid an interrupted rescan goes on.
        Column("scan_position", String(64)),
    )
