"""The only statements that change a balance.

Balances move by relative, conditional updates, so a posting is right at any isolation level: what it reads and what it
writes are one statement. Whoever posts to two accounts locks both first, in id order, so that two opposite transfers
cannot deadlock and nothing is written before all is known to be possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Integer, and_, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from cryptoassets_core.amounts import EXACT, check_amount, from_minor_units, max_minor_units
from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import InvalidAmountError, NotEnoughAccountBalance, UnknownRowError, WrongWalletError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.rowset import amount_type, minor, rowset
from cryptoassets_core.names import check_id


@dataclass(frozen=True, slots=True)
class Leg:
    """One account's side of a movement."""

    account_id: int
    #: Number of the entry in the account.
    entry: int
    #: Whole coins.
    balance_after: Decimal


def lock_accounts(
    session: Session, books: Books, *, wallet_id: int, account_ids: Iterable[int]
) -> Mapping[int, Decimal]:
    """Lock accounts until the transaction ends, and see that they belong to the wallet.

    :returns: what each account has, whole coins.
    :raises UnknownRowError: an account does not exist.
    :raises WrongWalletError: an account belongs to another wallet.
    """
    account = books.account
    wanted = sorted({check_id(account_id, f"{books.coin.symbol} account") for account_id in account_ids})
    locked = session.execute(
        select(account.c.id, account.c.wallet_id, account.c.balance)
        .where(account.c.id.in_(wanted))
        .order_by(account.c.id)
        .with_for_update(key_share=True)
    ).all()
    wallet_of = {row.id: row.wallet_id for row in locked}
    for account_id in wanted:
        if account_id not in wallet_of:
            raise UnknownRowError(f"there is no {books.coin.symbol} account {account_id}")
        if wallet_of[account_id] != wallet_id:
            raise WrongWalletError(
                f"{books.coin.symbol} account {account_id} belongs to wallet {wallet_of[account_id]}, "
                f"not to wallet {wallet_id}"
            )
    return {row.id: row.balance for row in locked}


def check_room(books: Books, *, account_id: int, balance: Decimal, amount: Decimal) -> None:
    """See that an account can hold what it is about to get.

    :raises InvalidAmountError: the sum is more than the column can hold.
    """
    if EXACT.add(balance, amount) > most(books):
        raise InvalidAmountError(no_room(books, account_id))


def no_room(books: Books, account_id: int) -> str:
    """Say that an account cannot hold what it is about to get."""
    return (
        f"account {account_id} would hold more than the database can, which is {most(books):f} "
        f"{books.coin.symbol.upper()}"
    )


def most(books: Books) -> Decimal:
    """Return the whole coins that one account can hold."""
    return from_minor_units(max_minor_units(books.coin.decimals), books.coin.decimals)


@contextmanager
def all_or_nothing(session: Session) -> Iterator[None]:
    """Undo what the block wrote if it raises: its caller may catch the error, go on and commit."""
    try:
        with session.begin_nested():
            yield
    except BaseException:
        # What the block has loaded may be of rows that are undone, whose numbers SQLite gives away again.
        session.expire_all()
        raise


def debit(session: Session, books: Books, *, account_id: int, amount: Decimal, allow_overdraft: bool = False) -> Leg:
    """Take coins from an account.

    :raises NotEnoughAccountBalance: it has less; nothing was written.
    """
    account = books.account
    remaining = account.c.balance - amount
    statement = update(account).where(account.c.id == account_id)
    if allow_overdraft:
        statement = statement.values(overdrawn=remaining < 0)
    else:
        statement = statement.where(account.c.balance >= amount)
    row = session.execute(
        statement.values(balance=remaining, entries=account.c.entries + 1, updated_at=utc_now()).returning(
            account.c.balance, account.c.entries
        )
    ).one_or_none()
    if row is None:
        available = session.scalar(select(account.c.balance).where(account.c.id == account_id))
        if available is None:
            raise UnknownRowError(f"there is no {books.coin.symbol} account {account_id}")
        raise NotEnoughAccountBalance(
            account_id=account_id, needed=amount, available=available, symbol=books.coin.symbol
        )
    bring_up_to_date(session, books, account_id, balance=row.balance, entries=row.entries)
    return Leg(account_id, row.entries, row.balance)


def credit(session: Session, books: Books, *, account_id: int, amount: Decimal) -> Leg:
    """Give coins to an account.

    :raises InvalidAmountError: the account would hold more than the database can; nothing was written.
    """
    (leg,) = credit_what_fits(session, books, [(account_id, amount)])
    if leg is None:
        raise InvalidAmountError(no_room(books, account_id))
    return leg


def credit_what_fits(session: Session, books: Books, credits: Sequence[tuple[int, Decimal]]) -> list[Leg | None]:
    """Give coins to accounts, several times to one if need be; two statements whatever their number.

    :param credits: account id and whole coins of each entry.
    :returns: the legs, in the order given; None where the account would hold more than the database can, and got
        nothing.
    :raises UnknownRowError: an account does not exist; nothing was written.
    """
    # Before anything is written: what an account cannot hold must not be noticed half-way.
    before = _lock_balances(session, books, {id_ for id_, _ in credits})
    after, limit = dict(before), most(books)
    legs: list[Leg | None] = []
    for account_id, amount in credits:
        balance, entries = after[account_id]
        balance_after = EXACT.add(balance, amount)
        if balance_after > limit:
            legs.append(None)
        else:
            after[account_id] = (balance_after, entries + 1)
            legs.append(Leg(account_id, entries + 1, balance_after))
    _move(session, books, before, after, overdraft=False)
    return legs


def debit_what_must_be(session: Session, books: Books, debits: Sequence[tuple[int, Decimal]]) -> list[Leg]:
    """Take coins from accounts, below zero if it must be, several times from one if need be; in two statements.

    :param debits: account id and whole coins of each entry.
    :returns: the legs, in the order given.
    :raises UnknownRowError: an account does not exist; nothing was written.
    """
    before = _lock_balances(session, books, {id_ for id_, _ in debits})
    after = dict(before)
    legs = []
    for account_id, amount in debits:
        balance, entries = after[account_id]
        leg = Leg(account_id, entries + 1, EXACT.subtract(balance, amount))
        after[account_id] = (leg.balance_after, leg.entry)
        legs.append(leg)
    _move(session, books, before, after, overdraft=True)
    return legs


#: What accounts have, in whole coins, and how many entries, by id.
_Balances = Mapping[int, tuple[Decimal, int]]


def _lock_balances(session: Session, books: Books, account_ids: Iterable[int]) -> _Balances:
    """Lock accounts in id order until the transaction ends."""
    account, wanted_ids = books.account, sorted(account_ids)
    wanted = rowset(session, "wanted", {"id": BigInteger}, [(id_,) for id_ in wanted_ids])
    rows = session.execute(
        select(account.c.id, account.c.balance, account.c.entries)
        .join(wanted, account.c.id == wanted.c.id)
        .order_by(account.c.id)
        .with_for_update(key_share=True, of=account)
    ).all()
    locked = {row.id: (row.balance, row.entries) for row in rows}
    for account_id in wanted_ids:
        if account_id not in locked:
            raise UnknownRowError(f"there is no {books.coin.symbol} account {account_id}")
    return locked


def _move(session: Session, books: Books, before: _Balances, after: _Balances, *, overdraft: bool) -> None:
    """Write what was made of accounts that are locked, and tell loaded objects.

    :param overdraft: they may be below zero by this.
    """
    moved = {id_: (balance, entries) for id_, (balance, entries) in after.items() if entries > before[id_][1]}
    changes = [
        (id_, minor(books, EXACT.subtract(balance, before[id_][0])), entries - before[id_][1])
        for id_, (balance, entries) in moved.items()
    ]
    if changes:
        _add(session, books, changes, overdraft=overdraft)
    for id_, (balance, entries) in moved.items():
        bring_up_to_date(session, books, id_, balance=balance, entries=entries)


def _add(session: Session, books: Books, changes: Sequence[tuple[int, int, int]], *, overdraft: bool) -> None:
    """Add minor units and a number of entries to accounts that are locked."""
    account = books.account
    given = rowset(session, "given", {"account_id": BigInteger, "total": amount_type(books), "n": Integer}, changes)
    balance = account.c.balance + given.c.total
    session.execute(
        update(account)
        .where(account.c.id == given.c.account_id)
        .values(
            balance=balance,
            entries=account.c.entries + given.c.n,
            overdrawn=balance < 0 if overdraft else and_(account.c.overdrawn, balance < 0),
            updated_at=utc_now(),
        )
    )


def post(
    session: Session,
    books: Books,
    *,
    amount: Decimal,
    sending: Leg | None = None,
    receiving: Leg | None = None,
    **values: object,
) -> Any:
    """Write the row of a movement whose legs are posted, and return it as a model object."""
    model = books.models["transaction"]
    if sending is not None:
        values |= {
            "sending_account_id": sending.account_id,
            "sending_entry": sending.entry,
            "sending_balance_after": sending.balance_after,
        }
    if receiving is not None:
        values |= {
            "receiving_account_id": receiving.account_id,
            "receiving_entry": receiving.entry,
            "receiving_balance_after": receiving.balance_after,
        }
    return session.scalars(
        insert(model).values(amount=check_amount(amount, books.coin.decimals), **values).returning(model)
    ).one()


def bring_up_to_date(session: Session, books: Books, account_id: int, *, balance: Decimal, entries: int) -> None:
    """Tell a loaded account object what a statement made of its row."""
    loaded = session.identity_map.get(identity_key(books.models["account"], account_id))
    if loaded is not None:
        set_committed_value(loaded, "balance", balance)
        set_committed_value(loaded, "entries", entries)
        # The database keeps the flag for exactly as long as the balance is below zero.
        set_committed_value(loaded, "overdrawn", balance < 0)
