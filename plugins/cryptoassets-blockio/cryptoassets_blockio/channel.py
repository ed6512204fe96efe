"""What the service's two channels have in common: an account, a thread that keeps at it, and how it stands."""

from __future__ import annotations

import logging
import random
import threading
from abc import abstractmethod
from typing import ClassVar, Final

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.notifications import Message, NotUnderstood, Reader
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.walletnotify.base import (
    NEW_BLOCK,
    IncomingTransactionRunnable,
    Notify,
    WalletNotifyOptions,
)

logger = logging.getLogger(__name__)

#: Pauses between attempts that fail: doubled each time, up to the longest.
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0


class ServiceChannel(IncomingTransactionRunnable):
    """Listens to one account of the service, and tries again for as long as it takes.

    :cvar channel: what configurations call it.
    :cvar complaint: what is said when nothing comes this way; the reason follows.
    :cvar foreseen: errors that are no fault of this program.
    """

    channel: ClassVar[str]
    complaint: ClassVar[str]
    foreseen: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, options: WalletNotifyOptions, notify: Notify) -> None:
        super().__init__(options, notify)
        self._backend: BlockIoBackend | None = None
        self._reader = Reader("")
        self._trouble = "it does not answer yet"
        self._pause = FIRST_PAUSE_SECONDS
        self._ready = threading.Event()
        #: Set when the first attempt has come to something, or to nothing.
        self._tried = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def attach(self, backend: CoinBackend) -> None:
        """Take the account and its network from the backend.

        :raises ConfigurationError: it is another service's.
        """
        if not isinstance(backend, BlockIoBackend):
            raise ConfigurationError(
                f"the channel {self.channel} tells of block.io accounts only; use it with the backend blockio"
            )
        self._backend = backend
        self._reader = Reader(backend.service_network)

    @property
    def stats(self) -> dict[str, int]:
        """Counts of messages, by what became of them."""
        return dict(self._reader.stats)

    @property
    def ready(self) -> bool:
        """Whether the service tells us now."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until the service tells us.

        :param timeout: seconds; None waits as long as it takes.
        :returns: whether it does.
        """
        return self._ready.wait(timeout)

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def problem(self) -> str | None:
        """Say why the service does not tell us now."""
        return None if self.ready else f"{self.complaint}: {self._trouble}"

    @abstractmethod
    def _attempt(self) -> float:
        """See to it that the service tells us, for as long as that takes.

        :returns: seconds after which to look again.
        :raises Exception: it does not tell us any more; one of :py:attr:`foreseen`, as a rule.
        """

    @abstractmethod
    def _reason(self, error: Exception) -> str:
        """Say what a foreseen error means, without any secret."""

    def _account(self) -> BlockIoBackend:
        if self._backend is None:
            raise ConfigurationError(f"{self.channel} was not given a backend whose account it can listen to")
        return self._backend

    def _begin(self) -> None:
        self._stopping.clear()
        self._tried.clear()
        self._thread = threading.Thread(target=self._keep_at_it, name=self.channel, daemon=True)
        self._thread.start()

    def _end(self, patience_seconds: float) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(patience_seconds)
            self._thread = None

    def _keep_at_it(self) -> None:
        self._had_success()
        while not self._stopping.is_set():
            try:
                pause = self._attempt()
            except self.foreseen as error:
                self._trouble = self._reason(error)
                if not self._stopping.is_set():
                    logger.warning("%s: %s; it is tried again", self.complaint, self._trouble)
                pause = self._next_pause()
            except Exception:
                self._trouble = "unexpected trouble, see the log"
                logger.exception("%s; it is tried again", self.complaint)
                pause = self._next_pause()
            else:
                self._had_success()
            self._tried.set()
            self._stopping.wait(pause)

    def _is_told(self) -> None:
        """Take note that the service tells us from now on; what it told nobody before has to be looked for."""
        self._ready.set()
        self._tried.set()
        logger.info("%s: block.io tells us", self.channel)
        self.notify(NEW_BLOCK)

    def _had_success(self) -> None:
        """Try again soon after the next failure."""
        self._pause = FIRST_PAUSE_SECONDS

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return random.uniform(pause / 2, pause)  # noqa: S311 - spreads load, keeps no secret

    def _take(self, message: str | bytes) -> Message | None:
        """Pass on what a message is about; whatever it is, the next one is taken.

        :returns: None if it is nothing that the service sends.
        """
        try:
            said = self._reader.read(message)
        except NotUnderstood as reason:
            logger.warning("what came over %s is passed over: %s", self.channel, reason)
            return None
        if said.txid is not None:
            logger.debug("%s tells of %s", self.channel, said.txid)
            try:
                self.notify(said.txid)
            except Exception:
                # To give up would lose what is told meanwhile.
                logger.exception("%s: %s could not be passed on", self.channel, said.txid)
        return said
