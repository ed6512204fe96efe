"""What a comparison of the books with the backend's wallet comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from cryptoassets_core.amounts import exactly
from cryptoassets_core.backend.base import Txid

#: What a difference may be that no network transaction explains.
UNEXPLAINED: Final = (
    "an unconfirmed deposit that was replaced or forgotten by the network; a withdrawal of ours that the node's "
    "mempool does not hold now; a transaction that others paid together with this wallet; coins that came without an "
    "address; or books that do not add up, which 'cryptoassets audit' tells"
)


class Cause(StrEnum):
    """How a network transaction makes a difference."""

    #: It pays an account's address, and the books do not have it.
    UNKNOWN_DEPOSIT = "unknown deposit"
    #: The books have it standing, and the backend has it not, or in conflict with the chain.
    MISSING_DEPOSIT = "missing deposit"
    #: The books have it with another amount.
    DEPOSIT_AMOUNT = "deposit amount"
    #: The books have it as sent, and the backend has it not, or in conflict with the chain.
    MISSING_BROADCAST = "missing broadcast"
    #: The books know that it is in conflict with the chain: its withdrawals are not paid, and their coins reserved.
    CONFLICTED_BROADCAST = "conflicted broadcast"
    #: The books have given it up, and the network carries it.
    DEAD_BROADCAST = "dead broadcast"
    #: It pays more or less than the withdrawals that it carries.
    BROADCAST_AMOUNT = "broadcast amount"
    #: Its fee is not what was charged to the fee account.
    BROADCAST_FEE = "broadcast fee"
    #: The wallet paid it, and it is no broadcast of these books.
    UNKNOWN_PAYMENT = "unknown payment"
    #: It came to an address of the wallet that belongs to no account.
    TOP_UP = "top-up"


#: Causes that imports and adjustments may settle.
PAST_ACCOUNTS: Final = frozenset({Cause.TOP_UP, Cause.UNKNOWN_PAYMENT})


@dataclass(frozen=True, slots=True)
class Difference:
    """One network transaction on which the books and the backend do not agree."""

    cause: Cause
    txid: Txid
    #: Whole coins by which the backend holds more because of it; negative where it holds less.
    amount: Decimal
    #: What is the matter, for people.
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The comparison of one coin at one moment; amounts in whole coins."""

    coin: str
    #: What all accounts of all wallets have.
    accounts: Decimal
    #: Withdrawals that wait and are not signed.
    queued: Decimal
    #: Withdrawals that are signed and stored, and not on the network.
    prepared: Decimal
    #: Deposits that wait for confirmations.
    incoming: Decimal
    #: Deposits too small to be credited: the backend's, and nobody's in the books. Less what an adjustment gave away.
    below_minimum: Decimal
    #: Block rewards among the deposits that the backend does not count before they are mature.
    immature: Decimal
    #: Fees of broadcasts that are on the network and not settled in the books yet.
    fees_not_booked: Decimal
    #: What the backend holds.
    balance: Decimal
    #: Imports and adjustments of all time.
    imported: Decimal
    #: Network transactions past the accounts, of all time.
    passed: Decimal
    #: How much of these an import may take up: what is settled and not imported yet.
    not_imported: Decimal
    #: Imports and adjustments are no sum of network transactions past the accounts, so all of these are told.
    import_differs: bool
    differences: Sequence[Difference]
    #: The backend changed while it was looked at: look again.
    moved: bool

    @property
    @exactly
    def expected(self) -> Decimal:
        """What the backend must hold."""
        owed = self.accounts + self.queued + self.prepared + self.incoming
        return owed + self.below_minimum - self.immature - self.fees_not_booked

    @property
    @exactly
    def difference(self) -> Decimal:
        """By how much the backend holds more than it must."""
        return self.balance - self.expected

    @property
    @exactly
    def unexplained(self) -> Decimal:
        """What is left of the difference after all that is named; see :py:data:`UNEXPLAINED`."""
        named = sum((each.amount for each in self.differences), Decimal(0))
        return self.difference - named + (self.imported if self.import_differs else Decimal(0))

    @property
    def balanced(self) -> bool:
        """Nothing differs, neither in sum nor by transaction."""
        return self.difference == 0 and not self.differences
