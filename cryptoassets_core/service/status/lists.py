"""The pages that are lists: each along its primary key, so that a page costs the same in books of any length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Flask, render_template
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.history import Selection
from cryptoassets_core.ledger.states import NetworkTransactionType, TransactionKind, TransactionState
from cryptoassets_core.service.status import tables
from cryptoassets_core.service.status.asked import (
    Field,
    Pager,
    asked_choice,
    asked_coin,
    asked_number,
    asked_slice,
    asked_text,
    choices,
    order_field,
    pager,
)
from cryptoassets_core.service.status.cells import Table
from cryptoassets_core.tools.broadcastlist import broadcast_summaries, open_broadcasts
from cryptoassets_core.tools.listing.directory import list_accounts, list_addresses, list_wallets
from cryptoassets_core.tools.listing.events import list_events
from cryptoassets_core.tools.listing.network import list_network_transactions
from cryptoassets_core.tools.listing.paging import Slice
from cryptoassets_core.tools.listing.transactions import TransactionFilter, list_transactions

#: Reads a list and renders it.
_Maker = Callable[[Session, Coin], str]

#: Word for "not done yet" among the states of transactions.
_OPEN = "open"


def add_lists(flask: Flask, app: CryptoAssetsApp) -> None:
    """Add the lists to the web application."""
    for page, make in (
        ("wallets", _wallets),
        ("accounts", _accounts),
        ("addresses", _addresses),
        ("transactions", _transactions),
        ("network_transactions", _network_transactions),
        ("broadcasts", _broadcasts),
    ):

        def view(make: _Maker = make) -> str:
            coin = asked_coin(app)
            with app.open_readonly_session(wait=False) as session:
                return make(session, coin)

        flask.add_url_rule(f"/{page}", page, view)

    @flask.get("/events")
    def events() -> str:
        with app.open_readonly_session(wait=False) as session:
            return _events(session)


def _wallets(session: Session, coin: Coin) -> str:
    wanted = asked_slice()
    page = list_wallets(session, coin, wanted)
    return _list("wallets", coin, [tables.wallets(page.rows)], [order_field(wanted)], wanted, page.beyond)


def _accounts(session: Session, coin: Coin) -> str:
    wanted, wallet, name = asked_slice(), asked_number("wallet"), asked_text("name")
    page = list_accounts(session, coin, wanted, wallet=wallet, name=name)
    fields = [
        Field("name", "Name", name or "", hint="the whole name"),
        Field("wallet", "Wallet", _word(wallet), hint="its id"),
        order_field(wanted),
    ]
    return _list("accounts", coin, [tables.accounts(page.rows, _unit(coin))], fields, wanted, page.beyond)


def _addresses(session: Session, coin: Coin) -> str:
    wanted, account, beginning = asked_slice(), asked_number("account"), asked_text("address")
    page = list_addresses(session, coin, wanted, account=account, beginning=beginning)
    fields = [
        Field("address", "Address", beginning or "", hint="whole, or its beginning"),
        Field("account", "Account", _word(account), hint="its id"),
        order_field(wanted),
    ]
    return _list("addresses", coin, [tables.addresses(page.rows, _unit(coin))], fields, wanted, page.beyond)


def _transactions(session: Session, coin: Coin) -> str:
    wanted, kind, txid, address = (
        asked_slice(),
        asked_choice("kind", TransactionKind),
        asked_text("txid"),
        asked_text("address"),
    )
    open_only = asked_text("state") == _OPEN
    state = None if open_only else asked_choice("state", TransactionState)
    which = TransactionFilter(
        kinds=() if kind is None else (kind,), state=state, txid=txid, address=address, open_only=open_only
    )
    page = list_transactions(session, coin, wanted, which)
    fields = [
        Field("kind", "Kind", kind or "", choices(TransactionKind)),
        Field(
            "state", "State", _OPEN if open_only else state or "", choices(TransactionState, (_OPEN, "not done yet"))
        ),
        Field("txid", "Transaction hash", txid or "", hint="whole, or its beginning"),
        Field("address", "Address", address or "", hint="the whole address"),
        order_field(wanted),
    ]
    return _list("transactions", coin, [tables.transactions(page.rows, _unit(coin))], fields, wanted, page.beyond)


def _network_transactions(session: Session, coin: Coin) -> str:
    wanted, kind, txid = asked_slice(), asked_choice("kind", NetworkTransactionType), asked_text("txid")
    page = list_network_transactions(session, coin, wanted, kind=kind, txid=txid)
    fields = [
        Field("txid", "Transaction hash", txid or "", hint="whole, or its beginning"),
        Field("kind", "Kind", kind or "", choices(NetworkTransactionType)),
        order_field(wanted),
    ]
    table = tables.network_transactions(page.rows, _unit(coin))
    return _list("network_transactions", coin, [table], fields, wanted, page.beyond)


def _broadcasts(session: Session, coin: Coin) -> str:
    wanted, unit = asked_slice(limit=25), _unit(coin)
    page = list_network_transactions(session, coin, wanted, kind=NetworkTransactionType.BROADCAST)
    shown = [tables.broadcasts(broadcast_summaries(session, coin, [row.id for row in page.rows]), unit, "Broadcasts")]
    if wanted.beyond is None:
        waiting = open_broadcasts(session, coin)
        shown.insert(0, tables.broadcasts(waiting, unit, "Not settled, or in conflict with the chain"))
    return _list("broadcasts", coin, shown, [order_field(wanted)], wanted, page.beyond)


def _events(session: Session) -> str:
    wanted, name, subject = asked_slice(), asked_text("name"), asked_text("subject")
    page = list_events(session, wanted, Selection(name=name, subject=subject))
    fields = [
        Field("name", "Name", name or "", hint="such as txupdate"),
        Field("subject", "About", subject or "", hint="such as btc:7"),
        order_field(wanted),
    ]
    return _list("events", None, [tables.events(page.rows)], fields, wanted, page.beyond)


def _list(
    page: str,
    coin: Coin | None,
    shown: Sequence[Table],
    fields: Sequence[Field],
    wanted: Slice,
    beyond: int | None,
) -> str:
    symbol = None if coin is None else coin.name
    searched = {field.name: field.value for field in fields if field.name != "order"}
    links: Pager = pager(page, symbol, searched, wanted, beyond)
    return render_template(
        "list.html", page=page, coin=symbol, tables=shown, fields=fields, pager=links, searched=any(searched.values())
    )


def _unit(coin: Coin) -> str:
    return coin.name.upper()


def _word(value: int | None) -> str:
    return "" if value is None else str(value)
