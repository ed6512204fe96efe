"""Publishing a stored transaction, again and again if need be, and finding it when nobody said what became of it.

The service completes our signatures with its own, so the txid of coins from old-style addresses is known only
afterwards. What is known before is what the transaction spends and pays: by that it is found again. Nothing is declared
dead but on proof, which is another transaction that spends one of its inputs and is in the chain.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.pages import Pages
from cryptoassets_blockio.payload import Payload, load_payload
from cryptoassets_blockio.raw import Raw, RawTransactions
from cryptoassets_blockio.transactions import Transaction
from cryptoassets_core.backend.base import PreparedTransaction, Txid
from cryptoassets_core.errors import BackendError, BroadcastDeadError, OutcomeUnknownError

logger = logging.getLogger(__name__)

#: What was sent so much earlier than a transaction was prepared cannot be it, however clocks differ.
_CLOCK_SECONDS: Final = 6 * 3600

#: Transactions looked at to find one; more were sent only by somebody else with the same account.
_MOST_CANDIDATES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One account's way of publishing."""

    client: BlockIoClient
    pages: Pages
    raw: RawTransactions
    network: str

    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Publish; see :py:meth:`cryptoassets_core.backend.base.TwoStepBackend.submit`."""
        payload = load_payload(prepared.raw)
        if payload.network != self.network:
            raise BackendError(f"the stored transaction is for {payload.network}, and this backend for {self.network}")
        try:
            data = self.client.call("submit_transaction", transaction_data=payload.transaction_data)
        except ServiceRefusal as refusal:
            return self._judge(prepared, payload, refusal)
        txid = answers.txid(data.get("txid"), "submit_transaction.txid")
        return txid if txid == prepared.txid else self._true_name(txid, prepared, payload)

    def _true_name(self, said: Txid, prepared: PreparedTransaction, payload: Payload) -> Txid:
        """Return the txid under which the network has our transaction, when the service named one nobody foresaw.

        It may have gone out before, signed by the service in another way: then it answers with the newer txid, and the
        network has the older one.
        """
        if prepared.txid is not None and self._is_alive(prepared.txid):
            return prepared.txid
        raw = self.raw.look_up(said)
        if raw is not None and raw.transaction is not None and _is_same(raw.transaction, payload.unsigned):
            return said
        found = self._find(payload)
        if found is not None:
            logger.warning("block.io named %s for a transaction that the network has as %s", said, found)
            return found
        if prepared.txid is not None or (raw is not None and raw.transaction is not None):
            raise OutcomeUnknownError(
                f"block.io names {said} for a transaction that is another one; it is submitted again, look at both"
            )
        # What the service lists may be late; it is submitted again while it is unconfirmed, which settles it.
        return said

    def _is_alive(self, txid: Txid) -> bool:
        known = self.raw.look_up(txid)
        return known is not None and known.confirmations >= 0

    def _judge(self, prepared: PreparedTransaction, payload: Payload, refusal: ServiceRefusal) -> Txid:
        """Return the txid if the refused transaction is on the network all the same, and raise what is known else."""
        if prepared.txid is not None and self._is_alive(prepared.txid):
            return prepared.txid
        found = self._find(payload)
        if found is not None:
            return found
        raise OutcomeUnknownError(
            f"the transaction is not accepted now and must be submitted again: {refusal}"
        ) from None

    def _find(self, payload: Payload) -> Txid | None:
        """Find our transaction by what it spends and pays.

        :raises BroadcastDeadError: another one that is in the chain has spent its coins.
        """
        ours = payload.unsigned
        rival: tuple[Raw, Transaction] | None = None
        for raw in self._candidates(payload):
            theirs = raw.transaction
            if theirs is None or raw.confirmations < 0 or set(theirs.outpoints).isdisjoint(ours.outpoints):
                continue
            if Counter(theirs.outputs) == Counter(ours.outputs):
                return raw.txid
            if raw.confirmations > 0:
                rival = raw, theirs
        if rival is not None:
            (taken,) = list(set(rival[1].outpoints) & set(ours.outpoints))[:1]
            raise BroadcastDeadError(
                f"the transaction cannot confirm: its input {taken.txid}:{taken.vout} was spent by {rival[0].txid}",
                depth=rival[0].confirmations,
            )
        return None

    def _candidates(self, payload: Payload) -> Iterator[Raw]:
        """List what the wallet sent since a transaction was prepared, newest first."""
        since = payload.prepared_at - _CLOCK_SECONDS
        items = (item for page in self.pages.walk("sent") for item in page)
        for item in islice(items, _MOST_CANDIDATES):
            if item.time < since and item.confirmations > 0:
                return
            raw = self.raw.look_up(item.txid)
            if raw is not None:
                yield raw


def _is_same(one: Transaction, other: Transaction) -> bool:
    """Tell whether both do the same: of two that spend the same coins only one can confirm."""
    return set(one.outpoints) == set(other.outpoints) and Counter(one.outputs) == Counter(other.outputs)
