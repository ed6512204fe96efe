"""The books against the backend's wallet, to the smallest unit: what must be there, what is, and which network
transactions make the difference.

Every coin in the wallet came by a network transaction and went by one, so the whole listing of the backend is held
against the books, transaction by transaction. What the books know is compared; what they do not know either concerns
an account, and is told in any case, or came and went past the accounts: top-ups of the hot wallet, its history from
before the books began, payments by hand. Those are what imports and adjustments are for, and as far as these
cover them, from the oldest on, they are no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy.orm import Session

from cryptoassets_core.amounts import from_minor_units
from cryptoassets_core.backend.base import BlockHash, CoinBackend, Txid, WalletTransaction
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.states import NetworkTransactionState
from cryptoassets_core.tools.reconcilerows import BookedBroadcast, BooksView, own_addresses, read_books
from cryptoassets_core.tools.reconciliation import Cause, Difference, Passing, Reconciliation

_NOTHING: Final = Decimal(0)


def reconcile(session: Session, coin: Coin, backend: CoinBackend) -> Reconciliation:
    """Compare one coin's books with its backend; reads only.

    Beside a running daemon it may name what the daemon is about to enter. Ask again then.

    :param session: looks at one moment, as a read-only one of the app does, or a serializable one.
    :raises BackendError: the backend cannot tell.
    """
    before = _moment(backend)
    # Checkpoint None is everything there is to know.
    listed = {each.txid: each for each in backend.list_since(None, depth=1).transactions}
    books = read_books(session, coin)
    paid = {output.address for each in listed.values() for output in each.received}
    comparison = _Comparison(coin, books, own_addresses(session, coin.wallet_model.books(), sorted(paid)))
    for transaction in listed.values():
        comparison.take(transaction)
    comparison.look_for_missing(backend)
    return comparison.result(before.balance, moved=_moment(backend) != before)


@dataclass(frozen=True, slots=True)
class _Moment:
    tip: BlockHash
    balance: Decimal


def _moment(backend: CoinBackend) -> _Moment:
    return _Moment(backend.get_tip(), backend.get_backend_balance())


class _Comparison:
    """Adds up, transaction by transaction, on what the books and the backend do not agree."""

    def __init__(self, coin: Coin, books: BooksView, own: set[str]) -> None:
        self._coin = coin
        self._books = books
        self._own = own
        self._alive: set[Txid] = set()
        self._differences: list[Difference] = []
        self._passing: list[Passing] = []
        # With all decimals, as every amount is shown.
        self._zero = from_minor_units(0, coin.description.decimals)
        self._left = self._fees_not_booked = self._immature = self._zero

    def take(self, transaction: WalletTransaction) -> None:
        """Compare one network transaction of the backend with the books."""
        if transaction.is_dead:
            return
        self._alive.add(transaction.txid)
        received: dict[str, Decimal] = {}
        for output in transaction.received:
            received[output.address] = received.get(output.address, _NOTHING) + output.amount
        # A daemon's wallet waits one block longer than the network demands.
        immature = transaction.coinbase and transaction.confirmations <= self._coin.description.coinbase_maturity
        self._take_deposits(
            transaction, {to: amount for to, amount in received.items() if to in self._own}, immature=immature
        )
        net = _NOTHING
        if not immature:
            net += sum((amount for to, amount in received.items() if to not in self._own), _NOTHING)
        broadcast = self._books.broadcasts.get(transaction.txid)
        if broadcast is not None:
            self._take_broadcast(transaction, broadcast)
        elif transaction.fee is not None:
            net -= transaction.sent + transaction.fee
        if net:
            self._pass(transaction, net)

    def look_for_missing(self, backend: CoinBackend) -> None:
        """Name what the books have and the backend did not list as alive."""
        deposits = {txid: sum(by.values(), _NOTHING) for txid, by in self._books.deposits.items()}
        broadcasts: dict[Txid, Decimal] = {}
        for txid, each in self._books.broadcasts.items():
            if each.state == NetworkTransactionState.DEAD and each.paid and txid not in self._alive:
                words = (
                    f"{each.paid:f} is not paid and stays reserved, with a fee of {each.fee_booked:f}: {each.reason}"
                )
                self._differ(Cause.CONFLICTED_BROADCAST, txid, each.paid + each.fee_booked, words)
            else:
                broadcasts[txid] = each.paid + each.fee_booked
        missing = {
            Cause.MISSING_DEPOSIT: {txid: -sum_ for txid, sum_ in deposits.items() if txid not in self._alive},
            Cause.MISSING_BROADCAST: {txid: sum_ for txid, sum_ in broadcasts.items() if txid not in self._alive},
        }
        # Daemons list no deposit that is in conflict, but know it when asked.
        known = backend.get_transactions(sorted({txid for by in missing.values() for txid in by}))
        for cause, amounts in missing.items():
            for txid, amount in amounts.items():
                if amount:
                    state = "is in conflict with the chain" if txid in known else "is not known to the backend"
                    done = "credited or on its way" if cause is Cause.MISSING_DEPOSIT else "sent, with its fee"
                    self._differ(cause, txid, amount, f"{abs(amount):f} stands in the books as {done}, and {state}")

    def result(self, balance: Decimal, *, moved: bool) -> Reconciliation:
        """Put it all together, with what the backend holds."""
        books = self._books
        # From the oldest on: a top-up that was imported is settled, and what came after it is not.
        passing = sorted(self._passing, key=lambda each: -each.confirmations)
        settled = _settled(passing, books.imported, books.below_minimum)
        told = passing if settled is None else passing[settled.passing :]
        given = _NOTHING if settled is None else settled.given
        signed = sum((each.pending for each in books.broadcasts.values()), _NOTHING)
        return Reconciliation(
            coin=self._coin.name,
            accounts=books.accounts,
            queued=books.pending - signed,
            prepared=signed - self._left,
            incoming=books.incoming,
            below_minimum=books.below_minimum - given,
            immature=self._immature,
            fees_not_booked=self._fees_not_booked,
            balance=balance,
            imported=books.imported,
            passed=self._zero + _total(passing),
            not_imported=_total(each for each in passing if each.settled) - (books.imported - given),
            import_differs=settled is None,
            differences=[*self._differences, *(each.difference for each in told)],
            moved=moved,
        )

    def _take_deposits(self, transaction: WalletTransaction, received: dict[str, Decimal], *, immature: bool) -> None:
        booked = self._books.deposits.get(transaction.txid, {})
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
            self._differ(cause, transaction.txid, there - here, words)

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

    def _pass(self, transaction: WalletTransaction, net: Decimal) -> None:
        if net < 0:
            cause, words = Cause.UNKNOWN_PAYMENT, f"{-net:f} left the wallet, fee included, past these books"
        else:
            cause, words = Cause.TOP_UP, f"{net:f} came to addresses that belong to no account, and is not imported"
        self._passing.append(
            Passing(
                Difference(cause, transaction.txid, net, words),
                transaction.confirmations,
                settled=net < 0 or transaction.confirmations >= self._coin.confirmation_count,
            )
        )

    def _differ(self, cause: Cause, txid: Txid, amount: Decimal, message: str) -> None:
        self._differences.append(Difference(cause, txid, amount, message))


@dataclass(frozen=True, slots=True)
class _Settled:
    """What imports and adjustments were for."""

    #: How many network transactions past the accounts, from the oldest on.
    passing: int
    #: What was given to accounts of the deposits that are too small to be credited.
    given: Decimal


def _settled(passing: Sequence[Passing], imported: Decimal, below_minimum: Decimal) -> _Settled | None:
    """Tell what was imported for: as little as possible of too small deposits, and as many others as possible.

    :returns: None if no such sum is what was imported.
    """
    total, found = _NOTHING, None
    for count, amount in enumerate([_NOTHING, *(each.difference.amount for each in passing)]):
        total += amount
        given = imported - total
        if 0 <= given <= below_minimum and (found is None or given <= found.given):
            found = _Settled(count, given)
    return found


def _total(passing: Iterable[Passing]) -> Decimal:
    return sum((each.difference.amount for each in passing), _NOTHING)
