"""Every exception a caller may meet, in one tree.

Each message is one sentence for a person: what was wrong, where, and what would be right. Facts a program
needs are attributes. No message ever carries a secret.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from cryptoassets_core.visible import visible

#: Characters that are kept of what a backend says.
_LONGEST_MESSAGE: Final = 2000


class CryptoAssetsError(Exception):
    """Root of everything this library raises on purpose.

    :ivar item: place of what was refused in the batch that it came in, from 0; None outside batches.
    """

    item: int | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Let errors travel between processes, also those that are made from more than their message."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[CryptoAssetsError], args: tuple[object, ...], facts: dict[str, object]) -> CryptoAssetsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


# --- Configuration and plugins ------------------------------------------------------------------------------


class ConfigurationError(CryptoAssetsError):
    """The configuration cannot make sense as it is written."""


class PluginError(ConfigurationError):
    """A plugin is broken, missing or in conflict with another one."""


class DatabaseNotInitializedError(ConfigurationError):
    """The tables of a configured coin are not in the database."""


# --- Bad input ----------------------------------------------------------------------------------------------


class InvalidAmountError(CryptoAssetsError, ValueError):
    """An amount that must not move money: not positive, not finite, too precise or too large."""


class InvalidAmountTypeError(InvalidAmountError, TypeError):
    """An amount of a type that is not exact, such as float."""


class InvalidNameError(CryptoAssetsError, ValueError):
    """A name or label that cannot be stored or shown safely."""


class BadSearchError(CryptoAssetsError, ValueError):
    """What somebody looks for cannot be looked for."""


class PaymentUriError(CryptoAssetsError, ValueError):
    """A payment link that cannot be paid as it asks to be."""


class BadAddress(CryptoAssetsError, ValueError):
    """The string is not an address that this coin and network can pay."""

    def __init__(self, address: object, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"{_shortened(address)} {reason}")


def _shortened(value: object, *, limit: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


# --- Ledger -------------------------------------------------------------------------------------------------


class LedgerError(CryptoAssetsError):
    """The ledger refused a movement; nothing was written."""


class NotEnoughWalletBalance(LedgerError):
    """The wallet cannot pay. What a wallet has belongs to its accounts, so it is always one of these that is short."""


class NotEnoughAccountBalance(NotEnoughWalletBalance):
    """The account has less than the movement needs.

    :ivar account_id: the account that would have paid.
    :ivar needed: whole coins asked for.
    :ivar available: whole coins there were when the ledger refused.
    """

    def __init__(self, *, account_id: int, needed: Decimal, available: Decimal, symbol: str) -> None:
        self.account_id = account_id
        self.needed = needed
        self.available = available
        super().__init__(f"account {account_id} has {available:f} {symbol.upper()}, {needed:f} {symbol.upper()} needed")


class SameAccount(LedgerError):
    """A transfer whose sender and receiver are one account."""


class TransferAboveLimit(LedgerError):
    """A transfer of more than one person may move; two have to be named.

    :ivar amount: whole coins asked for.
    :ivar limit: whole coins that one person may move, the coin's ``max_transfer``.
    """

    def __init__(self, *, amount: Decimal, limit: Decimal, symbol: str) -> None:
        self.amount = amount
        self.limit = limit
        super().__init__(
            f"one person moves at most {limit:f} {symbol.upper()} by a transfer, not {amount:f} {symbol.upper()}; "
            "name two people, created_by and approved_by, or see whether the amount is right"
        )


class UnknownRowError(LedgerError, LookupError):
    """There is no such wallet, account or transaction."""


class NameTakenError(LedgerError):
    """Another wallet, or another account of the wallet, has that name."""


class WrongWalletError(LedgerError):
    """The account, address or transaction belongs to another wallet or another coin."""


class AddressTakenError(LedgerError):
    """The receiving address belongs to an account already."""


class IdempotencyConflictError(LedgerError):
    """An idempotency key was used before for something else."""


class WithdrawalRefused(LedgerError):
    """A rule of the application does not let this withdrawal go."""


class CannotCreateAddress(CryptoAssetsError):
    """The backend could not make a receiving address now; asking again later is safe."""


# --- Database conflicts -------------------------------------------------------------------------------------


class CannotResolveDatabaseConflict(CryptoAssetsError):
    """A managed transaction met a conflict at every try and gave up; nothing was written."""


# --- Backends: the daemons and services that talk to the networks -------------------------------------------


class BackendError(CryptoAssetsError):
    """The backend did not do what it was asked.

    Its message may quote whoever answered in the backend's place. It is stored and shown, so what no database takes and
    what would steer a screen is written as an escape.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(visible(str(message), limit=_LONGEST_MESSAGE))


class BackendUnavailableError(BackendError):
    """The backend cannot be reached or is not ready, and did not act on the call: it may be repeated."""


class BackendRejectedError(BackendError):
    """The backend answered with a definite no: repeating the call unchanged is pointless.

    :ivar code: the backend's own error code, where it has one.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        self.code = code
        super().__init__(message)


class BackendAuthenticationError(BackendRejectedError):
    """The backend refused our credentials."""


class InsufficientHotWalletFunds(BackendRejectedError):
    """The backend's own wallet holds too little to pay what was asked; it may be topped up later."""


class RecipientRejectedError(BackendRejectedError):
    """The network will not carry one payment of the batch.

    :ivar address: the recipient to leave out.
    """

    def __init__(self, message: str, *, address: str, code: int | None = None) -> None:
        self.address = address
        super().__init__(message, code=code)


class BroadcastDeadError(BackendRejectedError):
    """A prepared network transaction cannot confirm: another one spends its inputs, or an ancestor's, in a block.

    Only a reorganisation as deep as that block can bring it back, so its depth tells when it is safe to pay anew.

    :ivar depth: blocks since then, the including one counted; None if the backend cannot tell, which leaves it to a
        person to pay anew.
    """

    def __init__(self, message: str, *, depth: int | None = None, code: int | None = None) -> None:
        self.depth = depth
        super().__init__(message, code=code)


class OutcomeUnknownError(BackendError):
    """The call may or may not have been carried out (time limit, dropped connection).

    Only calls that are harmless to repeat may be repeated.
    """


# --- Events -------------------------------------------------------------------------------------------------


class EventDeliveryError(CryptoAssetsError):
    """A sink did not take an event; the event stays queued for it."""
