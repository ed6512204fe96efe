"""What the service tells by itself: a hint to look at a transaction, and never more."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from cryptoassets_core.backend.base import Txid

_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")

#: Kinds of events that name a transaction; ``account`` events come under the first of them.
_ABOUT_TRANSACTIONS: Final = frozenset({"address", "new-transactions"})


class NotUnderstood(ValueError):
    """It is no notification of this account; the text says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the service said."""

    #: The transaction that it is about, None if it is about none.
    txid: Txid | None = None
    #: Whether it grants what we asked for; None if it is no answer.
    granted: bool | None = None


class Reader:
    """Reads notifications of one network.

    :ivar stats: counts of ``notified``, ``passed_over`` and ``refused`` messages.
    """

    def __init__(self, network: str) -> None:
        self._network = network
        self.stats: Counter[str] = Counter()

    def read(self, message: str | bytes) -> Message:
        """Return what a message says; nothing for pings and for what is not about transactions.

        :raises NotUnderstood: it is nothing the service sends, or about another network.
        """
        try:
            said = self._said(message)
        except NotUnderstood:
            self.stats["refused"] += 1
            raise
        self.stats["passed_over" if said.txid is None else "notified"] += 1
        return said

    def _said(self, message: str | bytes) -> Message:
        try:
            envelope = json.loads(message)
        except (ValueError, RecursionError):
            raise NotUnderstood("it is not JSON") from None
        if not isinstance(envelope, dict):
            raise NotUnderstood("it is no JSON object")
        if envelope.get("type") in _ABOUT_TRANSACTIONS:
            return Message(txid=self._txid(envelope.get("data")))
        status = envelope.get("status")
        return Message(granted=None if status is None else status == "success")

    def _txid(self, data: object) -> Txid:
        if not isinstance(data, dict):
            raise NotUnderstood("it has no data")
        if data.get("network") != self._network:
            raise NotUnderstood(f"it is about another network than {self._network}")
        txid = data.get("txid")
        if not isinstance(txid, str) or not _TXID.fullmatch(txid):
            raise NotUnderstood("it has no txid")
        return Txid(txid.lower())
