"""Wallet notifications wait here for a worker, so that channels answer at once and a flood costs little."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.walletnotify.base import MISSED, NEW_BLOCK

logger = logging.getLogger(__name__)

#: Notifications kept at most; the next block brings to light what is dropped.
CAPACITY = 10_000

#: Notifications handled together, in one question to the backend.
BATCH = 100

#: Pause after each question: a flood costs the backend 2000 look-ups a second, and does not keep it from other work.
PAUSE_SECONDS = 0.05

#: Pause after the backend could not be asked.
RETRY_SECONDS = 2.0


class NotifyQueue:
    """Collects notified txids, each once, and hands them to a function in a thread of its own.

    That there is a new block, or that notifications were lost, is one of them; see
    :py:mod:`~cryptoassets_core.walletnotify.base`.
    """

    def __init__(self, name: str, handle: Callable[[Sequence[Txid]], bool]) -> None:
        """
        :param handle: looks at network transactions; False if that was not possible now. Must not raise.
        """
        self._handle = handle
        self._waiting: dict[Txid, None] = {}
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"walletnotify-{name}", daemon=True)
        #: How many notifications were dropped because too many waited.
        self.dropped = 0

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way and forget the rest; the start-up rescan finds it."""
        self._stopping.set()
        with self._news:
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join()

    def is_alive(self) -> bool:
        """Tell whether the worker runs."""
        return self._thread.is_alive()

    def put(self, txid: Txid) -> None:
        """Take a notification; returns at once."""
        with self._news:
            if len(self._waiting) >= CAPACITY and not (txid in self._waiting or txid in (NEW_BLOCK, MISSED)):
                self.dropped += 1
                return
            self._waiting[txid] = None
            self._news.notify()

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._next_batch()
            if batch and not self._handle(batch):
                for txid in batch:
                    self.put(txid)
                self._stopping.wait(RETRY_SECONDS)
            self._stopping.wait(PAUSE_SECONDS)

    def _next_batch(self) -> list[Txid]:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._stopping.is_set())
            batch = list(self._waiting)[:BATCH]
            for txid in batch:
                del self._waiting[txid]
        return batch
