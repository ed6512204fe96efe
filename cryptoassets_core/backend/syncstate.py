"""How far a coin's chain was followed, and whose turn it is to follow it further."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from cryptoassets_core.backend.base import BlockHash, ChainChanges, Txid
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.ledger.upsert import insert_missing


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
    wanted = select(state.c.checkpoint, state.c.tip).with_for_update()
    row = session.execute(wanted).one_or_none()
    if row is None:
        insert_missing(session, state, [{"id": 1}])
        row = session.execute(wanted).one()
    return SyncState(row.checkpoint, row.tip)


def write_sync_state(coin: Coin, changes: ChainChanges, session: Session) -> None:
    """Move the checkpoint; belongs in the same database transaction as the last of what it covers.

    What is deep enough ceases to be followed here and nowhere else. Above the checkpoint all is followed, and what
    leaves the chain below it is listed; if one ended before the other began, a double spend in between would be missed.
    """
    books = coin.wallet_model.books()
    network = books.network_transaction
    enough = case((network.c.coinbase, followed_depth(coin, coinbase=True)), else_=followed_depth(coin, coinbase=False))
    session.execute(
        update(network).where(network.c.tracked, func.abs(network.c.confirmations) >= enough).values(tracked=False)
    )
    session.execute(
        update(books.sync_state).values(checkpoint=changes.checkpoint, tip=changes.tip, synced_at=utc_now())
    )


def read_scan_position(session: Session, books: Books) -> Txid | None:
    """Return behind which txid an interrupted rescan goes on, None if there is none."""
    position = session.scalar(select(books.sync_state.c.scan_position))
    return None if position is None else Txid(position)


def write_scan_position(books: Books, position: Txid | None, session: Session) -> None:
    """Note how far a rescan has come; belongs in the same database transaction as what it looked at."""
    session.execute(update(books.sync_state).values(scan_position=position))


def tracked_txids(session: Session, books: Books) -> set[Txid]:
    """Return the network transactions whose confirmations are followed."""
    network = books.network_transaction
    return set(session.scalars(select(network.c.txid).where(network.c.tracked)))


def followed_depth(coin: Coin, *, coinbase: bool) -> int:
    """Return the number of confirmations, or of blocks in conflict, after which a transaction is not followed."""
    maturity = coin.description.coinbase_maturity if coinbase else 0
    return max(coin.max_confirmation_count, coin.confirmation_count, maturity)
