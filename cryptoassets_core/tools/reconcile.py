"""The books against the backend's wallet, to the smallest unit: what must be there, what is, and which network
transactions make the difference.

Every coin in the wallet came by a network transaction and went by one, so the whole listing of the backend is held
against the books, transaction by transaction. What the books know is compared; what they do not know either concerns
an account, and is told in any case, or came and went past the accounts: top-ups of the hot wallet, its history from
before the books began, payments by hand. Those are what imports and adjustments are for, and as far as these
cover them, from the oldest on, they are no difference.

Listing and books are as long as the history, so both are gone through side by side, in the order of the txids: what is
held in memory is what differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy.orm import Session

from cryptoassets_core.amounts import exactly, from_minor_units
from cryptoassets_core.backend.base import BlockHash, CoinBackend, Txid, WalletTransaction
from cryptoassets_core.backend.sortedlisting import SortedListing
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.tools.reconcilepassing import Passing
from cryptoassets_core.tools.reconcilerows import (
    CHUNK,
    BookedBroadcast,
    BooksSums,
    booked_broadcasts,
    booked_deposits,
    own_addresses,
    read_sums,
)
from cryptoassets_core.tools.reconciliation import Cause, Difference, Reconciliation
from cryptoassets_core.utils.iterutil import grouper

_NOTHING: Final = Decimal(0)


@exactly
def reconcile(session: Session, coin: Coin, backend: CoinBackend) -> Reconciliation:
    """Compare one coin's books with its backend; reads only.

    Beside a running daemon it may name what the daemon is about to enter. Ask again then.

    :param session: looks at one moment, as a read-only one of the app does, or a serializable one.
    :raises BackendError: the backend cannot tell.
    """
    before = _moment(backend)
    # Checkpoint None is everything there is to know.
    with (
        closing(SortedListing(backend.list_since(None, depth=1).transactions)) as listing,
        closing(Passing()) as passing,
    ):
        comparison = _Comparison(coin, read_sums(session, coin), passing)
        for entry in _side_by_side(session, coin, listing):
            comparison.take(entry)
        comparison.name_missing(backend)
        return comparison.result(before.balance, moved=_moment(backend) != before)


@dataclass(frozen=True, slots=True)
class _Moment:
    tip: BlockHash
    balance: Decimal


def _moment(backend: CoinBackend) -> _Moment:
    return _Moment(backend.get_tip(), backend.get_backend_balance())


@dataclass(frozen=True, slots=True)
class _Entry:
    """What both sides say of one network transaction; amounts in whole coins."""

    txid: Txid
    #: As the backend lists it, None if it does not.
    listed: WalletTransaction | None = None
    #: Addresses that belong to accounts; those that it pays are among them.
    own: frozenset[str] = frozenset()
    #: Deposits that stand in the books, by address.
    deposits: dict[str, Decimal] = field(default_factory=dict)
    broadcast: BookedBroadcast | None = None


#: Txid, which part of its entry this is, and that part.
_Fact = tuple[Txid, str, Any]


def _side_by_side(session: Session, coin: Coin, listing: SortedListing) -> Iterator[_Entry]:
    """Go through the backend's listing and the books together, in the order of the txids."""
    books = coin.wallet_model.books()
    deposits = ((txid, "deposits", amounts) for txid, amounts in booked_deposits(session, books))
    broadcasts = ((txid, "broadcast", broadcast) for txid, broadcast in booked_broadcasts(session, books))
    facts: Iterator[_Fact] = merge(_listed(session, books, listing), deposits, broadcasts, key=itemgetter(0))
    for txid, found in groupby(facts, key=itemgetter(0)):
        yield _Entry(txid, **{name: fact for _, name, fact in found})


def _listed(session: Session, books: Books, listing: SortedListing) -> Iterator[_Fact]:
    for chunk in grouper(CHUNK, listing.after(None)):
        paid = {output.address for each in chunk for output in each.received}
        own = frozenset(own_addresses(session, books, sorted(paid)))
        for each in chunk:
            yield each.txid, "listed", each
            yield each.txid, "own", own


class _Comparison:
    """Adds up, transaction by transaction, on what the books and the backend do not agree."""

    def __init__(self, coin: Coin, books: BooksSums, passing: Passing) -> None:
        """
        :param passing: empty; takes what came and went past the accounts.
        """
        self._coin = coin
        self._books = books
        self._passing = passing
        self._differences: list[Difference] = []
        self._missing: list[tuple[Txid, Cause, Decimal]] = []
        # With all decimals, as every amount is shown.
        self._zero = from_minor_units(0, coin.description.decimals)
        self._signed = self._left = self._fees_not_booked = self._immature = self._zero

    def take(self, entry: _Entry) -> None:
        """Compare what both sides say of one network transaction."""
        if entry.broadcast is not None:
            self._signed += entry.broadcast.pending
        if entry.listed is None or entry.listed.is_dead:
            self._take_missing(entry)
        else:
            self._take_listed(entry, entry.listed)

    def _take_listed(self, entry: _Entry, transaction: WalletTransaction) -> None:
        received: dict[str, Decimal] = {}
        for output in transaction.received:
            received[output.address] = received.get(output.address, _NOTHING) + output.amount
        # A daemon's wallet waits one block longer than the network demands.
        immature = transaction.coinbase and transaction.confirmations <= self._coin.description.coinbase_maturity
        own = {to: amount for to, amount in received.items() if to in entry.own}
        self._take_deposits(transaction.txid, own, entry.deposits, immature=immature)
        net = _NOTHING
        if not immature:
            net += sum((amount for to, amount in received.items() if to not in entry.own), _NOTHING)
        if entry.broadcast is not None:
            self._take_broadcast(transaction, entry.broadcast)
        elif transaction.fee is not None:
            net -= transaction.sent + transaction.fee
        if net:
            deep = transaction.confirmations >= self._coin.confirmation_count
            self._passing.add(transaction.txid, net, confirmations=transaction.confirmations, settled=net < 0 or deep)

    def _take_missing(self, entry: _Entry) -> None:
        """Note what the books have and the backend does not list as alive."""
        if entry.deposits:
            self._missing.append((entry.txid, Cause.MISSING_DEPOSIT, -sum(entry.deposits.values(), _NOTHING)))
        broadcast = entry.broadcast
        if broadcast is None:
            return
        amount = broadcast.paid + broadcast.fee_booked
        if broadcast.state == NetworkTransactionState.DEAD and broadcast.paid:
            fee = f"{broadcast.fee_booked:f}"
            words = f"{broadcast.paid:f} is not paid and stays reserved, with a fee of {fee}: {broadcast.reason}"
            self._differ(Cause.CONFLICTED_BROADCAST, entry.txid, amount, words)
        elif amount:
            self._missing.append((entry.txid, Cause.MISSING_BROADCAST, amount))

    def name_missing(self, backend: CoinBackend) -> None:
        """Name what the books have and the backend did not list as alive."""
        for chunk in grouper(CHUNK, self._missing):
            # Daemons list no deposit that is in conflict, but know it when asked.
            known = backend.get_transactions(sorted({txid for txid, *_ in chunk}))
            for txid, cause, amount in chunk:
                state = "is in conflict with the chain" if txid in known else "is not known to the backend"
                done = "credited or on its way" if cause is Cause.MISSING_DEPOSIT else "sent, with its fee"
                self._differ(cause, txid, amount, f"{abs(amount):f} stands in the books as {done}, and {state}")

    def result(self, balance: Decimal, *, moved: bool) -> Reconciliation:
        """Put it all together, with what the backend holds."""
        books, passing = self._books, self._passing
        settled = passing.settled_by(books.imported, below_minimum=books.below_minimum)
        given = _NOTHING if settled is None else settled.given
        for txid, amount in passing.beyond(0 if settled is None else settled.passing):
            self._tell_passing(txid, amount)
        return Reconciliation(
            coin=self._coin.name,
            accounts=books.accounts,
            queued=books.pending - self._signed,
            prepared=self._signed - self._left,
            incoming=books.incoming,
            below_minimum=books.below_minimum - given,
            immature=self._immature,
            fees_not_booked=self._fees_not_booked,
            balance=balance,
            imported=books.imported,
            passed=self._zero + passing.total(),
            not_imported=passing.total(settled=True) - (books.imported - given),
            import_differs=settled is None,
            differences=self._differences,
            moved=moved,
        )

    def _take_deposits(
        self, txid: Txid, received: dict[str, Decimal], booked: dict[str, Decimal], *, immature: bool
    ) -> None:
        for address in sorted({*received, *booked}):
            there, here = received.get(address, _NOTHING), booked.get(address, _NOTHING)
            if not here and immature:
                continue  # no coins of the backend's yet, and none of ours
            if immature:
                self._immature += there
            if there == here:
                continue
            if not here:
                cause, words = Cause.UNKNOWN_DEPOSIT, f"{there:f} paid to {address} is not in the books"
            else:
                cause, words = Cause.DEPOSIT_AMOUNT, f"{there:f} was paid to {address}, the books have {here:f}"
            self._differ(cause, txid, there - here, words)

    def _take_broadcast(self, transaction: WalletTransaction, broadcast: BookedBroadcast) -> None:
        sent, fee = transaction.sent, transaction.fee or _NOTHING
        if broadcast.state == NetworkTransactionState.DEAD and not broadcast.paid:
            words = f"{sent:f} and a fee of {fee:f} left the wallet with a broadcast that the books have given up"
            self._differ(Cause.DEAD_BROADCAST, transaction.txid, -sent - fee, words)
            return
        # Published, and the books do not know it yet: its withdrawals have left and its fee is taken.
        self._left += broadcast.pending
        fee_here = broadcast.fee_booked
        if broadcast.state == NetworkTransactionState.PREPARED:
            self._fees_not_booked += broadcast.fee
            fee_here = broadcast.fee
        here = broadcast.paid + broadcast.pending
        if sent != here:
            words = f"it pays {sent:f}, its withdrawals in the books are {here:f}"
            self._differ(Cause.BROADCAST_AMOUNT, transaction.txid, here - sent, words)
        if fee != fee_here:
            words = f"its fee is {fee:f}, the books have {fee_here:f}"
            self._differ(Cause.BROADCAST_FEE, transaction.txid, fee_here - fee, words)

    def _tell_passing(self, txid: Txid, amount: Decimal) -> None:
        if amount < 0:
            cause, words = Cause.UNKNOWN_PAYMENT, f"{-amount:f} left the wallet, fee included, past these books"
        else:
            cause, words = Cause.TOP_UP, f"{amount:f} came to addresses that belong to no account, and is not imported"
        self._differ(cause, txid, amount, words)

    def _differ(self, cause: Cause, txid: Txid, amount: Decimal, message: str) -> None:
        self._differences.append(Difference(cause, txid, amount, message))
