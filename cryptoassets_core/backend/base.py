"""The contract between the kernel and whatever talks to a coin's network.

A backend owns keys and a connection; it knows nothing of accounts or of the database. It speaks whole coins as exact
Decimal, and it must tell a definite refusal from an unknown outcome (see :py:mod:`cryptoassets_core.errors`):

- :py:class:`~cryptoassets_core.errors.BackendUnavailableError`: nothing happened, ask again later;
- :py:class:`~cryptoassets_core.errors.BackendRejectedError` and its subclasses: nothing happened and nothing will;
- :py:class:`~cryptoassets_core.errors.OutcomeUnknownError`: it may have happened.

Methods are called from several threads at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, NewType

from pydantic import BaseModel, ConfigDict

from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.retirednames import HasRetiredNames

#: Hash of a network transaction, 64 lowercase hex digits as block explorers write it.
Txid = NewType("Txid", str)

#: Hash of a block, written alike.
BlockHash = NewType("BlockHash", str)


@dataclass(frozen=True, slots=True)
class Outpoint:
    """One output of a network transaction: what an input spends."""

    txid: Txid
    vout: int


#: Blocks that the books can count: no chain has more, so a backend refuses an answer that says so.
MOST_CONFIRMATIONS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ReceivedOutput:
    """An output that pays an address of the backend's wallet."""

    address: str
    #: Whole coins that were really delivered to the address.
    amount: Decimal
    vout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletTransaction:
    """A network transaction that concerns the backend's wallet, as the backend sees it now."""

    txid: Txid
    #: Blocks on top, the including one counted; 0 is unconfirmed, negative is in conflict with the chain.
    confirmations: int
    #: The block that includes it, None when unconfirmed or in conflict.
    block_hash: BlockHash | None = None
    #: What it pays to the wallet. Empty when in conflict: daemons forget it then.
    received: tuple[ReceivedOutput, ...] = ()
    #: Whole coins the wallet paid for it, None when somebody else paid.
    fee: Decimal | None = None
    #: Whole coins the wallet paid by it, to itself too; change and fee not. 0 if somebody else paid or in conflict.
    sent: Decimal = Decimal(0)
    #: A block reward, which may only be spent when mature; or something else like that, as long as it is immature.
    coinbase: bool = False
    #: Without confirmations, from somebody else, and the network does not wait for it any more: it was replaced, or
    #: dropped. It may come back. A backend that cannot know leaves it False.
    forgotten: bool = False

    @property
    def is_dead(self) -> bool:
        """Whether nobody should count on it as the chain is now.

        A block reward cannot wait in the mempool: without confirmations its block has left the chain.
        """
        return self.confirmations < 0 or self.forgotten or (self.coinbase and self.confirmations == 0)


@dataclass(frozen=True, slots=True)
class ChainChanges:
    """What happened since a checkpoint."""

    #: Best block while the answer was made.
    tip: BlockHash
    #: Where to continue next time.
    checkpoint: BlockHash
    #: Every wallet transaction that is unconfirmed, was included after the checkpoint, or left the chain since; each
    #: once. It is read once and a part at a time, so a backend that can should not have all of them in memory, and
    #: reading may raise what :py:meth:`CoinBackend.list_since` does.
    transactions: Iterable[WalletTransaction]


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A network transaction that is signed and not published."""

    #: None if it is known only once it is published, as where a hosted service signs last.
    txid: Txid | None
    #: Serialised and signed, hexadecimal.
    raw: str
    #: Whole coins.
    fee: Decimal
    inputs: tuple[Outpoint, ...]


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """A network transaction that a backend built and published in one go."""

    txid: Txid
    #: Whole coins; None if the backend cannot tell yet: it is booked once the chain is followed and it can.
    fee: Decimal | None


class BackendOptions(BaseModel):
    """What every backend can be told in the configuration; a plugin adds its own fields.

    Never validate secrets with a custom message: what is wrong with an option is reported by its path and type only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def coin_network(self) -> Network | None:
        """Return which of the coin's networks these options name; None where they do not.

        Asked where the configuration of the coin itself names none.
        """
        return None


class CoinBackend(HasRetiredNames, ABC):
    """Talks to the network of one coin.

    Derive from :py:class:`TwoStepBackend` if it can sign without publishing, else from :py:class:`OneShotBackend`:
    they add the way to send. A backend that has both is used in two steps.

    :ivar coin: the coin it serves.
    :ivar network: which of the coin's networks it must be connected to.
    """

    retired_names: ClassVar[Mapping[str, str]] = {
        "require_tracking_incoming_confirmations": "the chain is followed whatever the backend is",
        "max_tracked_incoming_confirmations": "it is the coin's setting max_confirmation_count",
        "get_balances": "what an address has received is in the books, address.balance; what the wallet holds is told "
        "by get_backend_balance()",
        "list_received_transactions": "list_since(None, depth=1) lists everything there is to know",
        "create_transaction_updater": "make TransactionUpdater(conflict_resolver, backend, coin)",
        "setup_incoming_transactions": "the service opens the channel that the coin's walletnotify names",
    }

    def __init__(self, coin: CoinDescription, network: Network, options: BackendOptions) -> None:
        self.coin = coin
        self.network = network

    @abstractmethod
    def check(self) -> None:
        """See that the backend answers, takes our credentials and is on the right network.

        :raises BackendUnavailableError: it is down or not ready yet.
        :raises BackendRejectedError: it refuses us, or serves another network.
        """

    @abstractmethod
    def create_address(self, label: str) -> str:
        """Make a new receiving address; losing one on an unknown outcome costs nothing.

        :param label: unique for the wallet, letters, digits, ``-`` and ``_`` only.
        """

    @abstractmethod
    def get_tip(self) -> BlockHash:
        """Return the best block's hash; the cheap question between blocks.

        :raises BackendUnavailableError: the backend is behind its network, so that nothing it says may be believed.
        """

    @abstractmethod
    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List what changed since a checkpoint, in a number of calls that does not grow with what exists.

        It raises as :py:meth:`get_tip` does.

        :param checkpoint: from an earlier answer; None, stale and unknown ones give all there is to know.
        :param depth: transactions with fewer confirmations than this are listed every time.
        """

    @abstractmethod
    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Look up wallet transactions by name, in as few calls as possible; unknown ones are absent."""

    @abstractmethod
    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        """Return the whole coins that the wallet holds with at least so many confirmations.

        With 0 it counts unconfirmed deposits too, and coins locked for prepared transactions in any case.
        """

    def close(self) -> None:
        """Let go of connections; called once, when no other call is under way."""


class TwoStepBackend(CoinBackend):
    """A backend that can sign without publishing, so that a crash never leaves a doubt."""

    @abstractmethod
    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        """Build and sign a transaction, and change nothing: whoever dies after this call leaves no coins reserved.

        The next one may choose the same coins until :py:meth:`hold` is called, so the kernel stores what is prepared
        first, refuses to store two that spend the same, and then holds it.

        :param recipients: whole coins for each address; never empty.
        :raises InsufficientHotWalletFunds: the wallet cannot pay it now.
        :raises RecipientRejectedError: one payment can never be sent; it is named.
        """

    @abstractmethod
    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Publish; returning means that the network knows it. Publishing again is harmless and succeeds.

        What was lost on the way is found again by submitting the same transaction: where the network or a service does
        not recognise it by itself, look for the transaction that spends its inputs and makes its payments.

        :returns: under which txid the network knows it, which may differ from the prepared one.
        :raises BroadcastDeadError: it cannot confirm under any txid as the chain is now; say since how many blocks.
        """

    @abstractmethod
    def hold(self, prepared: PreparedTransaction) -> None:
        """Reserve the inputs of a stored transaction, also after the backend has forgotten; idempotent.

        Inputs that are spent by now, by the transaction itself too, are passed over.
        """

    @abstractmethod
    def release(self, prepared: PreparedTransaction) -> None:
        """Give back the inputs of a transaction that is dead; idempotent."""


class OneShotBackend(CoinBackend):
    """A backend that can only build, sign and publish in one go.

    After a crash or a lost answer nobody knows whether the coins left, so what is then unsettled waits for a person.
    """

    @abstractmethod
    def send(self, recipients: Mapping[str, Decimal], label: str) -> SentTransaction:
        """Pay; called once for each broadcast, and again only after a definite refusal.

        Any other exception than those below, and any answer that is none, counts as an unknown outcome.

        :param recipients: whole coins for each address; never empty.
        :param label: names the broadcast, letters, digits and ``-`` only. Keep it with the transaction if there is a
            place for it: it is what a person looks for when the outcome is unknown.
        :raises BackendUnavailableError: nothing was sent, for certain.
        :raises InsufficientHotWalletFunds: nothing was sent; the wallet cannot pay it now.
        :raises RecipientRejectedError: nothing was sent; one payment can never be sent, and is named.
        :raises BackendRejectedError: nothing was sent, for another reason.
        :raises OutcomeUnknownError: it may have been sent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendType:
    """A backend that a plugin brings, as named in the configuration."""

    name: str
    #: The backend's class, or its dotted name, which is imported when a configuration asks for it.
    factory: type[CoinBackend] | str
    #: The model of its options, likewise.
    options: type[BackendOptions] | str
    #: Dotted class names that older configuration files use.
    legacy_names: tuple[str, ...] = ()
