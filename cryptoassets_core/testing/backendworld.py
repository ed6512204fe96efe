"""What a backend's author supplies to :py:class:`~cryptoassets_core.testing.backendsuite.BackendSuite`: the outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import ClassVar

from cryptoassets_core.backend.base import CoinBackend, Txid


class BackendWorld(ABC):
    """A backend and the network around it, which the suite moves. Each test gets a new one.

    Methods return when the backend can see what they did. Write those that the declared capabilities need.

    :ivar backend: the backend under test, with an empty wallet.
    """

    #: Whole coins of a usual payment: far above the coin's dust limit and above any fee.
    payment: ClassVar[Decimal] = Decimal(1)

    backend: CoinBackend

    @abstractmethod
    def outside_address(self) -> str:
        """Return a valid address that is not the wallet's, another one each time."""

    def sync(self) -> None:
        """Wait until the wallet knows what its backend has just published; some hear of it a bit later."""

    # --- can_receive ----------------------------------------------------------------------------------------

    def pay(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        """Let somebody outside pay the wallet in one network transaction, which no block includes yet.

        :param outputs: addresses and whole coins; an address that occurs twice gets two outputs.
        """
        raise self._missing("pay")

    # --- can_mine -------------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """Add blocks; the first one includes everything that waits."""
        raise self._missing("mine")

    # --- can_reorg ------------------------------------------------------------------------------------------

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by a longer branch without their transactions, which wait again."""
        raise self._missing("reorganise")

    # --- can_double_spend -----------------------------------------------------------------------------------

    def double_spend(self, txid: Txid) -> None:
        """Replace the blocks since a deposit by a longer branch that includes a rival of it paying somebody else."""
        raise self._missing("double_spend")

    # --- can_reward -----------------------------------------------------------------------------------------

    def reward(self, address: str) -> None:
        """Add one block whose reward goes to an address of the wallet."""
        raise self._missing("reward")

    # --- can_send -------------------------------------------------------------------------------------------

    def fund(self, amount: Decimal) -> None:
        """Give the wallet one confirmed coin that it may spend at once."""
        raise self._missing("fund")

    def another_backend(self) -> CoinBackend:
        """Return a backend on the same wallet, as another process would have it; closed with the world."""
        raise self._missing("another_backend")

    # --- can_tell_network -----------------------------------------------------------------------------------

    def misplaced_backend(self) -> CoinBackend:
        """Return a backend that is configured for another network of the coin than what answers it."""
        raise self._missing("misplaced_backend")

    # --- can_go_down ----------------------------------------------------------------------------------------

    def down(self) -> AbstractContextManager[None]:
        """Make what the backend talks to unreachable inside of a ``with``."""
        raise self._missing("down")

    # --- can_lose_answers -----------------------------------------------------------------------------------

    def losing_answers(self) -> AbstractContextManager[None]:
        """Inside of a ``with``, let every call be carried out and its answer never arrive."""
        raise self._missing("losing_answers")

    def close(self) -> None:
        """End what the world started; its backends are closed then."""

    def _missing(self, method: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} must define {method}() for what its suite declares")
