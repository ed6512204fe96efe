"""Every query and call of the model API that runs repeatedly, to be timed on short and on long books.

Each is done in a transaction that is rolled back, so that one leaves nothing for the next.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.backend.syncstate import read_sync_state, tracked_txids
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event import outbox
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.ledger.books import Books as Tables
from cryptoassets_core.ledger.transfer import TransferOrder, transfer_at_once
from cryptoassets_core.models.wallet import Transfer
from cryptoassets_core.tools.broadcast import wallets_to_broadcast
from cryptoassets_core.tools.broadcastagain import overdue
from cryptoassets_core.tools.broadcastlist import held_withdrawals, list_broadcasts
from cryptoassets_core.tools.broadcastrows import is_unsettled, load_unsettled, queued_withdrawals, signed_broadcasts
from support.books import Books, own_address

OUTSIDE = "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9"
SMALL = Decimal("0.0001")
PAGE = 50

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Desk:
    """What a call works with, loaded before the clock starts."""

    session: Session
    coin: Coin
    wallet: Any
    a: Any
    b: Any
    #: A receiving address with one credited deposit.
    address: Any
    #: A pending withdrawal, made for this call.
    pending: Any
    deposit_id: int
    #: An event that waits for its sink.
    event_row_id: int
    #: A valid receiving address of the second account.
    own: str


Call = Callable[[Desk], object]


def desk(session: Session, books: Books) -> Desk:
    """Load what the calls need."""
    coin = books.coin
    wallet = coin.wallet_model.get_by_id(session, books.wallet_id)
    a, b = (session.get_one(coin.account_model, id_) for id_ in books.account_ids[:2])
    tables = coin.wallet_model.books()
    deposit = session.execute(
        sa.select(tables.transaction.c.id, tables.transaction.c.address_id)
        .where(tables.transaction.c.kind == "deposit", tables.transaction.c.credited_at.is_not(None))
        .order_by(tables.transaction.c.id)
        .limit(1)
    ).one()
    address = session.get_one(coin.address_model, deposit.address_id)
    event_row_id = session.scalars(
        sa.select(outbox.delivery_table.c.event_row_id)
        .where(outbox.delivery_table.c.state == outbox.DeliveryState.PENDING)
        .limit(1)
    ).one()
    own = own_address(next(_numbers))
    wallet.add_address(b, "benchmark", own)
    pending = wallet.send_external(a, OUTSIDE, SMALL, None)
    session.flush()
    return Desk(session, coin, wallet, a, b, address, pending, deposit.id, event_row_id, own)


def _tables(desk: Desk) -> Tables:
    return desk.coin.wallet_model.books()


def _order(desk: Desk, key: str | None = None) -> TransferOrder:
    return TransferOrder(
        wallet_id=desk.wallet.id,
        sending_account_id=desk.a.id,
        receiving_account_id=desk.b.id,
        amount=SMALL,
        idempotency_key=key,
    )


def _deposit(desk: Desk, confirmations: int) -> int:
    seen = WalletTransaction(
        txid=Txid(f"{next(_numbers):064x}"),
        confirmations=confirmations,
        received=(ReceivedOutput(desk.address.address, Decimal("0.00001"), 0),),
    )
    return apply_transactions(desk.session, desk.coin, [seen])


def _record_and_fan_out(desk: Desk) -> int:
    outbox.record(desk.session, [NewEvent("txupdate", "btc:new", {})])
    return outbox.fan_out(desk.session, ["sink"])


def _create_account(desk: Desk) -> None:
    desk.wallet.create_account(f"new {next(_numbers)}")
    desk.session.flush()


def _statement_middle(desk: Desk) -> object:
    return desk.a.get_statement(before=desk.a.entries // 2 + 1, limit=PAGE)


def _transfer_at_once(d: Desk) -> object:
    """The statement of a teller, in the session's transaction so that it can be undone."""
    cursor = d.session.connection().connection.cursor()
    return transfer_at_once(cursor, d.coin.wallet_model.books(), _order(d))


CALLS: dict[str, Call] = {
    # --- Moving coins
    "send_internal": lambda d: d.wallet.send_internal(d.a, d.b, SMALL, None),
    "send_internal, idempotency key": lambda d: d.wallet.send_internal(
        d.a, d.b, SMALL, None, idempotency_key=f"key {next(_numbers)}"
    ),
    "send_internal, overdraft": lambda d: d.wallet.send_internal(d.a, d.b, SMALL, None, True),
    "send_internal_many, 100": lambda d: d.wallet.send_internal_many([Transfer(d.a.id, d.b.id, SMALL)] * 100),
    "a teller's send_internal": _transfer_at_once,
    "send to an own address": lambda d: d.wallet.send(d.a, d.own, SMALL, None),
    "send_external": lambda d: d.wallet.send_external(d.a, OUTSIDE, SMALL, None),
    "cancel_withdrawal": lambda d: d.wallet.cancel_withdrawal(d.pending),
    "import_balance": lambda d: d.wallet.import_balance(d.a, SMALL),
    "adjust_balance": lambda d: d.wallet.adjust_balance(
        d.a, SMALL, direction="credit", reason="benchmark", created_by="one", approved_by="another"
    ),
    "mark_transaction_processed": lambda d: d.wallet.mark_transaction_processed(d.deposit_id),
    # --- Deposits
    "deposit seen": lambda d: _deposit(d, 0),
    "deposit seen and credited": lambda d: _deposit(d, 3),
    "tracked_txids": lambda d: tracked_txids(d.session, d.coin.wallet_model.books()),
    "read_sync_state": lambda d: read_sync_state(d.session, d.coin.wallet_model.books()),
    # --- Accounts
    "get_account_by_name": lambda d: d.wallet.get_account_by_name("account 77"),
    "get_or_create_account_by_name, new": lambda d: d.wallet.get_or_create_account_by_name(f"new {next(_numbers)}"),
    "create_account": _create_account,
    "wallet.balance": lambda d: d.wallet.balance,
    "get_unconfirmed_balance": lambda d: d.a.get_unconfirmed_balance(),
    "get_statement, newest page": lambda d: d.a.get_statement(limit=PAGE),
    "get_statement, page from the middle": _statement_middle,
    # --- Addresses
    "get_account_by_address": lambda d: d.wallet.get_account_by_address(d.own),
    "receiving_address": lambda d: d.wallet.receiving_address(d.address.address),
    "get_or_create_external_address": lambda d: d.wallet.get_or_create_external_address(OUTSIDE),
    "get_receiving_addresses, a page": lambda d: d.wallet.get_receiving_addresses().limit(PAGE).all(),
    "get_received_transactions": lambda d: d.address.get_received_transactions().all(),
    "get_balance_by_confirmations": lambda d: d.address.get_balance_by_confirmations(1),
    # --- Lists
    "get_pending_outgoing_transactions": lambda d: d.wallet.get_pending_outgoing_transactions().all(),
    "get_active_external_received_transactions": lambda d: d.wallet.get_active_external_received_transactions().all(),
    "get_deposit_transactions, newest page": lambda d: (
        d.wallet.get_deposit_transactions().order_by(d.coin.transaction_model.id.desc()).limit(PAGE).all()
    ),
    # --- Broadcasting
    "wallets_to_broadcast": lambda d: wallets_to_broadcast(d.session, d.coin),
    "queued_withdrawals": lambda d: queued_withdrawals(d.session, _tables(d), d.wallet.id, most=PAGE),
    "is_unsettled": lambda d: is_unsettled(d.session, _tables(d), d.wallet.id),
    "load_unsettled": lambda d: load_unsettled(d.session, _tables(d), d.wallet.id),
    "signed_broadcasts": lambda d: signed_broadcasts(d.session, _tables(d), unsent=False),
    "overdue broadcasts": lambda d: overdue(d.session, _tables(d), now=utc_now()),
    "list_broadcasts": lambda d: list_broadcasts(d.session, d.coin, recent=5),
    "held_withdrawals": lambda d: held_withdrawals(d.session, d.coin),
    # --- Outbox
    "record and fan_out": _record_and_fan_out,
    "mark_delivered": lambda d: outbox.mark_delivered(d.session, "sink", [d.event_row_id], now=utc_now()),
    "due_deliveries": lambda d: outbox.due_deliveries(d.session, "sink", now=utc_now()),
}
