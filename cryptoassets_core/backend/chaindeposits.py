"""Deposits, as the chain tells of them: recorded, credited and reversed, many at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

from sqlalchemy import String, select, type_coerce
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.backend.chainrefusals import Refusal
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.event.events import (
    NewEvent,
    deposit_disputed,
    deposit_replaced,
    deposit_reversed,
    deposits_below_minimum,
)
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.deposit import SeenDeposit, credit_deposits, record_deposits
from cryptoassets_core.ledger.reversal import reverse_deposits
from cryptoassets_core.ledger.rowset import one_of
from cryptoassets_core.ledger.states import TransactionKind, TransactionState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DepositNow:
    """A deposit as it is after all that was done."""

    #: As it was read: its ids, its address and its amount.
    row: Any
    state: str
    credited: bool
    #: Something was done to it.
    touched: bool


@dataclass(frozen=True, slots=True)
class Booked:
    """What was done to deposits."""

    #: All that were looked at, oldest first, but for those below the minimum: anybody can send them by the thousand.
    deposits: Sequence[DepositNow]
    #: What has to be told beside how they are now.
    events: Sequence[NewEvent]
    #: Deposits that are deep enough and not credited.
    refusals: Sequence[Refusal] = ()


def book_deposits(
    session: Session,
    coin: Coin,
    transactions: Mapping[int, WalletTransaction],
    received: Mapping[Txid, Mapping[int, Decimal]],
    owners: Mapping[str, Any],
) -> Booked:
    """Record, credit and reverse the deposits of network transactions, given by their row ids."""
    if not transactions:
        return Booked([], [])
    books = coin.wallet_model.books()
    rows = _deposit_rows(session, books, transactions)
    alive = {id_: transaction for id_, transaction in transactions.items() if not transaction.is_dead}
    known = {row.id for row in rows}
    missing = _missing_deposits(coin, alive, received, owners, rows)
    if missing:
        record_deposits(session, books, missing)
        rows = _deposit_rows(session, books, transactions)
    standing = [row for row in rows if row.state != TransactionState.REVERSED]
    too_small = {row.id: row for row in rows if row.state == TransactionState.BELOW_MINIMUM}
    due = [
        row
        for row in standing
        if not row.is_credited
        and row.id not in too_small
        and (transaction := alive.get(row.network_transaction_id)) is not None
        and transaction.confirmations >= coin.confirmations_needed(coinbase=transaction.coinbase)
    ]
    credited, disputed = _credit(session, coin, due, transactions, received)
    dying = [row for row in standing if row.network_transaction_id not in alive]
    reversals = reverse_deposits(session, books, sorted(row.id for row in dying))
    for reversal in reversals:
        logger.error(
            "%s deposit %s of %s was taken back by the network: reversed by transaction %s",
            coin.name,
            reversal.answers_id,
            f"{reversal.amount:f}",
            reversal.id,
        )
    died = {row.id for row in dying}
    return Booked(
        [
            _now(row, died=row.id in died, credited=row.id in credited, new=row.id not in known)
            for row in rows
            if row.id not in too_small
        ],
        [
            *(_reversed(coin, reversal, transactions[reversal.network_transaction_id].txid) for reversal in reversals),
            *(
                deposit_replaced(**_told(coin, row, transactions))
                for row in dying
                if row.id not in too_small and _is_replaced(row, transactions)
            ),
            *_below_minimum(coin, [row for id_, row in too_small.items() if id_ not in known]),
        ],
        [
            Refusal(
                row.network_transaction_id,
                row.address_id,
                f"deposit {row.id}: {disputed[row.id]}",
                deposit_disputed(**_told(coin, row, transactions), reason=disputed[row.id]),
            )
            for row in due
            if row.id in disputed
        ],
    )


def _now(row: Any, *, died: bool, credited: bool, new: bool) -> DepositNow:
    state = TransactionState.REVERSED if died else row.state
    return DepositNow(
        row,
        state=state,
        credited=(row.is_credited or credited) and state != TransactionState.REVERSED,
        touched=died or credited or new,
    )


def _credit(
    session: Session,
    coin: Coin,
    due: Sequence[Any],
    transactions: Mapping[int, WalletTransaction],
    received: Mapping[Txid, Mapping[int, Decimal]],
) -> tuple[frozenset[int], dict[int, str]]:
    """Credit deposits, and pass over those that something is wrong with.

    :returns: ids of those that were credited, and by id what is wrong with others.
    """
    disputed: dict[int, str] = {}
    for row in due:
        reported = received.get(transactions[row.network_transaction_id].txid, {}).get(row.address_id)
        if reported != row.amount:
            now = "nothing" if reported is None else f"{reported:f}"
            disputed[row.id] = f"it was first reported as {row.amount:f} and now as {now}"
    good = [row for row in due if row.id not in disputed]
    books = coin.wallet_model.books()
    credited = credit_deposits(session, books, [row.id for row in good])
    return credited.ids, {**disputed, **credited.refused}


def _is_replaced(row: Any, transactions: Mapping[int, WalletTransaction]) -> bool:
    return not row.is_credited and transactions[row.network_transaction_id].forgotten


def _told(coin: Coin, row: Any, transactions: Mapping[int, WalletTransaction]) -> dict[str, Any]:
    return {
        "coin_name": coin.name,
        "transaction": row.id,
        "network_transaction": row.network_transaction_id,
        "txid": transactions[row.network_transaction_id].txid,
        "account": row.receiving_account_id,
        "amount": row.amount,
    }


def _reversed(coin: Coin, reversal: Any, txid: Txid) -> NewEvent:
    return deposit_reversed(
        coin_name=coin.name,
        transaction=reversal.answers_id,
        reversal=reversal.id,
        network_transaction=reversal.network_transaction_id,
        txid=txid,
        account=reversal.sending_account_id,
        amount=reversal.amount,
        balance=reversal.sending_balance_after,
    )


def _below_minimum(coin: Coin, rows: Sequence[Any]) -> list[NewEvent]:
    """Tell of all of them at once: who sends thousands has nobody flooded."""
    if not rows or coin.min_deposit is None:
        return []
    total = reduce(EXACT.add, (row.amount for row in rows))
    logger.info("%s: %s deposits, together %s, are below min_deposit", coin.name, len(rows), f"{total:f}")
    return [deposits_below_minimum(coin_name=coin.name, deposits=len(rows), amount=total, minimum=coin.min_deposit)]


def _deposit_rows(session: Session, books: Books, network_transaction_ids: Iterable[int]) -> Sequence[Any]:
    transaction, address = books.transaction, books.address
    return session.execute(
        select(
            transaction.c.id,
            transaction.c.network_transaction_id,
            transaction.c.address_id,
            transaction.c.receiving_account_id,
            transaction.c.amount,
            # As text: of thousands of rows each would be made a member of an enumeration, to be compared with one.
            type_coerce(transaction.c.state, String).label("state"),
            transaction.c.credited_at.is_not(None).label("is_credited"),
            address.c.address,
        )
        .join(address, address.c.id == transaction.c.address_id)
        .where(
            one_of(session, list(network_transaction_ids), transaction.c.network_transaction_id),
            transaction.c.kind == TransactionKind.DEPOSIT,
        )
        .order_by(transaction.c.id)
    ).all()


def _missing_deposits(
    coin: Coin,
    alive: Mapping[int, WalletTransaction],
    received: Mapping[Txid, Mapping[int, Decimal]],
    owners: Mapping[str, Any],
    rows: Iterable[Any],
) -> list[SeenDeposit]:
    standing = {(row.network_transaction_id, row.address_id): row for row in rows}
    owner_of = {owner.id: owner for owner in owners.values()}
    missing = []
    for network_transaction_id, transaction in alive.items():
        for address_id, amount in received.get(transaction.txid, {}).items():
            row = standing.get((network_transaction_id, address_id))
            if row is None or row.state == TransactionState.REVERSED:
                owner = owner_of[address_id]
                missing.append(
                    SeenDeposit(
                        network_transaction_id=network_transaction_id,
                        address_id=address_id,
                        account_id=owner.account_id,
                        wallet_id=owner.wallet_id,
                        amount=amount,
                        answers_id=None if row is None else row.id,
                        below_minimum=coin.is_below_minimum(amount),
                    )
                )
    return missing
