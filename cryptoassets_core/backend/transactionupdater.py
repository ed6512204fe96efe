"""Follows a coin's chain: asks the backend what changed and has it written to the books.

Restart, catch-up, rescan and everyday following are the same path: list what changed since the stored checkpoint. A
wallet notification only brings the look at one transaction forward.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import ChainChanges, CoinBackend, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import (
    SyncState,
    apply_transactions,
    read_sync_state,
    take_turn,
    tracked_txids,
    write_sync_state,
)
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.utils.conflictresolver import ConflictResolver

logger = logging.getLogger(__name__)

#: Network transactions written in one database transaction, by less than 20 statements whatever their number. Meanwhile
#: other followers of the coin wait, and accounts that are credited, for some tenths of a second.
CHUNK = 2500

#: Each statement of these transactions carries its own guard, and the sync_state row is their mutex.
ISOLATION_LEVEL = "READ COMMITTED"


class _Overtaken(Exception):
    """Another process has followed the chain since ours asked the backend: what we were told is yesterday's news."""


class TransactionUpdater:
    """Brings the books of one coin up to date with its chain.

    :ivar last_wallet_notify: when the last notification came in, None before the first.
    :ivar stats: counts of ``wallet_notifies``, ``blocks`` and ``events``.
    """

    def __init__(self, conflict_resolver: ConflictResolver, backend: CoinBackend, coin: Coin) -> None:
        self.conflict_resolver = conflict_resolver
        self.backend = backend
        self.coin = coin
        self.last_wallet_notify: datetime | None = None
        self.stats: Counter[str] = Counter()
        self._books = coin.wallet_model.books()
        # What was listed first must be written first, or confirmations would seem to go back.
        self._one_at_a_time = threading.Lock()

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

    def follow(self, *, rescan: bool = False) -> int:
        """Write everything that changed since the checkpoint.

        :param rescan: forget the checkpoint and look at everything that the backend knows.
        :returns: how many events were written.
        :raises BackendError: the backend cannot tell.
        """
        with self._one_at_a_time:
            while True:
                state = self._state()
                changes = self.backend.list_since(
                    None if rescan else state.checkpoint,
                    depth=max(self.coin.max_confirmation_count, self.coin.confirmation_count),
                )
                transactions = [*changes.transactions, *self._vanished(changes)]
                try:
                    return self._write(transactions, state, changes, rescan=rescan)
                except _Overtaken:
                    logger.debug("%s: somebody else followed the chain meanwhile; asking again", self.coin.name)

    def handle_wallet_notify(self, txid: Txid) -> int:
        """Look at one network transaction now; see :py:meth:`handle_wallet_notifies`."""
        return self.handle_wallet_notifies([txid])

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

    def _vanished(self, changes: ChainChanges) -> Sequence[WalletTransaction]:
        """Look up what we follow and the listing lacks: deposits in conflict are not listed any more."""
        listed = {transaction.txid for transaction in changes.transactions}
        tracked = self.conflict_resolver.run(lambda session: tracked_txids(session, self._books))
        vanished = sorted(tracked - listed)
        return list(self.backend.get_transactions(vanished).values()) if vanished else []

    def _write(
        self,
        transactions: Sequence[WalletTransaction],
        state: SyncState,
        changes: ChainChanges | None,
        *,
        rescan: bool = False,
    ) -> int:
        """Write transactions, in chunks, and the checkpoint with the last one.

        :param state: how far the chain was followed when the backend was asked.
        """
        waiting = iter(transactions)
        chunk = list(islice(waiting, CHUNK))
        events = 0
        while True:
            following = list(islice(waiting, CHUNK))
            events += self._write_chunk(chunk, state, None if following else changes, rescan=rescan)
            if not following:
                break
            chunk = following
        self.stats["events"] += events
        return events

    def _write_chunk(
        self, chunk: Sequence[WalletTransaction], state: SyncState, changes: ChainChanges | None, *, rescan: bool
    ) -> int:
        def work(session: Session) -> int:
            if take_turn(session, self._books) != state:
                raise _Overtaken
            events = apply_transactions(session, self.coin, chunk, unchanged_too=rescan)
            if changes is not None:
                write_sync_state(session, self.coin, changes)
            return events

        return self.conflict_resolver.run(work, isolation_level=ISOLATION_LEVEL)
