"""The tables of one coin, as the ledger sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Table

from cryptoassets_core.coin.description import CoinDescription


@dataclass(frozen=True, slots=True, eq=False)
class Books:
    """The tables of one coin, with the model classes that are mapped to them."""

    coin: CoinDescription
    wallet: Table
    account: Table
    address: Table
    transaction: Table
    network_transaction: Table
    sync_state: Table
    #: Model class of each table that has one, by role.
    models: Mapping[str, Any]
    #: Statements that are worth building once, by name.
    statements: dict[str, Any] = field(default_factory=dict)
    #: The most that one person moves by a transfer, in minor units; None if an app sets no limit.
    max_transfer: int | None = None

    @classmethod
    def of(cls, coin: CoinDescription, tables: Mapping[str, Table], models: Mapping[str, Any]) -> Books:
        """Pick the coin's tables."""
        return cls(
            coin=coin,
            wallet=tables[f"{coin.symbol}_wallet"],
            account=tables[f"{coin.symbol}_account"],
            address=tables[f"{coin.symbol}_address"],
            transaction=tables[f"{coin.symbol}_transaction"],
            network_transaction=tables[f"{coin.symbol}_network_transaction"],
            sync_state=tables[f"{coin.symbol}_sync_state"],
            models=models,
        )

    def limited(self, max_transfer: int | None) -> Books:
        """Return the books, which all apps share, under one app's limit for transfers, in minor units."""
        return self if max_transfer == self.max_transfer else replace(self, max_transfer=max_transfer)
