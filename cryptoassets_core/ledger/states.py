"""What ledger rows and network transactions can be."""

from __future__ import annotations

from enum import StrEnum


class AccountKind(StrEnum):
    """Whose account it is."""

    USER = "user"
    #: Pays the network's fees; the only kind that is meant to go below zero.
    NETWORK_FEE = "network_fee"


class TransactionKind(StrEnum):
    """Which movement a ledger row records; written once."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    INTERNAL = "internal"
    NETWORK_FEE = "network_fee"
    #: Coins that the backend held before the ledger began.
    BALANCE_IMPORT = "balance_import"
    #: Gives back a withdrawal that was not sent, or the fee of a broadcast that died.
    REFUND = "refund"
    #: Takes back a deposit that the network took back.
    REVERSAL = "reversal"
    #: Puts right what nothing else explains, on the word of two people.
    ADJUSTMENT = "adjustment"


class TransactionState(StrEnum):
    """How far a movement has come; moves forward only, but for a withdrawal whose network transaction died for good."""

    #: Withdrawal: reserved, waiting for the broadcast.
    PENDING = "pending"
    #: Withdrawal: handed to the network.
    BROADCASTED = "broadcasted"
    #: Withdrawal: called back before it was signed, and refunded.
    CANCELLED = "cancelled"
    #: Withdrawal: given up and refunded, because it can never be sent.
    FAILED = "failed"
    #: Deposit: seen; credited once ``credited_at`` is set.
    INCOMING = "incoming"
    #: Deposit: smaller than the coin's ``min_deposit`` when it was seen, and never credited.
    BELOW_MINIMUM = "below_minimum"
    #: Deposit: the network took it back.
    REVERSED = "reversed"
    #: Acknowledged by the application; changes nothing in crediting or in following confirmations.
    PROCESSED = "processed"
    #: The rest is final at once.
    INTERNAL = "internal"
    NETWORK_FEE = "network_fee"
    BALANCE_IMPORT = "balance_import"
    REFUND = "refund"
    REVERSAL = "reversal"
    ADJUSTMENT = "adjustment"


class NetworkTransactionType(StrEnum):
    """Which way the coins went."""

    DEPOSIT = "deposit"
    BROADCAST = "broadcast"


class NetworkTransactionState(StrEnum):
    """What the network knows of it."""

    #: Broadcast: withdrawals are bundled, nothing is signed.
    COLLECTED = "collected"
    #: Broadcast: signed and stored; published again and again until the network knows it.
    PREPARED = "prepared"
    #: Broadcast: handed to a backend that signs and publishes in one go, and the outcome is not known.
    OPENED = "opened"
    #: The network knows it: unconfirmed or included in a block.
    LIVE = "live"
    #: It conflicts with the chain, or was given up. Its withdrawals stay with it as long as it could come back.
    DEAD = "dead"
