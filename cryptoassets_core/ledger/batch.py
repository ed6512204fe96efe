"""Thousands of transfers in one database transaction and a handful of statements.

The accounts are locked, the transfers are worked through in memory in the order given, and the result is written with
set-based SQL. All of them happen or none: the first that cannot is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Boolean, String, insert, literal, select, type_coerce, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount, check_minor_units, from_minor_units, max_minor_units
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import (
    CryptoAssetsError,
    NotEnoughAccountBalance,
    SameAccount,
    UnknownRowError,
    WrongWalletError,
)
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.idempotency import check_same
from cryptoassets_core.ledger.posting import bring_up_to_date, check_room
from cryptoassets_core.ledger.rowset import amount_type, rowset
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transfer import TransferOrder, check_limit, signed
from cryptoassets_core.names import check_id, check_label, check_name


@dataclass(slots=True)
class _Account:
    """An account while the batch is worked through; amounts in minor units."""

    id: int
    wallet_id: int
    balance: int
    entries: int
    change: int = 0
    new_entries: int = 0

    def move(self, amount_minor: int) -> tuple[int, int]:
        """Return the entry's number and the balance after it."""
        self.change += amount_minor
        self.new_entries += 1
        return self.entries + self.new_entries, self.balance + self.change


@dataclass(slots=True)
class _Plan:
    """What is to be written, and what each order comes to."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    #: (sending account, its entry) of each order that is new, by the order's place.
    legs: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Place of the order that each idempotency key was first used by.
    first_with_key: dict[str, int] = field(default_factory=dict)


def transfer_many(session: Session, books: Books, *, wallet_id: int, orders: Sequence[TransferOrder]) -> list[int]:
    """Make transfers, each as :py:func:`~cryptoassets_core.ledger.transfer.transfer` would, all or none.

    :returns: the transaction of each order, in order; the earlier one where an idempotency key was used before.
    :raises LedgerError: as for one transfer; ``item`` is the place of the order, from 0, and nothing is written.
    """
    if not orders:
        return []
    check_id(wallet_id, f"{books.coin.symbol} wallet")
    orders, amounts = _checked(books, orders)
    earlier = _earlier(session, books, wallet_id, orders)
    accounts = _lock(session, books, orders)
    plan = _plan(books, wallet_id, orders, amounts, accounts, earlier)
    ids = _write(session, books, wallet_id, plan, accounts) if plan.rows else {}
    return [_id_of(place, order, plan, ids, earlier) for place, order in enumerate(orders)]


@dataclass(slots=True)
class Item:
    """Which transfer of a batch is looked at."""

    place: int = 0


@contextmanager
def naming_item(total: int) -> Iterator[Item]:
    """Have an error of the block tell which transfer of a batch it is about: the block keeps the item's place."""
    item = Item()
    try:
        yield item
    except CryptoAssetsError as error:
        error.item = item.place
        error.args = (f"transfer {item.place} of {total}: {error}",)
        raise


def _checked(books: Books, orders: Sequence[TransferOrder]) -> tuple[list[TransferOrder], list[int]]:
    """Return the orders as they are to be written, and their amounts in minor units."""
    checked, amounts = [], []
    with naming_item(len(orders)) as item:
        for item.place, order in enumerate(orders):
            amounts.append(check_minor_units(order.amount, books.coin.decimals))
            for account_id in (order.sending_account_id, order.receiving_account_id):
                check_id(account_id, f"{books.coin.symbol} account")
            check_label(order.label)
            checked.append(signed(order))
            if order.sending_account_id == order.receiving_account_id:
                raise SameAccount(
                    f"account {order.sending_account_id} cannot send to itself; name another receiving account"
                )
            if order.idempotency_key is not None:
                check_name(order.idempotency_key, "an idempotency key")
    return checked, amounts


def _earlier(session: Session, books: Books, wallet_id: int, orders: Sequence[TransferOrder]) -> Mapping[str, Any]:
    keys = sorted({order.idempotency_key for order in orders if order.idempotency_key is not None})
    if not keys:
        return {}
    transaction = books.transaction
    wanted = rowset(session, "keys", {"key": String}, [(key,) for key in keys])
    rows = session.execute(
        # Not a join: SQLite would go through all of the wallet's rows and through the keys for each.
        select(transaction).where(
            transaction.c.wallet_id == wallet_id, transaction.c.idempotency_key.in_(select(wanted.c.key))
        )
    )
    return {row.idempotency_key: row for row in rows}


def _lock(session: Session, books: Books, orders: Sequence[TransferOrder]) -> dict[int, _Account]:
    account = books.account
    ids = {order.sending_account_id for order in orders} | {order.receiving_account_id for order in orders}
    wanted = rowset(session, "wanted", {"id": BigInteger}, [(id_,) for id_ in sorted(ids)])
    rows = session.execute(
        select(
            account.c.id,
            account.c.wallet_id,
            type_coerce(account.c.balance, amount_type(books)).label("balance"),
            account.c.entries,
        )
        .join(wanted, account.c.id == wanted.c.id)
        .order_by(account.c.id)
        .with_for_update(key_share=True, of=account)
    ).all()
    return {
        id_: _Account(id_, wallet_id, int(balance), entries) for id_, wallet_id, balance, entries in map(tuple, rows)
    }


def _check_account(books: Books, wallet_id: int, account_id: int, accounts: Mapping[int, _Account]) -> None:
    account = accounts.get(account_id)
    if account is None:
        raise UnknownRowError(f"there is no {books.coin.symbol} account {account_id}")
    if account.wallet_id != wallet_id:
        raise WrongWalletError(
            f"{books.coin.symbol} account {account_id} belongs to wallet {account.wallet_id}, not to wallet {wallet_id}"
        )


def _plan(
    books: Books,
    wallet_id: int,
    orders: Sequence[TransferOrder],
    amounts: Sequence[int],
    accounts: Mapping[int, _Account],
    earlier: Mapping[str, Any],
) -> _Plan:
    plan = _Plan()
    with naming_item(len(orders)) as item:
        for item.place, (order, amount) in enumerate(zip(orders, amounts, strict=True)):
            if _is_repeat(books, item.place, order, orders, plan, earlier):
                continue
            check_limit(books, order, amount)
            # In the order of a single transfer's complaints.
            for account_id in sorted((order.sending_account_id, order.receiving_account_id)):
                _check_account(books, wallet_id, account_id, accounts)
            sender, receiver = accounts[order.sending_account_id], accounts[order.receiving_account_id]
            available = sender.balance + sender.change
            if available < amount and not order.overdraft:
                raise NotEnoughAccountBalance(
                    account_id=sender.id,
                    needed=from_minor_units(amount, books.coin.decimals),
                    available=from_minor_units(available, books.coin.decimals),
                    symbol=books.coin.symbol,
                )
            if receiver.balance + receiver.change + amount > max_minor_units(books.coin.decimals):
                check_room(
                    books,
                    account_id=receiver.id,
                    balance=from_minor_units(receiver.balance + receiver.change, books.coin.decimals),
                    amount=from_minor_units(amount, books.coin.decimals),
                )
            sending_entry, sending_after = sender.move(-amount)
            receiving_entry, receiving_after = receiver.move(amount)
            plan.legs[item.place] = (sender.id, sending_entry)
            plan.rows.append(
                (
                    amount,
                    order.label,
                    order.address_id,
                    order.idempotency_key,
                    order.overdraft,
                    sender.id,
                    sending_entry,
                    sending_after,
                    receiver.id,
                    receiving_entry,
                    receiving_after,
                )
            )
    return plan


def _is_repeat(
    books: Books,
    place: int,
    order: TransferOrder,
    orders: Sequence[TransferOrder],
    plan: _Plan,
    earlier: Mapping[str, Any],
) -> bool:
    key = order.idempotency_key
    if key is None:
        return False
    before: Any = earlier.get(key)
    if before is None:
        first = plan.first_with_key.setdefault(key, place)
        if first == place:
            return False
        before = orders[first]
    amount_before = check_amount(before.amount, books.coin.decimals)
    check_same(
        key,
        {
            "kind": (getattr(before, "kind", TransactionKind.INTERNAL), TransactionKind.INTERNAL),
            "sending_account_id": (before.sending_account_id, order.sending_account_id),
            "receiving_account_id": (before.receiving_account_id, order.receiving_account_id),
            "address_id": (before.address_id, order.address_id),
            "amount": (amount_before, check_amount(order.amount, books.coin.decimals)),
            "label": (before.label, order.label),
        },
    )
    return True


def _write(
    session: Session, books: Books, wallet_id: int, plan: _Plan, accounts: Mapping[int, _Account]
) -> dict[tuple[int, int], int]:
    now = utc_now()
    account, transaction = books.account, books.transaction
    moved = [entry for entry in accounts.values() if entry.new_entries]
    changes = rowset(
        session,
        "changes",
        {"id": BigInteger, "change": amount_type(books), "n": BigInteger},
        [(entry.id, entry.change, entry.new_entries) for entry in moved],
    )
    after = account.c.balance + changes.c.change
    session.execute(
        update(account)
        .where(account.c.id == changes.c.id)
        .values(balance=after, entries=account.c.entries + changes.c.n, overdrawn=after < 0, updated_at=now)
    )
    amount = amount_type(books)
    columns = {
        "amount": amount,
        "label": String,
        "address_id": BigInteger,
        "idempotency_key": String,
        "overdraft": Boolean,
        "sending_account_id": BigInteger,
        "sending_entry": BigInteger,
        "sending_balance_after": amount,
        "receiving_account_id": BigInteger,
        "receiving_entry": BigInteger,
        "receiving_balance_after": amount,
    }
    rows = rowset(session, "rows", columns, plan.rows)
    constant = {
        "wallet_id": literal(wallet_id),
        "kind": literal(TransactionKind.INTERNAL, transaction.c.kind.type),
        "state": literal(TransactionState.INTERNAL, transaction.c.state.type),
        "created_at": literal(now, transaction.c.created_at.type),
        "credited_at": literal(now, transaction.c.credited_at.type),
    }
    written = session.execute(
        insert(transaction)
        .from_select([*columns, *constant], select(*(rows.c[name] for name in columns), *constant.values()))
        .returning(transaction.c.id, transaction.c.sending_account_id, transaction.c.sending_entry)
    )
    if len(session.identity_map):  # a teller's session holds no objects
        for entry in moved:
            bring_up_to_date(
                session,
                books,
                entry.id,
                balance=from_minor_units(entry.balance + entry.change, books.coin.decimals),
                entries=entry.entries + entry.new_entries,
            )
    return {(sender, entry): id_ for id_, sender, entry in map(tuple, written)}


def _id_of(
    place: int,
    order: TransferOrder,
    plan: _Plan,
    ids: Mapping[tuple[int, int], int],
    earlier: Mapping[str, Any],
) -> int:
    key = order.idempotency_key
    if key is not None and key in earlier:
        return int(earlier[key].id)
    return ids[plan.legs[plan.first_with_key[key] if key is not None else place]]
