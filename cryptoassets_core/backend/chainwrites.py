"""What the chain says, written to the books: a fixed number of SQL statements for any number of transactions.

Everything here runs inside one database transaction that holds the coin's ``sync_state`` row, so that a daemon and a
rescan, or two daemons, take turns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Integer, String, case, func, select, true, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.backend.base import BlockHash, ChainChanges, Txid, WalletTransaction
from cryptoassets_core.backend.chainevents import transaction_updates
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import InvalidAmountError
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.deposit import SeenDeposit, credit_deposits, record_deposits, reverse_deposits
from cryptoassets_core.ledger.fee import book_fee
from cryptoassets_core.ledger.rowset import rowset
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionKind,
    TransactionState,
)
from cryptoassets_core.ledger.upsert import insert_missing

logger = logging.getLogger(__name__)

#: States in which a network transaction follows what the chain says; before that it belongs to the broadcaster.
_ON_NETWORK = (NetworkTransactionState.LIVE, NetworkTransactionState.DEAD)


@dataclass(frozen=True, slots=True)
class Known:
    """A network transaction as it was in the database."""

    id: int
    txid: Txid
    type: NetworkTransactionType
    confirmations: int
    state: NetworkTransactionState
    block_hash: str | None
    tracked: bool
    #: Broadcast: what was booked for it, None as long as that is not known.
    fee: Decimal | None
    wallet_id: int | None


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far the chain was followed."""

    checkpoint: BlockHash | None
    tip: BlockHash | None


def read_sync_state(session: Session, books: Books) -> SyncState:
    """Return how far the chain was followed."""
    state = books.sync_state
    row = session.execute(select(state.c.checkpoint, state.c.tip)).one_or_none()
    return SyncState(row.checkpoint, row.tip) if row is not None else SyncState(None, None)


def take_turn(session: Session, books: Books) -> SyncState:
    """Keep every other follower of the coin waiting until the session ends, and return how far the last one came."""
    state = books.sync_state
    insert_missing(session, state, [{"id": 1}])
    row = session.execute(select(state.c.checkpoint, state.c.tip).with_for_update()).one()
    return SyncState(row.checkpoint, row.tip)


def write_sync_state(session: Session, coin: Coin, changes: ChainChanges) -> None:
    """Move the checkpoint; belongs in the same database transaction as the last of what it covers.

    What is deep enough ceases to be followed here and nowhere else. Above the checkpoint all is followed, and what
    leaves the chain below it is listed; if one ended before the other began, a double spend in between would be missed.
    """
    books = coin.wallet_model.books()
    network = books.network_transaction
    enough = case(
        (network.c.coinbase, _followed_depth(coin, coinbase=True)), else_=_followed_depth(coin, coinbase=False)
    )
    session.execute(
        update(network).where(network.c.tracked, func.abs(network.c.confirmations) >= enough).values(tracked=False)
    )
    session.execute(
        update(books.sync_state).values(checkpoint=changes.checkpoint, tip=changes.tip, synced_at=utc_now())
    )


def tracked_txids(session: Session, books: Books) -> set[Txid]:
    """Return the network transactions whose confirmations are followed."""
    network = books.network_transaction
    return set(session.scalars(select(network.c.txid).where(network.c.tracked)))


def apply_transactions(
    session: Session, coin: Coin, transactions: Sequence[WalletTransaction], *, unchanged_too: bool = False
) -> int:
    """Write network transactions as the backend sees them now: record, credit and reverse deposits, and tell.

    The session must have its turn, see :py:func:`take_turn`.

    :param unchanged_too: look for missing deposits also where nothing seems to have changed (a rescan).
    :returns: how many events were written.
    """
    if not transactions:
        return 0
    books = coin.wallet_model.books()
    latest = {transaction.txid: transaction for transaction in transactions}
    owners = _own_addresses(session, books, transactions)
    received = _received(coin, latest.values(), owners)
    known = _known(session, books, latest)
    new = [txid for txid in received if (NetworkTransactionType.DEPOSIT, txid) not in known]
    if new:
        _insert_deposit_transactions(session, coin, [latest[txid] for txid in new])
        known = _known(session, books, latest)
    changed = {
        entry.id: entry
        for entry in known.values()
        if entry.state in _ON_NETWORK and (entry.txid in new or _has_changed(coin, entry, latest[entry.txid]))
    }
    _update_network_transactions(session, coin, changed.values(), latest)
    _book_late_fees(session, coin, known.values(), latest)
    looked_at = known.values() if unchanged_too else changed.values()
    deposits = {entry.id: latest[entry.txid] for entry in looked_at if entry.type == NetworkTransactionType.DEPOSIT}
    booked = _book_deposits(session, coin, deposits, received, owners)
    events = [
        event
        for row_id, event in transaction_updates(session, coin, sorted({*changed, *booked.values()}))
        if row_id in booked
        # A deposit that was taken back is told when that happens, and not at every block from then on.
        or (event.data["network_transaction"] in changed and event.data["state"] != TransactionState.REVERSED)
    ]
    record(session, events)
    return len(events)


# --- Reading ------------------------------------------------------------------------------------------------


def _own_addresses(session: Session, books: Books, transactions: Iterable[WalletTransaction]) -> dict[str, Any]:
    paid = {output.address for transaction in transactions for output in transaction.received}
    if not paid:
        return {}
    wanted = rowset(session, "paid", {"address": String}, [(address,) for address in sorted(paid)])
    rows = session.execute(
        select(books.address.c.id, books.address.c.address, books.address.c.account_id, books.account.c.wallet_id)
        .join(wanted, books.address.c.address == wanted.c.address)
        .join(books.account, books.account.c.id == books.address.c.account_id)
    )
    return {row.address: row for row in rows}


def _received(
    coin: Coin, transactions: Iterable[WalletTransaction], owners: Mapping[str, Any]
) -> dict[Txid, dict[int, Decimal]]:
    """Sum up what each transaction pays to each of our addresses."""
    received: dict[Txid, dict[int, Decimal]] = {}
    for transaction in transactions:
        amounts: dict[int, Decimal] = {}
        for output in transaction.received:
            owner = owners.get(output.address)
            if owner is not None:
                amounts[owner.id] = amounts.get(owner.id, Decimal(0)) + output.amount
        bookable = {id_: amount for id_, amount in amounts.items() if _is_bookable(coin, transaction.txid, amount)}
        if bookable:
            received[transaction.txid] = bookable
    return received


def _is_bookable(coin: Coin, txid: Txid, amount: Decimal) -> bool:
    """Tell whether it is an amount. Anybody can have an output of nothing mined; it must not stop everybody else."""
    if amount == 0:
        return False
    try:
        check_amount(amount, coin.description.decimals)
    except InvalidAmountError as error:
        logger.error("%s: what %s is said to pay is not booked, look at it: %s", coin.name, txid, error)
        return False
    return True


def _known(session: Session, books: Books, txids: Iterable[Txid]) -> dict[tuple[NetworkTransactionType, Txid], Known]:
    network = books.network_transaction
    wanted = rowset(session, "listed", {"txid": String}, [(txid,) for txid in txids])
    rows = session.execute(
        select(
            network.c.id,
            network.c.txid,
            network.c.transaction_type,
            network.c.confirmations,
            network.c.state,
            network.c.block_hash,
            network.c.tracked,
            network.c.fee,
            network.c.wallet_id,
        )
        .join(wanted, network.c.txid == wanted.c.txid)
        # Every type there is: the index has the type first, and without it the whole table would be read.
        .where(network.c.transaction_type.in_(list(NetworkTransactionType)))
    )
    return {(row.transaction_type, row.txid): Known(*row) for row in rows}


# --- Network transactions -----------------------------------------------------------------------------------


def _is_dead(transaction: WalletTransaction) -> bool:
    # A block reward cannot wait in the mempool: without confirmations its block has left the chain.
    return transaction.confirmations < 0 or (transaction.coinbase and transaction.confirmations == 0)


def _followed_depth(coin: Coin, *, coinbase: bool) -> int:
    """Return the number of confirmations, or of blocks in conflict, after which a transaction is not followed."""
    maturity = coin.description.coinbase_maturity if coinbase else 0
    return max(coin.max_confirmation_count, coin.confirmation_count, maturity)


def _is_deep(coin: Coin, transaction: WalletTransaction) -> bool:
    return abs(transaction.confirmations) >= _followed_depth(coin, coinbase=transaction.coinbase)


def _has_changed(coin: Coin, known: Known, now: WalletTransaction) -> bool:
    state = NetworkTransactionState.DEAD if _is_dead(now) else NetworkTransactionState.LIVE
    if not known.tracked and _is_deep(coin, now) and state == known.state:
        return False  # final, and still as final
    return (known.confirmations, known.block_hash, known.state) != (now.confirmations, now.block_hash, state)


def _insert_deposit_transactions(session: Session, coin: Coin, transactions: Iterable[WalletTransaction]) -> None:
    insert_missing(
        session,
        coin.wallet_model.books().network_transaction,
        [
            {
                "txid": transaction.txid,
                "transaction_type": NetworkTransactionType.DEPOSIT,
                "state": NetworkTransactionState.DEAD if _is_dead(transaction) else NetworkTransactionState.LIVE,
                "confirmations": transaction.confirmations,
                "block_hash": transaction.block_hash,
                "coinbase": transaction.coinbase,
                "tracked": True,
            }
            for transaction in transactions
        ],
    )


def _update_network_transactions(
    session: Session, coin: Coin, changed: Iterable[Known], latest: Mapping[Txid, WalletTransaction]
) -> None:
    rows = [
        (
            known.id,
            latest[known.txid].confirmations,
            latest[known.txid].block_hash,
            (NetworkTransactionState.DEAD if _is_dead(latest[known.txid]) else NetworkTransactionState.LIVE).value,
        )
        for known in changed
    ]
    if not rows:
        return
    network = coin.wallet_model.books().network_transaction
    columns = {"id": BigInteger, "confirmations": Integer, "block_hash": String, "state": String}
    now = rowset(session, "seen", columns, rows)
    session.execute(
        update(network)
        .where(network.c.id == now.c.id)
        .values(
            confirmations=now.c.confirmations,
            block_hash=now.c.block_hash,
            state=now.c.state,
            tracked=true(),
        )
    )


def _book_late_fees(
    session: Session, coin: Coin, known: Iterable[Known], latest: Mapping[Txid, WalletTransaction]
) -> None:
    """Book the fees of broadcasts whose backend could not tell them when it sent."""
    books = coin.wallet_model.books()
    network = books.network_transaction
    for each in known:
        fee = latest[each.txid].fee
        # What is signed and stored has its fee from the beginning, what is opened has no txid yet.
        if each.wallet_id is None or each.fee is not None or fee is None or not _is_bookable(coin, each.txid, fee):
            continue
        session.execute(update(network).where(network.c.id == each.id).values(fee=fee))
        book_fee(session, books, wallet_id=each.wallet_id, network_transaction_id=each.id, amount=fee)


# --- Deposits -----------------------------------------------------------------------------------------------


def _book_deposits(
    session: Session,
    coin: Coin,
    transactions: Mapping[int, WalletTransaction],
    received: Mapping[Txid, Mapping[int, Decimal]],
    owners: Mapping[str, Any],
) -> dict[int, int]:
    """Record, credit and reverse the deposits of network transactions, given by their row ids.

    :returns: ids of the deposits to which something happened, and of the network transaction of each.
    """
    if not transactions:
        return {}
    books = coin.wallet_model.books()
    rows = _deposit_rows(session, books, transactions)
    alive = {id_: transaction for id_, transaction in transactions.items() if not _is_dead(transaction)}
    known = {row.id for row in rows}
    missing = _missing_deposits(alive, received, owners, rows)
    if missing:
        record_deposits(session, books, missing)
        rows = _deposit_rows(session, books, transactions)
    standing = [row for row in rows if row.state != TransactionState.REVERSED]
    credited = credit_deposits(
        session,
        books,
        [
            row.id
            for row in standing
            if row.credited_at is None
            and (transaction := alive.get(row.network_transaction_id)) is not None
            and transaction.confirmations >= coin.confirmations_needed(coinbase=transaction.coinbase)
            and _amount_is_unchanged(row, transaction, received)
        ],
    )
    dead = {row.id for row in standing if row.network_transaction_id not in alive}
    for reversal in reverse_deposits(session, books, sorted(dead)):
        logger.error(
            "%s deposit %s of %s was taken back by the network: reversed by transaction %s",
            coin.name,
            reversal.answers_id,
            f"{reversal.amount:f}",
            reversal.id,
        )
    booked = {row.id for row in rows} - known | credited | dead
    return {row.id: row.network_transaction_id for row in rows if row.id in booked}


def _deposit_rows(session: Session, books: Books, network_transaction_ids: Iterable[int]) -> Sequence[Any]:
    transaction = books.transaction
    wanted = rowset(session, "carriers", {"id": BigInteger}, [(id_,) for id_ in network_transaction_ids])
    return session.execute(
        select(
            transaction.c.id,
            transaction.c.network_transaction_id,
            transaction.c.address_id,
            transaction.c.amount,
            transaction.c.state,
            transaction.c.credited_at,
        )
        .join(wanted, transaction.c.network_transaction_id == wanted.c.id)
        .where(transaction.c.kind == TransactionKind.DEPOSIT)
        .order_by(transaction.c.id)
    ).all()


def _missing_deposits(
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
                    )
                )
    return missing


def _amount_is_unchanged(
    row: Any, transaction: WalletTransaction, received: Mapping[Txid, Mapping[int, Decimal]]
) -> bool:
    reported = received.get(transaction.txid, {}).get(row.address_id)
    if reported == row.amount:
        return True
    logger.error(
        "deposit %s was first reported as %s and now as %s: it is not credited, look at it",
        row.id,
        f"{row.amount:f}",
        "nothing" if reported is None else f"{reported:f}",
    )
    return False
