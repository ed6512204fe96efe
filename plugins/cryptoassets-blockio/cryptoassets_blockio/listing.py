"""What changed since a checkpoint, from a service that knows neither blocks nor checkpoints.

A block is named here by a transaction in it: the checkpoint names a received transaction that, like everything older,
had at least the depth that was asked for, and the block that included it. With each block its confirmations grow by
one, so whatever has fewer than it came after it: what is below it was deep then and is deeper now, and what is above it
is listed every time, by which reorganisations show. If it is gone, not deep any more or in another block, everything is
listed.

The best block is named by a hash over the newest page with a confirmed transaction on it, which changes with each block
and each new deposit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final

from cryptoassets_blockio.itemfile import ItemFile
from cryptoassets_blockio.pages import Item, Pages
from cryptoassets_blockio.raw import Raw, RawTransactions
from cryptoassets_core.backend.base import BlockHash, ChainChanges, ReceivedOutput, Txid, WalletTransaction

#: Checkpoint of a wallet without anything deep; it is never found, so everything is listed.
BEGINNING: Final = BlockHash("0" * 64)

#: Digits of the txid that a checkpoint begins with; those of the block follow.
_TXID_DIGITS: Final = 40

#: Pages of each kind on which transactions are looked for by name before they are asked for one by one.
_PAGES_BY_NAME: Final = 4

#: Transactions asked for one by one in one go: who floods us with made-up ones must not flood the service.
_MOST_BY_NAME: Final = 20


class Listing:
    """The wallet's transactions, as the kernel wants to hear of them."""

    def __init__(self, pages: Pages, raw: RawTransactions, own: Callable[[], frozenset[str]]) -> None:
        """
        :param own: addresses of the wallet that belong to no account, to which change goes too.
        """
        self._pages = pages
        self._raw = raw
        self._own = own

    def tip(self) -> BlockHash:
        """Name the best block, by one page as a rule."""
        head: list[Item] = []
        for page in self._pages.walk("received"):
            head += page
            if _has_confirmed(page):
                break
        return _name(head)

    def since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List what changed; see :py:meth:`cryptoassets_core.backend.base.CoinBackend.list_since`."""
        head: list[Item] = []
        received = ItemFile()
        deepest, anchor = _NewestDeep(depth), None
        for page in self._pages.walk("received"):
            if not _has_confirmed(head):
                head += page
            anchor = next((item for item in page if _is_named(item, checkpoint)), None)
            if anchor is not None and (anchor.confirmations < depth or self._name_checkpoint(anchor) != checkpoint):
                anchor = checkpoint = None  # the chain has changed below it
            position = len(page) if anchor is None else page.index(anchor)
            received.add(page[:position])
            deepest.look_at(page[:position])
            if anchor is not None:
                received.add(item for item in page[position:] if item.confirmations < depth)
                break
        sent = self._sent_since(anchor)
        return ChainChanges(
            tip=_name(head),
            checkpoint=self._next_checkpoint(checkpoint, anchor, deepest.item),
            transactions=self._merged(received, sent),
        )

    def _next_checkpoint(self, checkpoint: BlockHash | None, anchor: Item | None, newest: Item | None) -> BlockHash:
        if newest is not None:
            return self._name_checkpoint(newest)
        return BEGINNING if anchor is None or checkpoint is None else checkpoint

    def _name_checkpoint(self, item: Item) -> BlockHash:
        raw = self._raw.look_up(item.txid)
        block = (raw.block_hash if raw is not None else None) or BEGINNING
        return BlockHash(item.txid[:_TXID_DIGITS] + block[: len(BEGINNING) - _TXID_DIGITS])

    def by_name(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Look transactions up: on the newest pages first, then one by one."""
        wanted = list(dict.fromkeys(txids))
        if not wanted:
            return {}
        received = self._look_through("received", set(wanted))
        sent = self._look_through("sent", set(wanted))
        found = {each.txid: each for each in self._merged(received, sent)}
        for txid in [txid for txid in wanted if txid not in found][:_MOST_BY_NAME]:
            raw = self._raw.look_up(txid)
            if raw is not None:
                found[txid] = _from_raw(raw)
        return found

    def _look_through(self, kind: str, wanted: set[Txid]) -> ItemFile:
        matching = ItemFile()
        walk = self._pages.walk("received" if kind == "received" else "sent")
        for page in islice(walk, _PAGES_BY_NAME if len(wanted) > 1 else 1):
            matching.add(item for item in page if item.txid in wanted)
            if len(matching) == len(wanted):
                break
        return matching

    def _sent_since(self, anchor: Item | None) -> ItemFile:
        recent = ItemFile()
        for page in self._pages.walk("sent"):
            recent.add(item for item in page if anchor is None or item.confirmations < anchor.confirmations)
            if anchor is not None and page[-1].confirmations >= anchor.confirmations:
                break
        return recent

    def _merged(self, received: ItemFile, sent: ItemFile) -> Iterator[WalletTransaction]:
        """Make one transaction of what the two listings say of it, oldest first; asks for the costs of what is sent."""
        for item in received.oldest_first():
            yield self._transaction(item, sent.get(item.txid))
        for item in sent.oldest_first():
            if received.get(item.txid) is None:
                yield self._transaction(None, item)

    def _transaction(self, received: Item | None, sent: Item | None) -> WalletTransaction:
        item = received or sent
        if item is None:
            raise ValueError("a transaction is in one of the listings")
        alive = item.confirmations >= 0
        change = item.senders
        cost = None
        if sent is not None:
            own = self._own()
            change, cost = change | own, self._raw.cost(item.txid, own=own) if alive else None
        outputs = () if received is None or not alive else received.amounts
        return WalletTransaction(
            txid=item.txid,
            confirmations=item.confirmations,
            received=_received(((address, amount, at) for at, (address, amount) in enumerate(outputs)), change),
            fee=None if cost is None else cost.fee,
            sent=Decimal(0) if cost is None else cost.sent,
        )


def _from_raw(raw: Raw) -> WalletTransaction:
    # All its outputs, for it is not said whose they are; the kernel takes what belongs to its accounts.
    return WalletTransaction(
        txid=raw.txid,
        confirmations=raw.confirmations,
        received=_received(raw.outputs, raw.senders) if raw.confirmations >= 0 else (),
    )


def _received(outputs: Iterable[tuple[str, Decimal, int]], change: frozenset[str]) -> tuple[ReceivedOutput, ...]:
    """Leave out change: who pays the address that the coins came from is the address's owner, which is us."""
    return tuple(ReceivedOutput(address, amount, vout) for address, amount, vout in outputs if address not in change)


def _is_named(item: Item, checkpoint: BlockHash | None) -> bool:
    return checkpoint is not None and item.txid[:_TXID_DIGITS] == checkpoint[:_TXID_DIGITS]


class _NewestDeep:
    """Finds in a listing, newest first, the newest transaction that is deep, as everything older is."""

    def __init__(self, depth: int) -> None:
        self.item: Item | None = None
        self._depth = depth

    def look_at(self, items: Iterable[Item]) -> None:
        for item in items:
            if abs(item.confirmations) < self._depth:
                self.item = None
            elif self.item is None and item.confirmations > 0:
                self.item = item


def _has_confirmed(page: Sequence[Item]) -> bool:
    return any(item.confirmations > 0 for item in page)


def _name(head: Sequence[Item]) -> BlockHash:
    facts = [[item.txid, item.confirmations] for item in head]
    return BlockHash(hashlib.sha256(json.dumps(facts).encode()).hexdigest())
