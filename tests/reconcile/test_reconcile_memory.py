"""However long the history is, what a comparison holds is what differs."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World
from kit import seen
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import ChainChanges, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.tools import reconcile as module
from cryptoassets_core.tools import reconcilerows
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.utils.iterutil import grouper

#: Top-ups for each deposit, and what both come to.
_TOP_UPS = 9
_HELD = Decimal(1 + 2 * _TOP_UPS)


class Wallet:
    """A backend whose listing is made while it is read: deposits of 1, and top-ups of 2, which are imported."""

    def __init__(self, world: World) -> None:
        self.number = 0
        self.backend = Observed(world.backend, after=self._answer)
        self._world = world
        self._address = world.address()

    def grow(self, number: int) -> None:
        """Add so many of both, to the listing and to the books."""
        deposits = (self._deposit(each) for each in range(self.number, self.number + number))
        self.number += number
        for chunk in grouper(500, deposits):
            self._world.run(lambda session, chunk=chunk: apply_transactions(session, self._world.coin, chunk))  # type: ignore[misc]
        if number:
            self._world.run(lambda session: self._import(session, Decimal(2 * _TOP_UPS * number)))

    def _import(self, session: Session, amount: Decimal) -> None:
        account = session.get_one(self._world.coin.account_model, self._world.account())
        account.wallet.import_balance(account, amount)

    def _deposit(self, number: int) -> WalletTransaction:
        return seen(("deposit", number), {self._address: "1"}, 20)

    def _listing(self) -> Iterator[WalletTransaction]:
        for each in range(self.number):
            yield self._deposit(each)
            for part in range(_TOP_UPS):
                yield seen(("top-up", each, part), {"nobody's": "2"}, 100 + each)

    def _answer(self, name: str, answer: Any) -> Any:
        if name == "list_since":
            return ChainChanges(answer.tip, answer.checkpoint, self._listing())
        return _HELD * self.number if name == "get_backend_balance" else answer


def peak_of(wallet: Wallet, world: World) -> int:
    """Return the bytes that a comparison takes at most."""
    with world.app.open_readonly_session() as session:
        gc.collect()
        tracemalloc.start()
        try:
            found = reconcile(session, world.coin, wallet.backend)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (found.balanced, found.passed, found.differences) == (True, 2 * _TOP_UPS * wallet.number, [])
    return peak


def test_memory_does_not_grow_with_the_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (module, reconcilerows):
        monkeypatch.setattr(each, "CHUNK", 50)
    wallet = Wallet(world)
    peaks = []
    for number in (120, 0, 120):
        wallet.grow(number)
        peaks.append(peak_of(wallet, world))  # the first time is for what is made once
    assert peaks[2] < 1.3 * peaks[1]


def test_order_of_the_databases_collation_is_not_asked_for(world: World) -> None:
    """Both sides are gone through in one order, or each transaction would be missing on one of them."""
    wallet = Wallet(world)
    wallet.grow(20)
    with world.counting_statements() as statements, world.app.open_readonly_session() as session:
        assert reconcile(session, world.coin, wallet.backend).balanced
    in_order = [each for each in statements if "ORDER BY btc_network_transaction.txid" in each]
    assert len(in_order) == 2
    if not world.url.startswith("sqlite"):
        assert all('ORDER BY btc_network_transaction.txid COLLATE "C"' in each for each in in_order)
