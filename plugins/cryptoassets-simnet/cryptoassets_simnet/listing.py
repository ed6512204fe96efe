"""What the wallet tells about its transactions, as ``listsinceblock`` and ``gettransaction`` of bitcoind do."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.errors import BackendRejectedError
from cryptoassets_simnet import chain
from cryptoassets_simnet.facts import ChainFacts


@dataclass(frozen=True, slots=True)
class Listed:
    """What is to be told of a wallet since a checkpoint."""

    tip: BlockHash
    checkpoint: BlockHash
    #: Numbers of the transactions: a long history as small as it gets.
    numbers: Sequence[int]


def list_since(db: sqlite3.Connection, checkpoint: BlockHash | None, *, depth: int) -> Listed:
    """Name the wallet's transactions that are unconfirmed, mined after a checkpoint, or were in blocks now stale.

    A deposit in conflict is listed only if it was in a stale block behind the checkpoint; an own transaction in
    conflict is listed like a mined one. The work grows with the answer, not with the chain.

    :param checkpoint: None and unknown ones list everything; a stale one continues from the fork.
    :raises BackendRejectedError: the depth is less than 1.
    """
    if depth < 1:
        raise BackendRejectedError(f"the depth of a listing must be 1 or more, not {depth}")
    tip = chain.get_tip(db)
    fork_height, removed = _find_fork(db, checkpoint)
    numbers = db.execute(
        "SELECT number FROM tx WHERE wallet = 1 AND ("
        " (state = 'mempool' AND height IS NULL) OR (state = 'evicted' AND height IS NULL)"
        " OR (state = 'mined' AND height > :since)"
        " OR (state = 'conflicted' AND height > :since AND fee_minor IS NOT NULL))"
        " UNION SELECT number FROM tx JOIN json_each(:removed) ON tx.txid = json_each.value WHERE wallet = 1"
        " ORDER BY number",
        {"since": fork_height, "removed": json.dumps(removed)},
    )
    (next_checkpoint,) = db.execute(
        "SELECT hash FROM block WHERE active = 1 AND height = ?", (max(tip.height + 1 - depth, 0),)
    ).fetchone()
    return Listed(tip.hash, BlockHash(next_checkpoint), array("q", (number for (number,) in numbers)))


def describe(db: sqlite3.Connection, facts: ChainFacts, numbers: Sequence[int]) -> list[WalletTransaction]:
    """Return transactions of the wallet as they are now, in the order of their numbers."""
    wanted = json.dumps(list(numbers))
    txids = db.execute("SELECT txid FROM json_each(?) JOIN tx ON tx.number = json_each.value", (wanted,))
    return list(_describe(db, facts, {txid for (txid,) in txids}).values())


def _find_fork(db: sqlite3.Connection, checkpoint: BlockHash | None) -> tuple[int, list[str]]:
    """Return the height up to which the checkpoint's branch is the chain, and what was in its blocks above that."""
    removed: list[str] = []
    block_hash: str | None = checkpoint
    while block_hash is not None:
        block = db.execute("SELECT height, parent, active FROM block WHERE hash = ?", (block_hash,)).fetchone()
        if block is None:
            break
        if block["active"]:
            return block["height"], removed
        rows = db.execute(
            "SELECT txid FROM included JOIN tx USING (txid) WHERE block_hash = ? AND wallet = 1", (block_hash,)
        )
        removed += [txid for (txid,) in rows]
        block_hash = block["parent"]
    return -1, []


def get_transactions(db: sqlite3.Connection, facts: ChainFacts, txids: Iterable[Txid]) -> dict[Txid, WalletTransaction]:
    """Look up transactions of the wallet; unknown ones are absent."""
    return _describe(db, facts, set(txids))


def recent_transactions(db: sqlite3.Connection, facts: ChainFacts, limit: int) -> list[WalletTransaction]:
    """Return the wallet's newest transactions, newest first."""
    rows = db.execute("SELECT txid FROM tx WHERE wallet = 1 ORDER BY number DESC LIMIT ?", (limit,))
    return list(_describe(db, facts, {txid for (txid,) in rows}).values())[::-1]


def _describe(db: sqlite3.Connection, facts: ChainFacts, txids: set[str]) -> dict[Txid, WalletTransaction]:
    wanted = json.dumps(sorted(txids))
    received: defaultdict[str, list[ReceivedOutput]] = defaultdict(list)
    for row in db.execute(
        "SELECT coin.txid, vout, address, amount_minor FROM json_each(?) CROSS JOIN coin ON coin.txid = json_each.value"
        " JOIN address USING (address) WHERE wallet = 1 AND change = 0 ORDER BY coin.txid, vout",
        (wanted,),
    ):
        received[row["txid"]].append(ReceivedOutput(row["address"], facts.to_coins(row["amount_minor"]), row["vout"]))
    # Added up here: the sum of a large supply passes 64 bits, where SQLite gives up.
    sent_minor: Counter[str] = Counter()
    for row in db.execute(
        "SELECT coin.txid, amount_minor FROM json_each(?) CROSS JOIN tx ON tx.txid = json_each.value"
        " JOIN coin USING (txid) LEFT JOIN address USING (address)"
        " WHERE fee_minor IS NOT NULL AND coalesce(change, 0) = 0",
        (wanted,),
    ):
        sent_minor[row["txid"]] += row["amount_minor"]
    rows = db.execute(
        "SELECT tx.*, block.hash AS block_hash FROM json_each(?) CROSS JOIN tx ON tx.txid = json_each.value"
        " LEFT JOIN block ON block.active = 1 AND block.height = tx.height"
        " WHERE wallet = 1 ORDER BY number",
        (wanted,),
    )
    tip_height = chain.get_tip(db).height
    return {
        Txid(row["txid"]): _as_seen(
            facts, row, received[row["txid"]], sent_minor=sent_minor[row["txid"]], tip_height=tip_height
        )
        for row in rows
    }


def _as_seen(
    facts: ChainFacts, row: sqlite3.Row, received: list[ReceivedOutput], *, sent_minor: int, tip_height: int
) -> WalletTransaction:
    depth = 0 if row["height"] is None else tip_height - row["height"] + 1
    conflicted = row["state"] == "conflicted"
    return WalletTransaction(
        txid=Txid(row["txid"]),
        confirmations=-depth if conflicted else depth,
        block_hash=BlockHash(row["block_hash"]) if row["state"] == "mined" else None,
        # A daemon forgets what a transaction in conflict would have paid; so must whoever relies on us.
        received=() if conflicted else tuple(received),
        fee=None if row["fee_minor"] is None else facts.to_coins(row["fee_minor"]),
        sent=facts.to_coins(0 if conflicted else sent_minor),
        coinbase=bool(row["coinbase"]),
        forgotten=row["state"] == "evicted" and row["fee_minor"] is None,
    )
