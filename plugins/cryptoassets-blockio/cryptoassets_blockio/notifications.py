"""What the service tells by itself: a hint to look at a transaction, and never more."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Final

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_core.backend.base import CoinBackend, Txid
from cryptoassets_core.errors import ConfigurationError

_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")

#: Kinds of events that name a transaction; ``account`` events come under the first of them.
_ABOUT_TRANSACTIONS: Final = frozenset({"address", "new-transactions"})


class NotUnderstood(ValueError):
    """It is no notification of this account; the text says why and repeats nothing of it."""


class Reader:
    """Reads notifications of one network.

    :ivar stats: counts of ``notified``, ``passed_over`` and ``refused`` messages.
    """

    def __init__(self, network: str) -> None:
        self._network = network
        self.stats: Counter[str] = Counter()

    def read(self, message: str | bytes) -> Txid | None:
        """Return the transaction that a message is about; None for pings, greetings and what is not about one.

        :raises NotUnderstood: it is nothing the service sends, or about another network.
        """
        try:
            txid = self._txid(message)
        except NotUnderstood:
            self.stats["refused"] += 1
            raise
        self.stats["passed_over" if txid is None else "notified"] += 1
        return txid

    def _txid(self, message: str | bytes) -> Txid | None:
        try:
            envelope = json.loads(message)
        except (ValueError, RecursionError):
            raise NotUnderstood("it is not JSON") from None
        if not isinstance(envelope, dict):
            raise NotUnderstood("it is no JSON object")
        if envelope.get("type") not in _ABOUT_TRANSACTIONS:
            return None
        data = envelope.get("data")
        if not isinstance(data, dict):
            raise NotUnderstood("it has no data")
        if data.get("network") != self._network:
            raise NotUnderstood(f"it is about another network than {self._network}")
        txid = data.get("txid")
        if not isinstance(txid, str) or not _TXID.fullmatch(txid):
            raise NotUnderstood("it has no txid")
        return Txid(txid.lower())


def blockio_backend(backend: CoinBackend, channel: str) -> BlockIoBackend:
    """Let through a backend whose account a channel can use.

    :raises ConfigurationError: it is another one.
    """
    if not isinstance(backend, BlockIoBackend):
        raise ConfigurationError(
            f"the channel {channel} tells of block.io accounts only; use it with the backend blockio"
        )
    return backend
