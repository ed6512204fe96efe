"""A small chain: blocks, what waits for one, and which coins are spent. Amounts are minor units."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

from cryptoassets_blockio.transactions import Transaction
from cryptoassets_core.backend.base import Outpoint, Txid


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the chain."""

    height: int
    hash: str


@dataclass(slots=True)
class Entry:
    """A transaction that the network has seen."""

    txid: Txid
    transaction: Transaction
    raw: str
    #: Address of each output, None where it is not known.
    payees: tuple[str | None, ...]
    #: Addresses that the coins came from.
    senders: tuple[str, ...]
    #: What each input brought, None where nobody here knows.
    spent_minor: tuple[int | None, ...]
    #: Its place in the order of arrival.
    number: int
    seen_at: int
    #: The wallet that made it, None if somebody else did.
    own: bool = False
    block: Block | None = None
    #: Another transaction took its coins.
    conflicted: bool = False


@dataclass(slots=True)
class Chain:
    """The network as one account sees it; callers hold the account's lock."""

    name: str
    blocks: list[Block] = field(default_factory=list)
    entries: dict[Txid, Entry] = field(default_factory=dict)
    spent_by: dict[Outpoint, Txid] = field(default_factory=dict)
    waiting: dict[Txid, None] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def height(self) -> int:
        """Number of the best block."""
        return len(self.blocks)

    def confirmations(self, entry: Entry) -> int:
        """Count the blocks on a transaction; below zero if it is in conflict."""
        if entry.conflicted:
            return -1
        return 0 if entry.block is None else self.height - entry.block.height + 1

    def unique(self) -> int:
        """Return a number that was never returned before."""
        return next(self._numbers)

    def accept(self, entry: Entry) -> None:
        """Take a transaction into the mempool; its coins are free."""
        self.entries[entry.txid] = entry
        self.waiting[entry.txid] = None
        for outpoint in entry.transaction.outpoints:
            self.spent_by[outpoint] = entry.txid

    def mine(self, blocks: int = 1, *, leave: frozenset[Txid] = frozenset()) -> list[Entry]:
        """Add blocks; the first takes what waits.

        :param leave: transactions that no block takes.
        :returns: what got its first confirmation.
        """
        mined = []
        for _ in range(blocks):
            text = f"{self.name} block {self.height + 1} {self.unique()}"
            self.blocks.append(Block(self.height + 1, hashlib.sha256(text.encode()).hexdigest()))
            for txid in [txid for txid in self.waiting if txid not in leave]:
                del self.waiting[txid]
                self.entries[txid].block = self.blocks[-1]
                mined.append(self.entries[txid])
        return mined

    def take_back(self, blocks: int) -> None:
        """Take the last blocks off the chain; what was in them waits again."""
        gone = {block.hash for block in self.blocks[len(self.blocks) - blocks :]}
        del self.blocks[len(self.blocks) - blocks :]
        for entry in self.entries.values():
            if entry.block is not None and entry.block.hash in gone:
                entry.block = None
                self.waiting[entry.txid] = None

    def drop(self, txid: Txid) -> list[Entry]:
        """Take a transaction, and what spends it, out of the network for good."""
        entry = self.entries[txid]
        dropped = [entry]
        entry.conflicted, entry.block = True, None
        self.waiting.pop(txid, None)
        for outpoint in entry.transaction.outpoints:
            if self.spent_by.get(outpoint) == txid:
                del self.spent_by[outpoint]
        for vout in range(len(entry.payees)):
            child = self.spent_by.get(Outpoint(txid, vout))
            if child is not None:
                dropped += self.drop(child)
        return dropped
