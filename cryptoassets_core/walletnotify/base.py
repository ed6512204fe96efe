"""The contract of wallet notification: something outside tells that a network transaction may have changed.

A notification is a hint and never a fact. Handlers pass on the transaction id, or that there is a new block; the kernel
asks the backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from cryptoassets_core.backend.base import CoinBackend, Txid

#: Passed in place of a txid: the chain has changed.
NEW_BLOCK: Final = Txid("new block")

#: Passed in place of a txid: notifications were lost, also of what waits for a block.
MISSED: Final = Txid("missed")

#: Takes a txid that looks like one, :py:data:`NEW_BLOCK` or :py:data:`MISSED`; returns at once, never raises.
Notify = Callable[[Txid], None]


class WalletNotifyOptions(BaseModel):
    """Options of a notification channel; a plugin adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IncomingTransactionRunnable(ABC):
    """A channel on which notifications come in, running in threads of its own.

    One bad notification must never end it.
    """

    def __init__(self, options: WalletNotifyOptions, notify: Notify) -> None:
        self.notify = notify

    def attach(self, backend: CoinBackend) -> None:
        """Take note of the coin's backend; called once, before :py:meth:`start`.

        A channel of a hosted service listens to the account that the backend has.

        :raises ConfigurationError: it cannot work with this backend.
        """

    @abstractmethod
    def start(self) -> None:
        """Open the channel and return when it is ready.

        :raises ConfigurationError: it cannot be opened as configured, for example a port in use.
        """

    @abstractmethod
    def stop(self) -> None:
        """Close the channel within a few seconds; safe to call twice."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Tell whether notifications are taken, now or by itself later; False ends the daemon."""

    @property
    def ready(self) -> bool:
        """Whether notifications are taken now, as far as the channel can tell."""
        return self.is_alive() and self.problem() is None

    def problem(self) -> str | None:
        """Say in a sentence why notifications may be missing now, None if nothing is wrong.

        A channel that lost its connection tries again by itself, and says so here; when it is back it passes
        :py:data:`MISSED` on, because what was told meanwhile is lost. Where every transaction changes the tip that the
        backend tells, :py:data:`NEW_BLOCK` does as well.
        """
        return None

    def register_new_addresses(self) -> None:
        """New receiving addresses exist; channels that subscribe address by address do so now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletNotifyType:
    """A notification channel that a plugin brings, as named in the configuration."""

    name: str
    #: The channel's class, or its dotted name, which is imported when a configuration asks for it.
    factory: type[IncomingTransactionRunnable] | str
    #: The model of its options, likewise.
    options: type[WalletNotifyOptions] | str
    #: Dotted class names that older configuration files use.
    legacy_names: tuple[str, ...] = ()
