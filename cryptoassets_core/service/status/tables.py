"""Rows of the lists, as tables of the pages."""

from __future__ import annotations

from collections.abc import Sequence

from flask import url_for

from cryptoassets_core.service.status.cells import (
    Cell,
    Table,
    amount,
    badge,
    hash_,
    number,
    text,
    time,
)
from cryptoassets_core.tools.broadcastlist import BroadcastSummary
from cryptoassets_core.tools.listing.directory import AccountRow, AddressRow, WalletRow
from cryptoassets_core.tools.listing.events import DeliveryRecord, EventRecord
from cryptoassets_core.tools.listing.network import NetworkTransactionRow
from cryptoassets_core.tools.listing.transactions import EntryRow, TransactionRow


def link(page: str, coin: str, number_of: int | None) -> str | None:
    """Return where one row is shown."""
    return None if number_of is None else url_for(page, coin=coin, number=number_of)


def wallets(rows: Sequence[WalletRow]) -> Table:
    """Wallets."""
    return Table(
        "Wallets",
        ["Id", "Name", "Made at (UTC)", "Accounts"],
        [
            [
                number(row.id),
                text(row.name),
                time(row.created_at),
                Cell("show", href=url_for("accounts", coin=row.coin, wallet=row.id)),
            ]
            for row in rows
        ],
        "There is no wallet yet. The application makes one with get_or_create_by_name.",
    )


def accounts(rows: Sequence[AccountRow], unit: str) -> Table:
    """Accounts."""
    return Table(
        "Accounts",
        ["Id", "Name", f"Balance ({unit})", "Entries", "Wallet", "Kind", "Made at (UTC)"],
        [
            [
                number(row.id, link("account", row.coin, row.id)),
                text(row.name, link("account", row.coin, row.id)),
                amount(row.balance),
                number(row.entries),
                text(row.wallet_name, url_for("accounts", coin=row.coin, wallet=row.wallet)),
                badge(row.kind),
                time(row.created_at),
            ]
            for row in rows
        ],
        "There is no such account.",
    )


def addresses(rows: Sequence[AddressRow], unit: str) -> Table:
    """Addresses."""
    return Table(
        "Addresses",
        ["Id", "Address", "Account", "Label", f"Received ({unit})", "Made at (UTC)", "Archived at (UTC)"],
        [
            [
                number(row.id),
                hash_(row.address, url_for("transactions", coin=row.coin, address=row.address)),
                text(row.account_name, link("account", row.coin, row.account))
                if row.account is not None
                else Cell("outside", "badge"),
                text(row.label),
                amount(row.balance),
                time(row.created_at),
                time(row.archived_at),
            ]
            for row in rows
        ],
        "There is no such address.",
    )


def transactions(rows: Sequence[TransactionRow], unit: str, caption: str = "Transactions") -> Table:
    """Movements of coins."""
    return Table(
        caption,
        ["Id", "Kind", "State", f"Amount ({unit})", "From", "To", "Label", "Confirmations", "Made at (UTC)"],
        [
            [
                number(row.id, link("transaction", row.coin, row.id)),
                Cell(row.kind.replace("_", " ")),
                state(row),
                amount(row.amount),
                _party(row.coin, row.sender, row.sender_name, None),
                _party(row.coin, row.receiver, row.receiver_name, row.address),
                text(row.label),
                number(row.confirmations if row.txid else None),
                time(row.created_at),
            ]
            for row in rows
        ],
        "There is no such transaction.",
    )


def state(row: TransactionRow) -> Cell:
    """The state of a movement, or that it is in conflict with the chain."""
    return badge("conflicted" if row.conflicted else row.state)


def entries(rows: Sequence[EntryRow], unit: str) -> Table:
    """An account's history."""
    return Table(
        "Entries, newest first",
        ["Entry", "Kind", f"Change ({unit})", f"Balance after ({unit})", "State", "Label", "Made at (UTC)"],
        [
            [
                number(row.entry, link("transaction", row.transaction.coin, row.transaction.id)),
                Cell(row.transaction.kind.replace("_", " ")),
                amount(row.change, signed=True),
                amount(row.balance_after),
                state(row.transaction),
                text(row.transaction.label),
                time(row.transaction.created_at),
            ]
            for row in rows
        ],
        "Nothing has moved in this account yet.",
    )


def network_transactions(rows: Sequence[NetworkTransactionRow], unit: str) -> Table:
    """What the network carries."""
    return Table(
        "Network transactions",
        ["Id", "Kind", "State", "Transaction hash", "Confirmations", f"Fee ({unit})", "Made at (UTC)"],
        [
            [
                number(row.id, link("network_transaction", row.coin, row.id)),
                badge(row.type),
                badge(row.state),
                hash_(row.txid, link("network_transaction", row.coin, row.id)),
                number(row.confirmations if row.confirmations >= 0 else None),
                amount(row.fee),
                time(row.created_at),
            ]
            for row in rows
        ],
        "There is no such network transaction.",
    )


def broadcasts(rows: Sequence[BroadcastSummary], unit: str, caption: str) -> Table:
    """What leaves."""
    return Table(
        caption,
        [
            "Id",
            "State",
            "Withdrawals",
            f"Amount ({unit})",
            f"Fee ({unit})",
            "Attempts",
            "Next attempt (UTC)",
            "Transaction hash",
            "Reason",
        ],
        [
            [
                number(row.id, link("network_transaction", row.coin, row.id)),
                broadcast_state(row),
                number(row.withdrawals),
                amount(row.amount),
                amount(row.fee),
                number(row.attempts),
                time(row.next_attempt_at),
                hash_(row.txid),
                text(row.reason),
            ]
            for row in rows
        ],
        "There is none.",
    )


def broadcast_state(row: BroadcastSummary) -> Cell:
    """The state of a broadcast, or what somebody should know of it."""
    return badge("interrupted" if row.interrupted else "conflicted" if row.conflicted else row.state)


def events(rows: Sequence[EventRecord], caption: str = "Events") -> Table:
    """What the application is told."""
    return Table(
        caption,
        ["Id", "Name", "About", "Made at (UTC)", "Delivery"],
        [
            [
                number(row.number, url_for("event", number=row.number)),
                text(row.name, url_for("event", number=row.number)),
                text(row.subject),
                time(row.created_at),
                _delivery(row),
            ]
            for row in rows
        ],
        "Nothing was told.",
    )


def deliveries(rows: Sequence[DeliveryRecord]) -> Table:
    """How far the sinks have come with an event."""
    return Table(
        "Deliveries",
        ["Sink", "State", "Failed attempts", "Delivered at (UTC)", "Next attempt (UTC)", "Last error"],
        [
            [
                text(row.sink),
                badge(row.state),
                number(row.attempts),
                time(row.delivered_at),
                time(row.next_attempt_at),
                text(row.last_error),
            ]
            for row in rows
        ],
        "It was not handed to any sink yet.",
    )


def _party(coin: str, account: int | None, name: str | None, address: str | None) -> Cell:
    if account is not None:
        return text(name, link("account", coin, account))
    return hash_(address) if address else Cell("outside", "badge")


def _delivery(row: EventRecord) -> Cell:
    states = {delivery.state.value for delivery in row.deliveries}
    if not states:
        return Cell("to no sink", "badge")
    return badge(next(state for state in ("dead", "pending", "delivered") if state in states))
