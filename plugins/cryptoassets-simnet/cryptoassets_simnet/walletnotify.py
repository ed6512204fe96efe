"""Walletnotify type ``simnet``: tells of transactions as soon as they change in the chain file."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, Notify, WalletNotifyOptions
from cryptoassets_simnet.errors import ChainFileError, SimnetError
from cryptoassets_simnet.store import ChainFile

logger = logging.getLogger(__name__)

#: Soon enough to look instant to a person, and one indexed look-up each time.
POLL_SECONDS: Final = 0.2

#: Notifications passed on before the thread looks whether it shall stop.
_BATCH: Final = 500

_STOP_SECONDS: Final = 5


class SimnetNotifyOptions(WalletNotifyOptions):
    """Options of the walletnotify type ``simnet``."""

    #: The file of the simulated chain, the same as the backend's; it may be made later.
    path: Path


class SimnetNotifyHandler(IncomingTransactionRunnable):
    """Follows a chain file: wallet transactions that are new, mined, unconfirmed again or in conflict."""

    def __init__(self, options: SimnetNotifyOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self.path = options.path
        self._file: ChainFile | None = None
        #: Number of the last change that was passed on.
        self._position = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simnet-walletnotify", daemon=True)

    def start(self) -> None:
        """Begin with what happens from now on; what was before is the start-up rescan's.

        :raises ConfigurationError: the file is something else, or its directory does not exist.
        """
        if not self.path.parent.is_dir():
            raise ConfigurationError(f"there is no directory for the simulated chain {self.path}; make it first")
        if self.path.exists():
            try:
                self._file = ChainFile(self.path)
                with self._file.read() as db:
                    (self._position,) = db.execute("SELECT coalesce(max(changed), 0) FROM tx").fetchone()
            except SimnetError as error:
                raise ConfigurationError(str(error)) from error
        self._thread.start()

    def stop(self) -> None:
        """End the thread; safe to call twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        if self._file is not None:
            self._file.close()

    def is_alive(self) -> bool:
        """Tell whether the file is followed."""
        return self._thread.is_alive()

    def _run(self) -> None:
        broken = False
        while not self._stopping.wait(POLL_SECONDS):
            try:
                while not self._stopping.is_set() and self._pass_on():
                    pass
                broken = False
            except ChainFileError:
                # Said once and not five times a second; the next poll tries again.
                if not broken:
                    logger.exception("the simulated chain cannot be followed now")
                broken = True

    def _pass_on(self) -> bool:
        """Notify of the next changes; tell whether there may be more."""
        if self._file is None:
            if not self.path.exists():
                return False
            self._file = ChainFile(self.path)
        with self._file.read() as db:
            changes = db.execute(
                "SELECT txid, changed FROM tx WHERE changed > ? AND wallet = 1 ORDER BY changed LIMIT ?",
                (self._position, _BATCH),
            ).fetchall()
        for change in changes:
            self.notify(Txid(change["txid"]))
            self._position = change["changed"]
        return len(changes) == _BATCH
