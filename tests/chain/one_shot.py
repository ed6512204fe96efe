"""A simulated network behind a backend that can only send in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from chain_world import World

from cryptoassets_core.backend.base import (
    BlockHash,
    ChainChanges,
    OneShotBackend,
    SentTransaction,
    Txid,
    WalletTransaction,
)


class OneShotSimnet(OneShotBackend):
    """Signs and publishes in one call.

    :ivar labels: what it was asked to send, in order.
    """

    def __init__(
        self,
        world: World,
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[SentTransaction], Any] = lambda sent: sent,
        tells_fee: bool = True,
    ) -> None:
        self.inner = world.backend
        self.coin = self.inner.coin
        self.network = self.inner.network
        self.labels: list[str] = []
        self._before = before
        self._after = after
        self._tells_fee = tells_fee

    def send(self, recipients: Mapping[str, Decimal], label: str) -> SentTransaction:
        self.labels.append(label)
        self._before()
        prepared = self.inner.prepare(recipients)
        self.inner.submit(prepared)
        sent = SentTransaction(prepared.txid, prepared.fee if self._tells_fee else None)
        answer: SentTransaction = self._after(sent)
        return answer

    def check(self) -> None:
        self.inner.check()

    def create_address(self, label: str) -> str:
        return str(self.inner.create_address(label))

    def get_tip(self) -> BlockHash:
        return BlockHash(self.inner.get_tip())

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        changes: ChainChanges = self.inner.list_since(checkpoint, depth=depth)
        return changes

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        found: Mapping[Txid, WalletTransaction] = self.inner.get_transactions(txids)
        return found

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        return Decimal(self.inner.get_backend_balance(confirmations))
