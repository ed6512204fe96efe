"""The backend ``simnet``: a node and its wallet as the kernel sees them, played by a file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from pydantic import Field

from cryptoassets_core.amounts import to_minor_units
from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    PreparedTransaction,
    TwoStepBackend,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidAmountError,
    OutcomeUnknownError,
)
from cryptoassets_simnet import chain, faults, listing, wallet
from cryptoassets_simnet.errors import ChainFileError, SimnetError
from cryptoassets_simnet.faults import FaultKind
from cryptoassets_simnet.store import ChainFile

logger = logging.getLogger(__name__)

#: Transactions of a listing that are read at once.
_PART: Final = 2500


class SimnetOptions(BackendOptions):
    """Options of the backend ``simnet``."""

    #: The file of the simulated chain, made where there is none. One file serves one coin on one network.
    path: Path
    #: Whole coins the wallet pays for each network transaction it makes.
    fee: Decimal = Field(default=Decimal("0.0001"), ge=0)


class SimnetBackend(TwoStepBackend):
    """A SIMULATED node with its wallet. No real coin ever moves, and nobody has keys for its addresses."""

    def __init__(self, coin: CoinDescription, network: Network, options: SimnetOptions) -> None:
        """Take the options; the file is opened, or made, by the first call.

        :raises ConfigurationError: it is to simulate the main network, or the fee has more decimals than the coin.
        """
        super().__init__(coin, network, options)
        if network == "main":
            # Nobody has a key for a simulated address: what somebody really sent there would be lost.
            raise ConfigurationError(
                f"coins.{coin.symbol}: simnet simulates no main network, its addresses look real; set network: regtest"
            )
        self.path = options.path
        try:
            self._fee_minor = to_minor_units(options.fee, coin.decimals)
        except InvalidAmountError as error:
            raise ConfigurationError(f"the option fee of the simnet backend of {coin.symbol}: {error}") from error
        self._lock = threading.Lock()
        self._file: ChainFile | None = None

    def check(self) -> None:
        """See that the file can be used and simulates this coin on this network."""
        with self._answering("check"):
            pass

    def create_address(self, label: str) -> str:
        """Make a receiving address."""
        with self._answering("create_address") as file, file.write() as db:
            return wallet.new_address(db, file.facts, label)

    def get_tip(self) -> BlockHash:
        """Return the best block's hash."""
        with self._answering("get_tip") as file, file.read() as db:
            return chain.get_tip(db).hash

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List what changed since a checkpoint; see :py:func:`cryptoassets_simnet.listing.list_since`.

        Of a long listing, later parts tell what their transactions are when they are read.
        """
        with self._answering("list_since") as file, file.read() as db:
            listed = listing.list_since(db, checkpoint, depth=depth)
            first = listing.describe(db, file.facts, listed.numbers[:_PART])
        return ChainChanges(listed.tip, listed.checkpoint, _told(file, first, listed.numbers[_PART:]))

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Look up transactions of the wallet."""
        with self._answering("get_transactions") as file, file.read() as db:
            return listing.get_transactions(db, file.facts, txids)

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        """Return what the wallet holds; immature rewards count when they are mature, as with a real node."""
        with self._answering("get_backend_balance") as file, file.read() as db:
            return file.facts.to_coins(wallet.balance_minor(db, file.facts, confirmations))

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        """Choose coins, which stay free until they are held."""
        with self._answering("prepare") as file, file.write() as db:
            return wallet.prepare(db, file.facts, recipients, fee_minor=self._fee_minor)

    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Put the transaction into the mempool.

        :raises BroadcastDeadError: a rival for its coins is in a block.
        :raises OutcomeUnknownError: something that is in no block keeps it out; submit it again later.
        """
        with self._answering("submit") as file, file.write() as db:
            return wallet.submit(db, file.facts, prepared)

    def hold(self, prepared: PreparedTransaction) -> None:
        """Lock the inputs again where they are free."""
        with self._answering("hold") as file, file.write() as db:
            wallet.hold(db, prepared)

    def release(self, prepared: PreparedTransaction) -> None:
        """Unlock the inputs that are held for this transaction."""
        with self._answering("release") as file, file.write() as db:
            wallet.release(db, prepared)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    @contextmanager
    def _answering(self, method: str) -> Iterator[ChainFile]:
        """Meet the faults that are armed for a call, and speak the kernel's errors.

        :raises OutcomeUnknownError: after the call was carried out or refused, when its answer is to be lost.
        """
        with _kernel_errors():
            file = self._open()
            fault = _next_fault(file, method)
        if fault is FaultKind.REFUSE:
            raise BackendUnavailableError(f"the simulated node refused {method}, as it was told to")
        if fault is FaultKind.TIMEOUT_BEFORE:
            raise _lost(method)
        try:
            with _kernel_errors():
                yield file
        except BackendError:
            if fault is FaultKind.TIMEOUT_AFTER:
                raise _lost(method) from None
            raise
        if fault is FaultKind.TIMEOUT_AFTER:
            raise _lost(method)

    def _open(self) -> ChainFile:
        with self._lock:
            if self._file is None:
                self._file = ChainFile.open_or_create(self.path, self.coin, network=self.network)
                logger.warning("%s runs on a SIMULATED network, %s: no real coins move", self.coin.symbol, self.path)
            return self._file


def _told(file: ChainFile, first: Sequence[WalletTransaction], numbers: Sequence[int]) -> Iterator[WalletTransaction]:
    yield from first
    for start in range(0, len(numbers), _PART):
        with _kernel_errors(), file.read() as db:
            part = listing.describe(db, file.facts, numbers[start : start + _PART])
        yield from part


def _next_fault(file: ChainFile, method: str) -> FaultKind | None:
    """See what the next call of a method meets, and use it up.

    :raises BackendUnavailableError: the simulated node is switched off.
    """
    with file.read() as db:
        if faults.is_down(db):
            raise BackendUnavailableError(f"the simulated node of {file.path} is down; 'fault --up' brings it back")
        armed = faults.is_armed(db, method)
    if not armed:
        return None
    with file.write() as db:
        return faults.strike(db, method)


def _lost(method: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(f"the simulated node did not answer {method} in time, as it was told to")


@contextmanager
def _kernel_errors() -> Iterator[None]:
    try:
        yield
    except ChainFileError as error:
        raise BackendUnavailableError(str(error)) from error
    except SimnetError as error:
        raise BackendRejectedError(str(error)) from error
