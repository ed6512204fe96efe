"""The main job, from the first deposit to the last satoshi.

The story is the same on every network. It waits for facts and returns them; who tells it aloud is somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from application import Update
from narrator import Narrator
from processes import StoryError
from stage import Stage

ALICE: Final = "alice"
BOB: Final = "bob"

DEPOSIT: Final = Decimal("1.23456789")
GIFT: Final = Decimal("0.50000000")
BILL: Final = Decimal("0.40000001")

#: Confirmations before a deposit is credited: the library's default, which the configuration leaves alone.
CREDITED_AT: Final = 3


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the application knew when an event came in."""

    update: Update
    #: What the account that the event names could spend at that moment, whole coins.
    balance: Decimal


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit from the mempool to the credit."""

    txid: str
    sightings: list[Sighting]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal from the queue to as many confirmations as a deposit would need."""

    txid: str
    address: str
    #: States of the transaction: when it was queued, and in the end.
    states: tuple[str, str]
    sightings: list[Sighting]


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The books on one side, the network on the other."""

    balances: Mapping[str, Decimal]
    #: What the network charged, by the network's own account.
    network_fee: Decimal
    #: What the network's wallet holds, by the network's own account.
    network_balance: Decimal

    @property
    def ledger_total(self) -> Decimal:
        """All accounts together, the one for fees included."""
        return sum(self.balances.values(), Decimal(0))


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that happened."""

    deposit: Deposit
    after_gift: Mapping[str, Decimal]
    withdrawal: Withdrawal
    reckoning: Reckoning


def play(stage: Stage, narrator: Narrator) -> Outcome:
    """Play everything but the end of the daemon, which goes on running.

    :raises StoryError: something does not happen, or the books and the network differ.
    """
    prepare(stage, narrator)
    deposit = receive(stage, narrator)
    after_gift = give(stage, narrator)
    withdrawal = send(stage, narrator)
    return Outcome(deposit, after_gift, withdrawal, reckon(stage, narrator, withdrawal))


def prepare(stage: Stage, narrator: Narrator) -> None:
    """Make the tables, start the daemon."""
    narrator.scene("A database and a daemon")
    narrator.command(f"cryptoassets-initialize-database {stage.config_file}")
    narrator.say(stage.tables)
    narrator.command(f"{stage.daemon.command} {stage.config_file}")
    with narrator.waiting("the daemon starts"):
        stage.start_daemon()
    narrator.say(f"The daemon runs as process {stage.daemon.pid}, on {stage.network.title}.")
    narrator.say(f"While it does, its status page is here: {stage.daemon.status_url}")


def receive(stage: Stage, narrator: Narrator) -> Deposit:
    """Somebody outside pays; the deposit counts when it is deep enough in the chain."""
    application, symbol = stage.application, stage.application.symbol
    narrator.scene("A deposit")
    application.new_address(BOB)
    address = application.new_address(ALICE)
    narrator.say(f"{ALICE} gets a receiving address: {address}")
    txid = stage.network.pay(address, DEPOSIT)
    narrator.say(f"Somebody outside pays {DEPOSIT:f} {symbol} to it. The application hears:")
    sightings = _confirm(stage, narrator, txid, "deposit", ALICE)
    narrator.balances(application.balances(), symbol)
    return Deposit(txid, sightings)


def give(stage: Stage, narrator: Narrator) -> Mapping[str, Decimal]:
    """Coins move between two accounts: nothing but a posting in the ledger."""
    application, symbol = stage.application, stage.application.symbol
    narrator.scene("A gift from one user to another")
    application.move(ALICE, BOB, GIFT)
    narrator.say(f"{ALICE} gives {BOB} {GIFT:f} {symbol}: at once, free, unseen by the network.")
    balances = application.balances()
    narrator.balances(balances, symbol)
    return balances


def send(stage: Stage, narrator: Narrator) -> Withdrawal:
    """A user pays somebody outside: queued by the application, broadcast by the daemon."""
    application, symbol = stage.application, stage.application.symbol
    narrator.scene("A withdrawal")
    address = stage.network.outside_address()
    transaction = application.send(BOB, address, BILL)
    queued = application.transaction_state(transaction)
    narrator.say(f"{BOB} sends {BILL:f} {symbol} to somebody outside: {address}")
    narrator.say("The daemon signs, stores and broadcasts. The application hears:")
    with narrator.waiting("the daemon broadcasts"):
        update = stage.wait_for(
            lambda update: update.transaction == transaction, f"txupdate of the withdrawal {transaction}"
        )
    sightings = _confirm(stage, narrator, update.txid, "broadcast", BOB)
    states = (queued, application.transaction_state(transaction))
    return Withdrawal(update.txid, address, states, sightings)


def reckon(stage: Stage, narrator: Narrator, withdrawal: Withdrawal) -> Reckoning:
    """Compare the books with the network.

    :raises StoryError: they differ.
    """
    narrator.scene("The reckoning")
    reckoning = Reckoning(
        balances=stage.application.balances(),
        network_fee=stage.network.fees()[withdrawal.txid],
        network_balance=stage.network.balance(),
    )
    symbol = stage.application.symbol
    narrator.say(f"The network charged {reckoning.network_fee:f} {symbol}, booked to an account of its own.")
    totals = {"All accounts": reckoning.ledger_total, "The network's wallet": reckoning.network_balance}
    narrator.balances(reckoning.balances, symbol, totals=totals)
    if reckoning.ledger_total != reckoning.network_balance:
        raise StoryError("the books and the network differ")
    narrator.success("They agree to the last satoshi.")
    return reckoning


def end(stage: Stage, narrator: Narrator) -> int:
    """End the daemon as an init system does, and return its exit code.

    :raises StoryError: it is not 0.
    """
    narrator.scene("The end")
    narrator.command(f"kill -TERM {stage.daemon.pid}")
    with narrator.waiting("the daemon finishes what it is at"):
        code = stage.daemon.stop()
    if code != 0:
        raise StoryError(f"the daemon ended with exit code {code}; 0 would be right")
    narrator.success("The daemon stopped cleanly: exit code 0.")
    return code


def _confirm(stage: Stage, narrator: Narrator, txid: str, transaction_type: str, user: str) -> list[Sighting]:
    """Mine block by block, each only after the application heard of the one before."""
    sightings = []
    with narrator.confirming(CREDITED_AT) as tell:
        for confirmations in range(CREDITED_AT + 1):
            if confirmations:
                stage.network.mine()
            update = stage.wait_for_update(txid, confirmations=confirmations, transaction_type=transaction_type)
            sightings.append(Sighting(update, stage.application.balance(user)))
            tell(update)
    return sightings
