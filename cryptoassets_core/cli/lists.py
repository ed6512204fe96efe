"""The commands that list what the books hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.events import Moment
from cryptoassets_core.cli.opening import CONFIG_FILE, JSON, open_app
from cryptoassets_core.cli.output import console, print_json, print_rows
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.names import MAX_ID
from cryptoassets_core.tools.listing.directory import (
    AccountRow,
    AddressRow,
    get_account,
    list_accounts,
    list_addresses,
    wallet_id,
)
from cryptoassets_core.tools.listing.paging import Page, Slice
from cryptoassets_core.tools.listing.transactions import (
    EntryRow,
    TransactionFilter,
    TransactionRow,
    list_entries,
    list_transactions,
)

R = TypeVar("R")

_WALLET = click.option("--wallet", metavar="NAME", help="Only of this wallet.")
SINCE = click.option("--since", type=Moment(), help="Made at or after: 2026-11-25T13:00 in UTC, or 90m, 36h, 7d ago.")
STATE = click.option("--state", type=click.Choice([state.value for state in TransactionState]), help="In this state.")
OPEN = click.option("--open", "open_only", is_flag=True, help="Not done yet: not credited, not sent, or in conflict.")


def paged(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which every list goes on, and the wanted page as ``wanted``."""

    @CONFIG_FILE
    @click.option("--coin", "coin_name", metavar="COIN", help="Only this coin; needed with --before if there are more.")
    @click.option("--before", metavar="ID", type=click.IntRange(1, MAX_ID), help="Only older than this: the next page.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many of a coin.")
    @JSON
    @wraps(command)
    def with_page(*, before: int | None, limit: int, **options: Any) -> None:
        with one_sentence():
            command(wanted=Slice(before, limit=limit), **options)

    return with_page


def print_pages(
    config_file: str,
    coin_name: str | None,
    wanted: Slice,
    read: Callable[[Session, Coin, Slice], Page[R]],
    show: Callable[[R], Mapping[str, object]],
    *,
    title: str,
    as_json: bool,
    one_coin: bool = False,
) -> None:
    """Print a page of each coin, or of one.

    :param one_coin: what is wanted is numbered, and each coin numbers for itself.
    """
    app = open_app(config_file)
    coins = [app.coins.get(coin_name)] if coin_name else [coin for _, coin in app.coins.all()]
    if len(coins) > 1 and (wanted.beyond is not None or one_coin):
        raise click.UsageError("Say --coin COIN with --before and --account: each coin counts for itself.")
    found = False
    with app.open_readonly_session(wait=False) as session:
        for coin in coins:
            page = _full(session, coin, wanted, read)
            found = found or bool(page.rows)
            if as_json:
                print_json(page.rows)
            elif page.rows:
                print_rows(f"{title} of {coin.description.title}", [show(row) for row in page.rows], right=_AMOUNTS)
            if page.beyond is not None and not as_json:
                click.echo(f"There may be older ones: --coin {coin.name} --before {page.beyond}")
    if not found and not as_json:
        click.echo(f"There are no such {title.lower()}.")


def _full(session: Session, coin: Coin, wanted: Slice, read: Callable[[Session, Coin, Slice], Page[R]]) -> Page[R]:
    """Fill a page: where no index knows what is wanted, stretch after stretch of the table is looked at."""
    page = read(session, coin, wanted)
    rows, beyond = list(page.rows), page.beyond
    if beyond is None or len(rows) >= wanted.limit:
        return page
    with console(err=True).status(f"Looking through the books of {coin.name}"):
        while beyond is not None and len(rows) < wanted.limit:
            page = read(session, coin, replace(wanted, beyond=beyond, limit=wanted.limit - len(rows)))
            rows, beyond = rows + page.rows, page.beyond
    return Page(rows, beyond)


@click.command("accounts", epilog="Example: cryptoassets accounts shop.yaml --wallet shop --name customer-7")
@paged
@_WALLET
@click.option("--name", metavar="NAME", help="The account of this name.")
def accounts(
    config_file: str, coin_name: str | None, wanted: Slice, as_json: bool, wallet: str | None, name: str | None
) -> None:
    """List accounts with their balances, the newest first."""

    def read(session: Session, coin: Coin, wanted: Slice) -> Page[AccountRow]:
        try:
            number = None if wallet is None else wallet_id(session, coin, wallet)
        except UnknownRowError:
            if coin_name is not None:
                raise
            return Page([], None)
        return list_accounts(session, coin, wanted, wallet=number, name=name)

    def show(row: AccountRow) -> dict[str, object]:
        facts = asdict(row)
        return {
            column: facts[column]
            for column in ("id", "name", "balance", "entries", "wallet_name", "kind", "created_at")
        }

    print_pages(config_file, coin_name, wanted, read, show, title="Accounts", as_json=as_json)


@click.command("addresses", epilog="Example: cryptoassets addresses shop.yaml --coin btc --address bc1qw508d")
@paged
@click.option("--account", metavar="ID", type=click.IntRange(1, MAX_ID), help="Only of this account.")
@click.option("--address", metavar="TEXT", help="Those that begin so, in their own order: 4 characters or more.")
def addresses(
    config_file: str, coin_name: str | None, wanted: Slice, as_json: bool, account: int | None, address: str | None
) -> None:
    """List addresses, the newest first: receiving ones with their accounts, and those outside that were paid."""

    def read(session: Session, coin: Coin, wanted: Slice) -> Page[AddressRow]:
        return list_addresses(session, coin, wanted, account=account, beginning=address)

    def show(row: AddressRow) -> dict[str, object]:
        facts = asdict(row)
        columns = ("id", "address", "account", "account_name", "label", "balance", "created_at", "archived_at")
        return {column: facts[column] for column in columns}

    print_pages(
        config_file, coin_name, wanted, read, show, title="Addresses", as_json=as_json, one_coin=account is not None
    )


@click.command(
    "transactions",
    epilog="Examples: cryptoassets transactions shop.yaml --open; cryptoassets transactions shop.yaml --coin btc "
    "--account 7; cryptoassets transactions shop.yaml --txid 1234c8cd --json",
)
@paged
@_WALLET
@click.option("--account", metavar="ID", type=click.IntRange(1, MAX_ID), help="An account's history, entry by entry.")
@click.option("--kind", type=click.Choice([kind.value for kind in TransactionKind]), help="Of this kind.")
@STATE
@OPEN
@SINCE
@click.option("--txid", metavar="TXID", help="Carried by the network transaction of this hash, or its beginning.")
@click.option("--address", metavar="ADDRESS", help="Paid to this address.")
def transactions(
    config_file: str,
    coin_name: str | None,
    wanted: Slice,
    as_json: bool,
    wallet: str | None,
    account: int | None,
    kind: str | None,
    **which: Any,
) -> None:
    """List movements of coins, the newest first.

    With --account it is that account's history, with the balance after each entry; --before is the number of an entry
    then, and no other filter is possible.
    """
    if account is not None:
        if kind is not None or wallet is not None or any(which.values()):
            raise click.UsageError("--account goes with no other filter: it shows an account's whole history.")
        print_pages(
            config_file,
            coin_name,
            wanted,
            _entries_of(account),
            _entry,
            title="Entries",
            as_json=as_json,
            one_coin=True,
        )
        return
    kinds = () if kind is None else (TransactionKind(kind),)
    read = _reader(wallet, coin_name, kinds, **which)
    print_pages(config_file, coin_name, wanted, read, transaction_columns, title="Transactions", as_json=as_json)


def list_withdrawals(
    config_file: str, coin_name: str | None, wanted: Slice, *, as_json: bool, wallet: str | None, **which: Any
) -> None:
    """Print withdrawals, the newest first."""
    read = _reader(wallet, coin_name, (TransactionKind.WITHDRAWAL,), **which)
    print_pages(config_file, coin_name, wanted, read, _withdrawal, title="Withdrawals", as_json=as_json)


def _reader(
    wallet: str | None,
    coin_name: str | None,
    kinds: tuple[TransactionKind, ...],
    *,
    state: str | None,
    open_only: bool,
    since: datetime | None,
    txid: str | None = None,
    address: str | None = None,
) -> Callable[[Session, Coin, Slice], Page[TransactionRow]]:
    def read(session: Session, coin: Coin, wanted: Slice) -> Page[TransactionRow]:
        try:
            number = None if wallet is None else wallet_id(session, coin, wallet)
        except UnknownRowError:
            if coin_name is not None:
                raise
            return Page([], None)
        which = TransactionFilter(
            wallet=number,
            kinds=kinds,
            state=None if state is None else TransactionState(state),
            open_only=open_only,
            since=since,
            txid=txid,
            address=address,
        )
        return list_transactions(session, coin, wanted, which)

    return read


def _entries_of(account: int) -> Callable[[Session, Coin, Slice], Page[EntryRow]]:
    def read(session: Session, coin: Coin, wanted: Slice) -> Page[EntryRow]:
        get_account(session, coin, account)
        return list_entries(session, coin, account, wanted)

    return read


#: Columns that are set to the right.
_AMOUNTS = ("id", "entry", "balance", "amount", "change", "balance_after", "entries", "confirmations")


def transaction_columns(row: TransactionRow) -> dict[str, object]:
    """Return what a table shows of a transaction."""
    return {
        "id": row.id,
        "kind": row.kind,
        "state": _state(row),
        "amount": row.amount,
        "from": row.sender_name,
        "to": row.receiver_name or row.address,
        "label": row.label,
        "confirmations": row.confirmations if row.txid else None,
        "created_at": row.created_at,
    }


def _withdrawal(row: TransactionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "state": _state(row),
        "amount": row.amount,
        "account": row.sender_name,
        "address": row.address,
        "label": row.label,
        "txid": row.txid,
        "confirmations": row.confirmations if row.txid else None,
        "created_at": row.created_at,
    }


def _entry(row: EntryRow) -> dict[str, object]:
    return {
        "entry": row.entry,
        "change": row.change,
        "balance_after": row.balance_after,
        "kind": row.transaction.kind,
        "state": _state(row.transaction),
        "label": row.transaction.label,
        "id": row.transaction.id,
        "created_at": row.transaction.created_at,
    }


def _state(row: TransactionRow) -> str:
    return f"{row.state}, CONFLICTED" if row.conflicted else str(row.state)
