"""The backend ``null``: talks to nobody. For books without a network, such as those of an application's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    OneShotBackend,
    SentTransaction,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import BackendRejectedError

logger = logging.getLogger(__name__)

#: The only block there will ever be.
_NOTHING: Final = BlockHash("0" * 64)


class NullBackend(OneShotBackend):
    """Sees nothing happen, holds nothing, and refuses in a sentence what would need a network."""

    def __init__(self, coin: CoinDescription, network: Network, options: BackendOptions) -> None:
        super().__init__(coin, network, options)
        logger.warning("%s has the null backend: no address, no deposit and no withdrawal is possible", coin.symbol)

    def check(self) -> None:
        """Be content."""

    def create_address(self, label: str) -> str:
        """Refuse: whoever paid an address without a wallet behind it would lose the coins.

        :raises BackendRejectedError: always.
        """
        raise self._refusal("makes no addresses")

    def get_tip(self) -> BlockHash:
        """Return the same block at all times."""
        return _NOTHING

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List nothing."""
        return ChainChanges(_NOTHING, _NOTHING, ())

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Know of none."""
        return {}

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        """Hold nothing."""
        return Decimal(0)

    def send(self, recipients: Mapping[str, Decimal], label: str) -> SentTransaction:
        """Refuse; withdrawals stay in the queue for the backend that is configured later.

        :raises BackendRejectedError: always.
        """
        raise self._refusal("sends nothing")

    def _refusal(self, what: str) -> BackendRejectedError:
        return BackendRejectedError(
            f"the null backend of {self.coin.symbol} {what}; configure a backend that talks to a network"
        )
