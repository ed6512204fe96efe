"""Look through everything the backend knows for deposits that the books lack."""

from __future__ import annotations

import logging

from cryptoassets_core.backend.transactionupdater import TransactionUpdater

logger = logging.getLogger(__name__)


def scan(updater: TransactionUpdater) -> int:
    """Rescan one coin; safe at any time, also beside a running daemon.

    :returns: how many events were written for what was missing or had changed.
    :raises BackendError: the backend cannot tell.
    """
    events = updater.follow(rescan=True)
    logger.info("%s: rescanned, %s updates", updater.coin.name, events)
    return events
