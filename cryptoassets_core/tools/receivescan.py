"""Look through everything the backend knows for deposits that the books lack."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cryptoassets_core.backend.transactionupdater import ScanProgress, TransactionUpdater

logger = logging.getLogger(__name__)


def scan(updater: TransactionUpdater, on_progress: Callable[[ScanProgress], None] = lambda progress: None) -> int:
    """Rescan one coin; safe at any time, also beside a running daemon, and it may be interrupted at any time.

    The next one goes on where an interrupted one ended.

    :param on_progress: called at the beginning and after each part of the work.
    :returns: how many events were written for what was missing or had changed.
    :raises BackendError: the backend cannot tell.
    """
    events = updater.rescan(on_progress)
    logger.info("%s: rescanned, %s updates", updater.coin.name, events)
    return events
