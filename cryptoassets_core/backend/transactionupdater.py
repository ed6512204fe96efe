"""Follows a coin's chain: asks the backend what changed and has it written to the books.

Restart, catch-up, rescan and everyday following are the same path: list what changed since the stored checkpoint. A
wallet notification only brings the look at one transaction forward.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import ClassVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.base import BlockHash, ChainChanges, CoinBackend, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions, followed_deposits
from cryptoassets_core.backend.sortedlisting import SortedListing
from cryptoassets_core.backend.syncstate import (
    SyncState,
    read_scan_position,
    read_sync_state,
    take_turn,
    tracked_txids,
    write_scan_position,
    write_sync_state,
)
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.rowset import join_by_index
from cryptoassets_core.ledger.states import NetworkTransactionType
from cryptoassets_core.retirednames import HasRetiredNames
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

#: Network transactions written in one database transaction, by less than 20 statements whatever their number. Meanwhile
#: other followers of the coin wait, and accounts that are credited, for some tenths of a second.
CHUNK = 2500

#: Each statement of these transactions carries its own guard, and the sync_state row is their mutex.
ISOLATION_LEVEL = "READ COMMITTED"


class _Overtaken(Exception):
    """Another process has followed the chain since ours asked the backend: what we were told is yesterday's news."""


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """How far a rescan has come."""

    #: The coin's acronym.
    coin: str
    #: Network transactions that were looked at, by this scan or by one that was interrupted.
    done: int
    total: int


class TransactionUpdater(HasRetiredNames):
    """Brings the books of one coin up to date with its chain.

    :ivar last_wallet_notify: when the last notification came in, None before the first.
    :ivar stats: counts of ``wallet_notifies``, ``blocks`` and ``events``.
    :ivar unknown: network transactions with deposits that we follow, and of which the backend knew nothing when it was
        asked last: no proof that they are dead, so that nothing happens to them, but somebody should look.
    """

    retired_names: ClassVar[Mapping[str, str]] = {
        "event_handler_registry": "events go to the outbox; register handlers with app.event_handler_registry",
        "verify_amount": "every look at a transaction compares its amounts with those first reported; what differs is "
        "not credited, and told by the event deposit_disputed",
    }

    def __init__(self, conflict_resolver: ConflictResolver, backend: CoinBackend, coin: Coin) -> None:
        self.conflict_resolver = conflict_resolver
        self.backend = backend
        self.coin = coin
        self.last_wallet_notify: datetime | None = None
        self.stats: Counter[str] = Counter()
        self.unknown: frozenset[Txid] = frozenset()
        self._books = coin.wallet_model.books()
        # What was listed first must be written first, or confirmations would seem to go back.
        self._one_at_a_time = threading.Lock()

    @exactly
    def poll(self) -> int:
        """Follow the chain if there is a new block; without one this is one call to the backend.

        :returns: how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        tip = self.backend.get_tip()
        if tip == self._state().tip:
            return 0
        self.stats["blocks"] += 1
        return self.follow()

    @exactly
    def follow(self) -> int:
        """Write everything that changed since the checkpoint.

        :returns: how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        with self._one_at_a_time:
            while True:
                state = self._state()
                changes = self._listed_since(state.checkpoint)
                try:
                    return self._write(self._with_vanished(changes.transactions), state, changes)
                except _Overtaken:
                    logger.debug("%s: somebody else followed the chain meanwhile; asking again", self.coin.name)

    @exactly
    def rescan(self, on_progress: Callable[[ScanProgress], None] = lambda progress: None) -> int:
        """Look at everything that the backend knows, as if nothing had been seen, and follow the chain afterwards.

        How far it came is stored with each part of the work; the next one goes on there, in this process or another.

        :param on_progress: called at the beginning and after each part; what it raises ends the scan there.
        :returns: how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        events = 0
        with self._one_at_a_time:
            while True:
                state = self._state()
                try:
                    events += self._rescan(state, on_progress)
                    break
                except _Overtaken:
                    logger.debug("%s: somebody followed the chain meanwhile; asking again", self.coin.name)
        return events + self.follow()

    def _rescan(self, state: SyncState, on_progress: Callable[[ScanProgress], None]) -> int:
        # In the order of the txids, which another listing will have too; the chain's own is of no importance here.
        with closing(SortedListing(self._listed_since(None).transactions)) as listed:
            position = self.conflict_resolver.run(lambda session: read_scan_position(session, self._books))
            total, done = len(listed), listed.count_up_to(position)
            on_progress(ScanProgress(self.coin.name, done, total))
            events = 0
            for chunk in _chunks(listed.after(position)):
                done += len(chunk)
                note = partial(write_scan_position, self._books, chunk[-1].txid if done < total else None)
                events += self._write_chunk(chunk, state, note, unchanged_too=True)
                on_progress(ScanProgress(self.coin.name, done, total))
        return events

    def _listed_since(self, checkpoint: BlockHash | None) -> ChainChanges:
        depth = max(self.coin.max_confirmation_count, self.coin.confirmation_count)
        return self.backend.list_since(checkpoint, depth=depth)

    def handle_wallet_notify(self, txid: Txid) -> int:
        """Look at one network transaction now; see :py:meth:`handle_wallet_notifies`."""
        return self.handle_wallet_notifies([txid])

    def update_network_transaction_confirmations(
        self, transaction_type: str, txid: Txid, txdata: object = None
    ) -> tuple[int | None, int]:
        """Look at one network transaction now, and at nothing that a caller claims of it.

        :param transaction_type: ``deposit`` or ``broadcast``: a payment to ourselves is both.
        :param txdata: not believed, and there for callers of 2015: the backend is asked.
        :returns: the row's id, None if there is none, and how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        events = self.handle_wallet_notify(txid)
        network = self._books.network_transaction
        wanted = select(network.c.id).where(
            network.c.txid == txid, network.c.transaction_type == NetworkTransactionType(transaction_type)
        )
        return self.conflict_resolver.run(lambda session: session.scalar(wanted)), events

    @exactly
    def handle_wallet_notifies(self, txids: Sequence[Txid]) -> int:
        """Look at network transactions now; those that the backend's wallet does not know are passed over.

        :returns: how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        self.last_wallet_notify = utc_now()
        self.stats["wallet_notifies"] += len(txids)
        with self._one_at_a_time:
            while True:
                state = self._state()
                self.backend.get_tip()  # raises where the backend is behind its network and nothing may be believed
                found = self.backend.get_transactions(txids)
                try:
                    return self._write(list(found.values()), state, None)
                except _Overtaken:
                    logger.debug("%s: somebody followed the chain meanwhile; asking again", self.coin.name)

    def _state(self) -> SyncState:
        return self.conflict_resolver.run(lambda session: read_sync_state(session, self._books))

    def _with_vanished(self, listed: Iterable[WalletTransaction]) -> Iterator[WalletTransaction]:
        """Hand on what is listed, and then what we follow and the listing lacks: daemons list no deposit in conflict.

        What is kept of the listing meanwhile is what is open in the books, however much was missed.
        """
        missing = self.conflict_resolver.run(lambda session: tracked_txids(session, self._books))
        for transaction in listed:
            missing.discard(transaction.txid)
            yield transaction
        found = self.backend.get_transactions(sorted(missing)) if missing else {}
        unknown = sorted(missing - found.keys())
        self.unknown = frozenset(self._deposits(unknown)) if unknown else frozenset()
        yield from found.values()

    def _deposits(self, txids: Sequence[Txid]) -> set[Txid]:
        return self.conflict_resolver.run(lambda session: followed_deposits(session, self._books, txids))

    def _write(self, transactions: Iterable[WalletTransaction], state: SyncState, changes: ChainChanges | None) -> int:
        """Write transactions, in chunks, and the checkpoint with the last one.

        A process that dies in between has moved no checkpoint: the next one is told everything again.

        :param state: how far the chain was followed when the backend was asked.
        """
        chunks = _chunks(transactions)
        chunk: list[WalletTransaction] | None = next(chunks, [])
        events = 0
        while chunk is not None:
            following = next(chunks, None)
            note = partial(write_sync_state, self.coin, changes) if following is None and changes is not None else None
            events += self._write_chunk(chunk, state, note)
            chunk = following
        return events

    def _write_chunk(
        self,
        chunk: Sequence[WalletTransaction],
        state: SyncState,
        note: Callable[[Session], None] | None,
        *,
        unchanged_too: bool = False,
    ) -> int:
        """Write transactions and note how far we are, together.

        :raises _Overtaken: the chain was followed since the backend was asked.
        """

        def work(session: Session) -> int:
            if take_turn(session, self._books) != state:
                raise _Overtaken
            join_by_index(session)
            events = apply_transactions(session, self.coin, chunk, unchanged_too=unchanged_too)
            if note is not None:
                note(session)
            return events

        events = self.conflict_resolver.run(work, isolation_level=ISOLATION_LEVEL)
        self.stats["events"] += events
        return events


def _chunks(transactions: Iterable[WalletTransaction]) -> Iterator[list[WalletTransaction]]:
    waiting = iter(transactions)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
