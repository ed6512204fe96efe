"""Wallets, accounts and addresses as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.states import AccountKind
from cryptoassets_core.names import check_id
from cryptoassets_core.tools.listing.paging import Page, Slice, among, read_page
from cryptoassets_core.tools.listing.search import find_ids

#: Wallets in which an account is looked for by its name alone.
WALLETS_SEARCHED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    """A wallet."""

    coin: str
    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account."""

    coin: str
    id: int
    #: Id and name of its wallet.
    wallet: int
    wallet_name: str
    name: str
    kind: AccountKind
    #: Whole coins.
    balance: Decimal
    #: How many ledger entries it has.
    entries: int
    overdrawn: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRow:
    """An address: ours if it has an account, else of somebody who was paid."""

    coin: str
    id: int
    address: str
    label: str | None
    #: Id and name of its account.
    account: int | None
    account_name: str | None
    #: Credited deposits of all time, whole coins.
    balance: Decimal
    created_at: datetime
    archived_at: datetime | None


def list_wallets(session: Session, coin: Coin, wanted: Slice) -> Page[WalletRow]:
    """Return a page of wallets."""
    wallet = coin.wallet_model.books().wallet
    query = select(wallet.c.id, wallet.c.name, wallet.c.created_at)
    return read_page(session, query, wallet.c.id, wanted, lambda row: WalletRow(coin=coin.name, **row._mapping))


def wallet_id(session: Session, coin: Coin, name: str) -> int:
    """Return the id of the wallet of that name.

    :raises UnknownRowError: there is none.
    """
    wallet = coin.wallet_model.books().wallet
    found = session.scalar(select(wallet.c.id).where(wallet.c.name == name))
    if found is None:
        raise UnknownRowError(f"{coin.name} has no wallet {name[:100]!r}")
    return int(found)


def list_accounts(
    session: Session, coin: Coin, wanted: Slice, *, wallet: int | None = None, name: str | None = None
) -> Page[AccountRow]:
    """Return a page of accounts.

    :param wallet: only those of the wallet of that id.
    :param name: only those of that name; without ``wallet``, of the first thousand wallets.
    """
    books = coin.wallet_model.books()
    key, query = books.account.c.id, select(books.account.c.id)
    if name is not None:
        first = select(books.wallet.c.id).order_by(books.wallet.c.id).limit(WALLETS_SEARCHED)
        wallets = [wallet] if wallet is not None else list(session.scalars(first))
        found = query.where(among(books.account.c.wallet_id, wallets), books.account.c.name == name)
        # The sum keeps databases from going along the primary key in search of a few rows.
        ids = list(session.scalars(found.order_by((key + 0).desc()).limit(wanted.limit)))
        return Page(_accounts(session, coin, ids), None)
    if wallet is not None:
        query = query.where(books.account.c.wallet_id == wallet)
    page = read_page(session, query, key, wanted, _only, sparse=wallet is not None)
    return Page(_accounts(session, coin, page.rows), page.beyond)


def get_account(session: Session, coin: Coin, account_id: int) -> AccountRow:
    """Return one account.

    :raises UnknownRowError: there is none of that id.
    """
    found = _accounts(session, coin, [check_id(account_id, f"{coin.name} account")])
    if not found:
        raise UnknownRowError(f"there is no {coin.name} account {account_id}")
    return found[0]


def list_addresses(
    session: Session,
    coin: Coin,
    wanted: Slice,
    *,
    account: int | None = None,
    beginning: str | None = None,
) -> Page[AddressRow]:
    """Return a page of addresses.

    :param account: only those of the account of that id.
    :param beginning: only those that begin so, in their own order and in one page.
    :raises BadSearchError: nothing can begin so, or too much does.
    """
    address = coin.wallet_model.books().address
    query: Select[Any] = select(address.c.id)
    if beginning is not None:
        ours, outside = query.where(address.c.account_id.is_not(None)), query.where(address.c.account_id.is_(None))
        found = find_ids(session, [ours, outside], address.c.address, beginning, wanted.limit)
        return Page(_addresses(session, coin, found[: wanted.limit]), None)
    if account is not None:
        query = query.where(address.c.account_id == account)
    page = read_page(session, query, address.c.id, wanted, _only)
    return Page(_addresses(session, coin, page.rows), page.beyond)


def get_address(session: Session, coin: Coin, address_id: int) -> AddressRow:
    """Return one address.

    :raises UnknownRowError: there is none of that id.
    """
    found = _addresses(session, coin, [check_id(address_id, f"{coin.name} address")])
    if not found:
        raise UnknownRowError(f"there is no {coin.name} address {address_id}")
    return found[0]


def _accounts(session: Session, coin: Coin, ids: Sequence[int]) -> list[AccountRow]:
    """Return accounts in the order of their ids as given."""
    books = coin.wallet_model.books()
    account, wallet = books.account, books.wallet
    rows = session.execute(
        select(
            account.c.id,
            account.c.wallet_id.label("wallet"),
            wallet.c.name.label("wallet_name"),
            account.c.name,
            account.c.kind,
            account.c.balance,
            account.c.entries,
            account.c.overdrawn,
            account.c.created_at,
        )
        .join(wallet, wallet.c.id == account.c.wallet_id)
        .where(among(account.c.id, ids))
    )
    found = {row.id: AccountRow(coin=coin.name, **row._mapping) for row in rows}
    return [found[each] for each in ids if each in found]


def _addresses(session: Session, coin: Coin, ids: Sequence[int]) -> list[AddressRow]:
    books = coin.wallet_model.books()
    address, account = books.address, books.account
    rows = session.execute(
        select(
            address.c.id,
            address.c.address,
            address.c.label,
            address.c.account_id.label("account"),
            account.c.name.label("account_name"),
            address.c.balance,
            address.c.created_at,
            address.c.archived_at,
        )
        .outerjoin(account, account.c.id == address.c.account_id)
        .where(among(address.c.id, ids))
    )
    found = {row.id: AddressRow(coin=coin.name, **row._mapping) for row in rows}
    return [found[each] for each in ids if each in found]


def _only(row: Any) -> int:
    return int(row[0])
