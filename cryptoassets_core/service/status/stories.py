"""The pages about one thing: an account, a transaction, a network transaction, an event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Flask, render_template, url_for
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.states import NetworkTransactionType, TransactionKind, TransactionState
from cryptoassets_core.service.status import tables
from cryptoassets_core.service.status.asked import asked_coin, asked_slice, pager
from cryptoassets_core.service.status.cells import Cell, Table, amount, badge, hash_, number, text, time
from cryptoassets_core.tools.broadcastlist import get_broadcast
from cryptoassets_core.tools.listing.directory import get_account, list_addresses
from cryptoassets_core.tools.listing.events import EventRecord, events_of, get_event_by_number
from cryptoassets_core.tools.listing.network import NetworkTransactionRow, get_network_transaction
from cryptoassets_core.tools.listing.paging import Slice
from cryptoassets_core.tools.listing.transactions import (
    TransactionRow,
    answers_to,
    carried_by,
    get_transaction,
    list_entries,
    uncredited_of,
)

#: Addresses of an account that are shown with it.
_ADDRESSES = 10

Facts = list[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a transaction, or is still to come."""

    title: str
    at: datetime | None
    detail: Cell
    done: bool = True
    ill: bool = False

    @property
    def time(self) -> Cell:
        """When it happened."""
        return time(self.at)


def add_stories(flask: Flask, app: CryptoAssetsApp) -> None:
    """Add the pages to the web application."""

    @flask.get("/accounts/<coin>/<int:number>")
    def account(coin: str, number: int) -> str:
        with app.open_readonly_session(wait=False) as session:
            return _account(session, asked_coin(app, coin), number)

    @flask.get("/transactions/<coin>/<int:number>")
    def transaction(coin: str, number: int) -> str:
        with app.open_readonly_session(wait=False) as session:
            return _transaction(session, asked_coin(app, coin), number)

    @flask.get("/network_transactions/<coin>/<int:number>")
    def network_transaction(coin: str, number: int) -> str:
        with app.open_readonly_session(wait=False) as session:
            return _network_transaction(session, asked_coin(app, coin), number)

    @flask.get("/events/<int:number>")
    def event(number: int) -> str:
        with app.open_readonly_session(wait=False) as session:
            return _event(session, number)


def _account(session: Session, coin: Coin, account_id: int) -> str:
    row, unit = get_account(session, coin, account_id), coin.name.upper()
    wanted = asked_slice()
    entries = list_entries(session, coin, row.id, wanted)
    shown = [tables.entries(entries.rows, unit)]
    if wanted.beyond is None:
        waiting = uncredited_of(session, coin, row.id, limit=_ADDRESSES)
        mine = list_addresses(session, coin, Slice(limit=_ADDRESSES), account=row.id)
        if waiting:
            shown.insert(0, tables.transactions(waiting, unit, "Deposits that wait for confirmations"))
        shown.append(tables.addresses(mine.rows, unit))
    facts: Facts = [
        (f"Balance ({unit})", amount(row.balance)),
        ("Entries", number(row.entries)),
        ("Wallet", text(row.wallet_name, url_for("accounts", coin=coin.name, wallet=row.wallet))),
        ("Kind", badge(row.kind)),
        ("Made at (UTC)", time(row.created_at)),
    ]
    if row.overdrawn:
        facts.append(("Below zero", Cell("on purpose, and not back yet", "badge", more="ill")))
    following = None
    if entries.beyond is not None:
        following = url_for("account", coin=coin.name, number=row.id, beyond=entries.beyond)
    first = None if wanted.beyond is None else url_for("account", coin=coin.name, number=row.id)
    return _story("accounts", coin, f"Account {row.id}", text(row.name), facts, shown, links=(first, following))


def _transaction(session: Session, coin: Coin, transaction_id: int) -> str:
    row, unit = get_transaction(session, coin, transaction_id), coin.name.upper()
    network = None
    if row.network_transaction is not None:
        network = get_network_transaction(session, coin, row.network_transaction)
    answers = answers_to(session, coin, row.id)
    happened = events_of(session, f"{coin.name}:{row.id}")
    facts: Facts = [
        (f"Amount ({unit})", amount(row.amount)),
        ("State", tables.state(row)),
        ("Reason", text(row.reason)),
        ("Next attempt (UTC)", time(row.next_attempt_at)),
        ("Label", text(row.label)),
        ("Address", hash_(row.address)),
        ("Transaction hash", hash_(row.txid, tables.link("network_transaction", coin.name, row.network_transaction))),
        ("Answers", number(row.answers, tables.link("transaction", coin.name, row.answers))),
    ]
    shown = [_legs(row, unit)]
    if answers:
        shown.append(tables.transactions(answers, unit, "Answered by"))
    shown.append(tables.events(happened, "Events"))
    return _story(
        "transactions",
        coin,
        f"Transaction {row.id}",
        Cell(row.kind.replace("_", " ")),
        facts,
        shown,
        steps=_steps(row, network, happened, coin),
    )


def _legs(row: TransactionRow, unit: str) -> Table:
    """Both legs of a movement: who paid, who received, and what each had afterwards."""
    legs = []
    for name, account, account_name, entry, balance, change in (
        ("From", row.sender, row.sender_name, row.sender_entry, row.sender_balance, -row.amount),
        ("To", row.receiver, row.receiver_name, row.receiver_entry, row.receiver_balance, row.amount),
    ):
        who = Cell("the network", "badge")
        if account is not None:
            who = text(account_name, tables.link("account", row.coin, account))
        posted = entry is not None
        legs.append(
            [
                Cell(name),
                who,
                amount(change, signed=True) if posted else Cell("not posted", "nothing"),
                number(entry),
                amount(balance),
            ]
        )
    return Table("Legs", ["Leg", "Account", f"Change ({unit})", "Entry", f"Balance after ({unit})"], legs)


def _steps(
    row: TransactionRow, network: NetworkTransactionRow | None, happened: Sequence[EventRecord], coin: Coin
) -> list[Step]:
    """Tell what became of a deposit or a withdrawal; everything else is done at once."""
    if row.kind is TransactionKind.WITHDRAWAL:
        steps = [
            Step("Asked for, and its coins reserved", row.created_at, text(row.label)),
            _broadcast_step(row, network),
        ]
    elif row.kind is TransactionKind.DEPOSIT:
        steps = [Step("Seen on the network", row.created_at, hash_(row.txid))]
    else:
        return [Step("Booked", row.created_at, text(row.label))]
    if row.state is TransactionState.BELOW_MINIMUM:
        return [*steps, Step("Not credited", None, Cell("it was below the coin's min_deposit"), ill=True)]
    needed = coin.confirmations_needed(coinbase=network.coinbase) if network else coin.confirmation_count
    seen = row.confirmations if row.txid is not None and row.confirmations is not None else 0
    conflict = row.txid is not None and seen < 0 and network is not None and network.closed_at is not None
    steps.append(
        Step(
            "Confirmed",
            None,
            Cell("in conflict with the chain" if conflict else f"{max(seen, 0)}, and {needed} are needed"),
            done=seen >= needed,
            ill=conflict,
        )
    )
    if row.kind is TransactionKind.DEPOSIT:
        steps.append(Step("Credited", row.credited_at, Cell(""), done=row.credited_at is not None))
    if row.state in ("cancelled", "failed", "reversed"):
        steps.append(Step(row.state.capitalize(), None, Cell(""), ill=True))
    steps.append(_delivery_step(happened))
    return steps


def _broadcast_step(row: TransactionRow, network: NetworkTransactionRow | None) -> Step:
    if network is None:
        waits = row.state == "pending"
        return Step("Broadcast", None, Cell("waits for the broadcaster" if waits else "never sent"), done=False)
    interrupted = network.state == "opened" and network.reason is not None
    return Step(
        "Broadcast",
        row.processed_at or network.opened_at,
        text(network.reason) if network.reason else hash_(network.txid),
        done=row.processed_at is not None,
        ill=interrupted or network.state == "dead",
    )


def _delivery_step(happened: Sequence[EventRecord]) -> Step:
    deliveries = [delivery for event in happened for delivery in event.deliveries]
    delivered = [each.delivered_at for each in deliveries if each.delivered_at is not None]
    words = f"{len(delivered)} of {len(deliveries)} deliveries, {len(happened)} events" if happened else "there is none"
    done = bool(deliveries) and len(delivered) == len(deliveries)
    dead = any(each.state == "dead" for each in deliveries)
    return Step("Events delivered", max(delivered, default=None), Cell(words), done=done, ill=dead)


def _network_transaction(session: Session, coin: Coin, id_: int) -> str:
    row, unit, wanted = get_network_transaction(session, coin, id_), coin.name.upper(), asked_slice()
    carried = carried_by(session, coin, row.id, wanted)
    summary = get_broadcast(session, coin, row.id) if row.type is NetworkTransactionType.BROADCAST else None
    facts: Facts = [
        ("State", badge(row.state) if summary is None else tables.broadcast_state(summary)),
        ("Transaction hash", hash_(row.txid)),
        ("Confirmations", number(row.confirmations if row.confirmations >= 0 else None)),
        ("Block", hash_(row.block_hash)),
        ("Still followed", Cell("yes" if row.tracked else "no")),
        ("Made at (UTC)", time(row.created_at)),
    ]
    shown = [tables.transactions(carried.rows, unit, "Carries")]
    if summary is not None:
        facts += [
            (f"Fee ({unit})", amount(row.fee)),
            ("Opened at (UTC)", time(row.opened_at)),
            ("Settled at (UTC)", time(row.closed_at)),
            ("Failed attempts", number(row.attempts)),
            ("Next attempt (UTC)", time(row.next_attempt_at)),
            ("Reason", text(row.reason)),
            ("What comes", text(summary.next_step)),
        ]
        shown.append(tables.events(events_of(session, f"{coin.name}:broadcast:{row.id}"), "Events"))
    links = pager("network_transaction", coin.name, {"number": row.id}, wanted, carried.beyond)
    return _story(
        "network_transactions",
        coin,
        f"Network transaction {row.id}",
        Cell(row.type),
        facts,
        shown,
        links=(links.first, links.following),
    )


def _event(session: Session, number_of: int) -> str:
    row = get_event_by_number(session, number_of)
    facts: Facts = [
        ("Name", text(row.name)),
        ("Id for receivers", hash_(row.id)),
        ("About", text(row.subject, url_for("events", subject=row.subject))),
        ("Made at (UTC)", time(row.created_at)),
        *((f"data: {name}", text(_plain(value))) for name, value in row.data.items()),
    ]
    shown = [tables.deliveries(row.deliveries)]
    return _story("events", None, f"Event {row.number}", text(row.name), facts, shown)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _story(
    page: str,
    coin: Coin | None,
    heading: str,
    subtitle: Cell,
    facts: Facts,
    shown: Sequence[Table],
    *,
    steps: Sequence[Step] = (),
    links: tuple[str | None, str | None] = (None, None),
) -> str:
    return render_template(
        "story.html",
        page=page,
        coin=None if coin is None else coin.name,
        heading=heading,
        subtitle=subtitle,
        facts=[(name, cell) for name, cell in facts if cell.text],
        tables=shown,
        steps=steps,
        links=links,
    )
