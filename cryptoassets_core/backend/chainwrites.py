"""What the chain says, written to the books: a fixed number of SQL statements for any number of transactions.

Everything here runs inside one database transaction that holds the coin's ``sync_state`` row, so that a daemon and a
rescan, or two daemons, take turns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Boolean, Integer, String, select, true, type_coerce, update
from sqlalchemy.orm import Session

from cryptoassets_core.amounts import EXACT, check_amount
from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.backend.chaindeposits import DepositNow, book_deposits
from cryptoassets_core.backend.chainevents import dead_broadcasts, deposit_update, transaction_updates
from cryptoassets_core.backend.chainrefusals import Refusal, note_refusals
from cryptoassets_core.backend.syncstate import followed_depth
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import InvalidAmountError
from cryptoassets_core.event.events import NewEvent, reorganisation
from cryptoassets_core.event.outbox import record
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.fee import correct_fee
from cryptoassets_core.ledger.rowset import rowset
from cryptoassets_core.ledger.states import (
    NetworkTransactionState,
    NetworkTransactionType,
    TransactionState,
)
from cryptoassets_core.ledger.upsert import insert_missing

logger = logging.getLogger(__name__)

#: States in which a network transaction follows what the chain says; before that it belongs to the broadcaster.
_ON_NETWORK = (NetworkTransactionState.LIVE, NetworkTransactionState.DEAD)


class Known(NamedTuple):
    """A network transaction as it was in the database."""

    id: int
    txid: Txid
    #: A :py:class:`NetworkTransactionType` by its value.
    type: str
    confirmations: int
    #: A :py:class:`NetworkTransactionState` by its value.
    state: str
    block_hash: str | None
    tracked: bool
    #: Broadcast: what was booked for it, None as long as that is not known.
    fee: Decimal | None
    wallet_id: int | None
    #: Why it waits, died or is not booked.
    reason: str | None


def followed_deposits(session: Session, books: Books, txids: Iterable[Txid]) -> set[Txid]:
    """Return those network transactions that bring deposits, are followed and have not died."""
    return {
        txid
        for (type_, txid), known in _known(session, books, txids).items()
        if type_ == NetworkTransactionType.DEPOSIT and known.tracked and known.state == NetworkTransactionState.LIVE
    }


def apply_transactions(
    session: Session, coin: Coin, transactions: Sequence[WalletTransaction], *, unchanged_too: bool = False
) -> int:
    """Write network transactions as the backend sees them now: record, credit and reverse deposits, and tell.

    The session must have its turn, see :py:func:`cryptoassets_core.backend.syncstate.take_turn`.

    :param unchanged_too: look for missing deposits also where nothing seems to have changed (a rescan).
    :returns: how many events were written.
    """
    if not transactions:
        return 0
    books = coin.wallet_model.books()
    latest = {transaction.txid: transaction for transaction in transactions}
    owners = _own_addresses(session, books, transactions)
    received, unbookable = _received(coin, latest.values(), owners)
    known = _known(session, books, latest)
    # In the order in which they were listed: deposits are numbered by it.
    pay_us = received.keys() | unbookable.keys()
    new = [txid for txid in latest if txid in pay_us and (NetworkTransactionType.DEPOSIT, txid) not in known]
    if new:
        _insert_deposit_transactions(session, coin, [latest[txid] for txid in new])
        known |= _known(session, books, new)
    on_network = [entry for entry in known.values() if entry.state in _ON_NETWORK]
    moved = {entry.id: entry for entry in on_network if _has_changed(coin, entry, latest[entry.txid])}
    _update_network_transactions(session, coin, moved.values(), latest)
    first_seen = set(new)
    changed = moved | {entry.id: entry for entry in on_network if entry.txid in first_seen}
    died = _explain_broadcasts(session, books, changed.values(), latest)
    _book_fees(session, coin, known.values(), latest)
    looked_at = known.values() if unchanged_too else changed.values()
    deposits = {entry.id: latest[entry.txid] for entry in looked_at if entry.type == NetworkTransactionType.DEPOSIT}
    booked = book_deposits(session, coin, deposits, received, owners)
    events = _deposit_updates(coin, booked.deposits, {entry.id: entry for entry in known.values()}, changed, latest)
    carriers = sorted(id_ for id_, entry in changed.items() if entry.type == NetworkTransactionType.BROADCAST)
    events.extend(transaction_updates(session, coin, carriers))
    events.extend(booked.events)
    events.extend(
        note_refusals(
            session,
            coin,
            [known[NetworkTransactionType.DEPOSIT, transaction.txid] for transaction in deposits.values()],
            [
                *booked.refusals,
                *(
                    Refusal(id_, address_id, reason)
                    for id_, transaction in deposits.items()
                    for address_id, reason in unbookable.get(transaction.txid, {}).items()
                ),
            ],
        )
    )
    events.extend(dead_broadcasts(session, coin, died) if died else [])
    events.extend(_reorganisations(coin, changed.values(), latest))
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
        .where(books.address.c.account_id.is_not(None))  # as the index has them
    )
    return {row.address: row for row in rows}


def _received(
    coin: Coin, transactions: Iterable[WalletTransaction], owners: Mapping[str, Any]
) -> tuple[dict[Txid, dict[int, Decimal]], dict[Txid, dict[int, str]]]:
    """Sum up what each transaction pays to each of our addresses.

    :returns: what can be booked, and why the rest cannot be.
    """
    received: dict[Txid, dict[int, Decimal]] = {}
    unbookable: dict[Txid, dict[int, str]] = {}
    decimals = coin.description.decimals
    for transaction in transactions:
        amounts: dict[int, Decimal] = {}
        for output in transaction.received:
            owner = owners.get(output.address)
            if owner is not None:
                amounts[owner.id] = _plus(amounts.get(owner.id, Decimal(0)), output.amount)
        for id_, amount in amounts.items():
            if amount == 0:
                continue  # anybody can have an output of nothing mined
            try:
                check_amount(amount, decimals)
                received.setdefault(transaction.txid, {})[id_] = amount
            except InvalidAmountError as error:
                unbookable.setdefault(transaction.txid, {})[id_] = str(error)
    return received, unbookable


def _plus(total: Decimal, amount: Decimal) -> Decimal:
    try:
        return EXACT.add(total, amount)
    except ArithmeticError:
        return Decimal("NaN")  # no sum that means anything, and refused as such


def _known(session: Session, books: Books, txids: Iterable[Txid]) -> dict[tuple[str, Txid], Known]:
    network = books.network_transaction
    wanted = rowset(session, "listed", {"txid": String}, [(txid,) for txid in txids])
    rows = session.execute(
        select(
            network.c.id,
            network.c.txid,
            # As text: of thousands of rows each would be made a member of an enumeration, to be compared with one.
            type_coerce(network.c.transaction_type, String),
            network.c.confirmations,
            type_coerce(network.c.state, String),
            network.c.block_hash,
            network.c.tracked,
            network.c.fee,
            network.c.wallet_id,
            network.c.reason,
        ).join(wanted, network.c.txid == wanted.c.txid)
    )
    return {(known.type, known.txid): known for known in map(Known._make, rows)}


# --- Network transactions -----------------------------------------------------------------------------------


def _is_deep(coin: Coin, transaction: WalletTransaction) -> bool:
    return abs(transaction.confirmations) >= followed_depth(coin, coinbase=transaction.coinbase)


def _has_changed(coin: Coin, known: Known, now: WalletTransaction) -> bool:
    state = NetworkTransactionState.DEAD if now.is_dead else NetworkTransactionState.LIVE
    if not known.tracked and state == known.state and _is_deep(coin, now):
        return False  # final, and still as final
    return known.confirmations != now.confirmations or known.block_hash != now.block_hash or known.state != state


def _insert_deposit_transactions(session: Session, coin: Coin, transactions: Iterable[WalletTransaction]) -> None:
    insert_missing(
        session,
        coin.wallet_model.books().network_transaction,
        [
            {
                "txid": transaction.txid,
                "transaction_type": NetworkTransactionType.DEPOSIT,
                "state": NetworkTransactionState.DEAD if transaction.is_dead else NetworkTransactionState.LIVE,
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
            (NetworkTransactionState.DEAD if latest[known.txid].is_dead else NetworkTransactionState.LIVE).value,
            # What leaves Litecoin's extension blocks counts as a block reward while it is immature, and not after.
            latest[known.txid].coinbase,
        )
        for known in changed
    ]
    if not rows:
        return
    network = coin.wallet_model.books().network_transaction
    columns = {"id": BigInteger, "confirmations": Integer, "block_hash": String, "state": String, "coinbase": Boolean}
    now = rowset(session, "seen", columns, rows)
    session.execute(
        update(network)
        .where(network.c.id == now.c.id)
        .values(
            confirmations=now.c.confirmations,
            block_hash=now.c.block_hash,
            state=now.c.state,
            coinbase=now.c.coinbase,
            tracked=true(),
        )
    )


def _deposit_updates(
    coin: Coin,
    deposits: Iterable[DepositNow],
    carriers: Mapping[int, Known],
    changed: Mapping[int, Known],
    latest: Mapping[Txid, WalletTransaction],
) -> list[NewEvent]:
    """Tell of the deposits to which something happened, or whose network transaction has changed."""
    events = []
    for deposit in deposits:
        carrier = carriers[deposit.row.network_transaction_id]
        # A deposit that was taken back is told when that happens, and not at every block from then on.
        if deposit.touched or (carrier.id in changed and deposit.state != TransactionState.REVERSED):
            now = latest[carrier.txid] if carrier.id in changed else carrier
            events.append(deposit_update(coin, deposit, txid=carrier.txid, confirmations=now.confirmations))
    return events


def _reorganisations(coin: Coin, changed: Iterable[Known], latest: Mapping[Txid, WalletTransaction]) -> list[NewEvent]:
    """Tell of the blocks that left the chain with transactions of ours; a backend tells no more than that."""
    lost = [each for each in changed if each.block_hash and latest[each.txid].block_hash != each.block_hash]
    if not lost:
        return []
    deepest = max(lost, key=lambda each: each.confirmations)
    logger.warning("%s blocks left the chain, at least %s deep", coin.name, deepest.confirmations)
    return [
        reorganisation(
            coin_name=coin.name,
            depth=deepest.confirmations,
            block=str(deepest.block_hash),
            network_transactions=len({each.txid for each in lost}),
        )
    ]


def _explain_broadcasts(
    session: Session, books: Books, changed: Iterable[Known], latest: Mapping[Txid, WalletTransaction]
) -> dict[int, str]:
    """Write down why broadcasts are dead, and take it back where one is alive again.

    :returns: the reason of each that died now, by its id.
    """
    network = books.network_transaction
    broadcasts = [each for each in changed if each.type == NetworkTransactionType.BROADCAST]
    was_dead = {each.id for each in broadcasts if each.state == NetworkTransactionState.DEAD}
    dead = {each.id for each in broadcasts if latest[each.txid].is_dead}
    died, revived = sorted(dead - was_dead), sorted(was_dead - dead)
    reason = "it is in conflict with the chain"
    for ids, now in ((died, reason), (revived, None)):
        if ids:
            # What died is looked into at once.
            session.execute(update(network).where(network.c.id.in_(ids)).values(reason=now, next_attempt_at=None))
    return dict.fromkeys(died, reason)


def _is_bookable(coin: Coin, txid: Txid, fee: Decimal) -> bool:
    if fee == 0:
        return False
    try:
        check_amount(fee, coin.description.decimals)
    except InvalidAmountError as error:
        logger.error("%s: the fee that %s is said to cost is not booked, look at it: %s", coin.name, txid, error)
        return False
    return True


def _book_fees(session: Session, coin: Coin, known: Iterable[Known], latest: Mapping[Txid, WalletTransaction]) -> None:
    """Book the fees of broadcasts whose backend could not tell them when it sent, or that cost something else.

    That is so where the wallet's owner raised the fee: another transaction makes the same payments then.
    """
    for each in known:
        now = latest[each.txid]
        # What is opened has no txid yet, and what is signed and stored has its fee, which is booked when it is sent.
        if each.wallet_id is None or each.state not in _ON_NETWORK or now.is_dead:
            continue
        if now.fee is None or now.fee == each.fee or not _is_bookable(coin, each.txid, now.fee):
            continue
        if each.fee is not None:
            logger.warning("%s: %s costs %s, and not %s", coin.name, each.txid, f"{now.fee:f}", f"{each.fee:f}")
        correct_fee(
            session,
            coin.wallet_model.books(),
            wallet_id=each.wallet_id,
            network_transaction_id=each.id,
            amount=now.fee,
        )
