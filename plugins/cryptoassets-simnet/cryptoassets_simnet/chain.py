"""Blocks: mining, reorganisations and double spends. The longest branch is the chain, always the one made last."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from cryptoassets_core.backend.base import BlockHash, Outpoint, Txid
from cryptoassets_simnet import transactions
from cryptoassets_simnet.errors import SimnetError
from cryptoassets_simnet.facts import ChainFacts
from cryptoassets_simnet.transactions import Draft, Output

#: More blocks than anybody needs at once, and few enough to wait for.
MOST_BLOCKS = 100_000


@dataclass(frozen=True, slots=True)
class Tip:
    """The best block."""

    height: int
    hash: BlockHash


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorganisation:
    """What a reorganisation did."""

    #: Blocks that left the chain, highest first.
    stale: tuple[BlockHash, ...]
    #: Blocks that took their place, lowest first; one more, so that the new branch wins.
    added: tuple[BlockHash, ...]
    #: Transactions that lost their block and wait in the mempool again.
    unconfirmed: tuple[Txid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleSpend:
    """What a double spend did."""

    #: The conflicting transaction, which pays nothing to the wallet.
    rival: Txid
    #: The reorganisation that made room for it, None if the victim was unconfirmed.
    reorganisation: Reorganisation | None


def get_tip(db: sqlite3.Connection) -> Tip:
    """Return the best block."""
    row = db.execute("SELECT height, hash FROM block WHERE active = 1 ORDER BY height DESC LIMIT 1").fetchone()
    return Tip(row["height"], BlockHash(row["hash"]))


def mine(db: sqlite3.Connection, facts: ChainFacts, blocks: int) -> tuple[BlockHash, ...]:
    """Add blocks; the first one takes the whole mempool.

    :raises SimnetError: not a sensible number of blocks.
    """
    if not 1 <= blocks <= MOST_BLOCKS:
        raise SimnetError(f"the number of blocks to mine must be from 1 to {MOST_BLOCKS}, not {blocks}")
    waiting = [txid for (txid,) in db.execute("SELECT txid FROM tx WHERE state = 'mempool' ORDER BY number")]
    return (_add_block(db, facts, waiting), *(_add_block(db, facts, []) for _ in range(blocks - 1)))


def _add_block(db: sqlite3.Connection, facts: ChainFacts, txids: list[str]) -> BlockHash:
    parent = get_tip(db)
    block_hash = BlockHash(facts.new_hash(db, f"block on {parent.hash}"))
    db.execute("INSERT INTO block VALUES (?, ?, ?, 1)", (block_hash, parent.hash, parent.height + 1))
    transactions.include(db, txids, block_hash, height=parent.height + 1)
    return block_hash


def reorganise(db: sqlite3.Connection, facts: ChainFacts, depth: int, *, drop: Collection[str] = ()) -> Reorganisation:
    """Replace the last blocks by empty ones, one more than they were.

    :param drop: transactions that the network forgets instead of keeping them for a later block.
    :raises SimnetError: there are not so many blocks, or a transaction to drop is not among what would be unconfirmed.
    """
    height = get_tip(db).height
    if height == 0:
        raise SimnetError("there is no block to replace: only the first block, which stays, has been mined")
    if not 1 <= depth <= height:
        raise SimnetError(f"a reorganisation can replace from 1 to {height} blocks here, not {depth}")
    for txid in drop:
        found = transactions.known(db, txid)
        if found["state"] != "mempool" and not (found["state"] == "mined" and found["height"] > height - depth):
            raise SimnetError(f"{txid} cannot be dropped: it is neither unconfirmed nor in the last {depth} blocks")
    stale, unconfirmed = _disconnect(db, depth)
    for txid in drop:
        transactions.evict(db, txid)
    _bring_back(db, above=height - depth, without=drop)
    added = tuple(_add_block(db, facts, []) for _ in range(depth + 1))
    waiting = tuple(txid for txid in unconfirmed if transactions.known(db, txid)["state"] == "mempool")
    return Reorganisation(stale=stale, added=added, unconfirmed=waiting)


def _disconnect(db: sqlite3.Connection, depth: int) -> tuple[tuple[BlockHash, ...], list[Txid]]:
    """Take the last blocks off the chain: their transactions wait again, their rewards are gone."""
    fork = get_tip(db).height - depth
    stale = db.execute(
        "UPDATE block SET active = 0 WHERE active = 1 AND height > ? RETURNING hash, height", (fork,)
    ).fetchall()
    stale.sort(key=lambda row: -row["height"])
    undone = db.execute(
        "SELECT txid, coinbase FROM tx WHERE state = 'mined' AND height > ? ORDER BY number", (fork,)
    ).fetchall()
    transactions.unmine(db, [row["txid"] for row in undone])
    for row in undone:
        if row["coinbase"]:
            transactions.evict(db, row["txid"])
    return tuple(row["hash"] for row in stale), [row["txid"] for row in undone]


def _bring_back(db: sqlite3.Connection, *, above: int, without: Collection[str]) -> None:
    """Free those whose mined rival has gone, and let into the mempool whoever finds its inputs free now."""
    freed = [
        txid
        for (txid,) in db.execute(
            "SELECT txid FROM tx WHERE state = 'conflicted' AND height > ? ORDER BY number", (above,)
        )
    ]
    transactions.unconflict(db, freed)
    for txid in freed:
        # In the order of their making, so that parents come before children.
        if txid not in without and transactions.is_acceptable(db, txid):
            transactions.accept(db, txid)


def double_spend(db: sqlite3.Connection, facts: ChainFacts, txid: str, *, thief: str) -> DoubleSpend:
    """Publish a rival of a deposit, spending the same coins of the outside to an address that is not the wallet's.

    An unconfirmed victim is replaced in the mempool and looks alive until the rival is mined. A confirmed one is
    reorganised away first, and the rival is in the first block of the new branch.

    :param thief: where the rival pays.
    :raises SimnetError: it is not a deposit from outside, or it is double-spent already.
    """
    victim = transactions.known(db, txid)
    if victim["coinbase"] or victim["fee_minor"] is not None:
        raise SimnetError(f"{txid} cannot be double-spent: only a deposit from outside can, not our own or a reward")
    if victim["state"] in ("evicted", "conflicted") and not transactions.is_acceptable(db, txid):
        raise SimnetError(f"{txid} is double-spent already")
    if victim["state"] != "mined":
        return DoubleSpend(rival=_publish_rival(db, facts, txid, thief=thief), reorganisation=None)
    height = get_tip(db).height
    depth = height - victim["height"] + 1
    stale, unconfirmed = _disconnect(db, depth)
    rival = _publish_rival(db, facts, txid, thief=thief)
    _bring_back(db, above=height - depth, without=())
    added = (_add_block(db, facts, [rival]), *(_add_block(db, facts, []) for _ in range(depth)))
    waiting = tuple(other for other in unconfirmed if transactions.known(db, other)["state"] == "mempool")
    return DoubleSpend(rival=rival, reorganisation=Reorganisation(stale=stale, added=added, unconfirmed=waiting))


def _publish_rival(db: sqlite3.Connection, facts: ChainFacts, victim: str, *, thief: str) -> Txid:
    coins = db.execute(
        "SELECT coin.txid, coin.vout, coin.amount_minor FROM input"
        " JOIN coin ON coin.txid = prev_txid AND coin.vout = prev_vout WHERE input.txid = ?",
        (victim,),
    ).fetchall()
    transactions.evict(db, victim)
    inputs = tuple(Outpoint(Txid(coin["txid"]), coin["vout"]) for coin in coins)
    outputs = tuple(Output(thief, coin["amount_minor"]) for coin in coins)
    rival = transactions.insert(db, facts, Draft(inputs=inputs, outputs=outputs))
    transactions.accept(db, rival)
    return rival


def reward(db: sqlite3.Connection, facts: ChainFacts, output: Output) -> Txid:
    """Mine one block, with the mempool in it, whose reward goes to an address of the wallet."""
    txid = transactions.pay_from_outside(db, facts, [output], coinbase=True)
    mine(db, facts, 1)
    return txid
