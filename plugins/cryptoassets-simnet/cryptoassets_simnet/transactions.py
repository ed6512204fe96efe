"""Network transactions: how they are written, and how they enter and leave the mempool and the chain.

Functions here take the connection of an open write transaction. ``coin.spent_by`` is the truth about who spends a
coin: the one transaction in the mempool or the active chain, so two rivals can never both be there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptoassets_core.backend.base import Outpoint, Txid
from cryptoassets_simnet.errors import SimnetError
from cryptoassets_simnet.facts import ChainFacts, next_number


@dataclass(frozen=True, slots=True)
class Output:
    """What a transaction pays to one address, in minor units."""

    address: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A network transaction outside the chain file: complete, and named by its content."""

    inputs: tuple[Outpoint, ...]
    outputs: tuple[Output, ...]
    #: Minor units that the wallet pays, None when somebody else pays.
    fee_minor: int | None = None
    coinbase: bool = False

    def serialise(self) -> bytes:
        """Write it, always alike."""
        return json.dumps(
            {
                "simulated": True,
                "inputs": [[spent.txid, spent.vout] for spent in self.inputs],
                "outputs": [[output.address, output.amount_minor] for output in self.outputs],
                "fee_minor": self.fee_minor,
                "coinbase": self.coinbase,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Draft:
        """Read what :py:meth:`serialise` wrote.

        :raises ValueError: it is something else.
        """
        try:
            data = json.loads(raw)
            return cls(
                inputs=tuple(Outpoint(Txid(txid), vout) for txid, vout in data["inputs"]),
                outputs=tuple(Output(address, amount_minor) for address, amount_minor in data["outputs"]),
                fee_minor=data["fee_minor"],
                coinbase=data["coinbase"],
            )
        except (TypeError, KeyError, ValueError):
            raise ValueError("this is no transaction of a simulated chain") from None

    def txid(self, facts: ChainFacts) -> Txid:
        """Its name on this chain."""
        return Txid(facts.hash_of(self.serialise()))


def insert(db: sqlite3.Connection, facts: ChainFacts, draft: Draft) -> Txid:
    """Write a new transaction down, in neither the mempool nor the chain yet."""
    txid = draft.txid(facts)
    db.execute(
        "INSERT INTO tx (txid, state, wallet, coinbase, fee_minor, changed) VALUES (?, 'evicted', 0, ?, ?, ?)",
        (txid, draft.coinbase, draft.fee_minor, next_number(db)),
    )
    db.executemany(
        "INSERT INTO coin (txid, vout, address, amount_minor, wallet)"
        " VALUES (?, ?, ?, ?, EXISTS (SELECT 1 FROM address WHERE address = ?))",
        [(txid, vout, out.address, out.amount_minor, out.address) for vout, out in enumerate(draft.outputs)],
    )
    db.executemany(
        "INSERT INTO input (txid, prev_txid, prev_vout) VALUES (?, ?, ?)",
        [(txid, spent.txid, spent.vout) for spent in draft.inputs],
    )
    db.execute(
        "UPDATE tx SET wallet = 1 WHERE txid = :txid AND (fee_minor IS NOT NULL"
        " OR EXISTS (SELECT 1 FROM coin WHERE txid = :txid AND wallet = 1))",
        {"txid": txid},
    )
    return txid


def outside_coin(db: sqlite3.Connection, facts: ChainFacts, amount_minor: int) -> Outpoint:
    """Give the world outside the wallet another coin to spend; it has no end of them."""
    txid = Txid(facts.new_hash(db, "outside coin"))
    db.execute("INSERT INTO coin (txid, vout, amount_minor, wallet) VALUES (?, 0, ?, 0)", (txid, amount_minor))
    return Outpoint(txid, 0)


def pay_from_outside(
    db: sqlite3.Connection, facts: ChainFacts, outputs: Sequence[Output], *, coinbase: bool = False
) -> Txid:
    """Publish a transaction that somebody else pays.

    :raises SimnetError: an address is not the wallet's; a deposit to a stranger is most often a typing error.
    """
    for output in outputs:
        if db.execute("SELECT 1 FROM address WHERE address = ?", (output.address,)).fetchone() is None:
            raise SimnetError(f"{output.address} is not an address of this simulated wallet; pay one that it made")
    # A coin for each output: their sum may be more than a column holds.
    inputs = tuple(outside_coin(db, facts, output.amount_minor) for output in outputs)
    txid = insert(db, facts, Draft(inputs=inputs, outputs=tuple(outputs), coinbase=coinbase))
    accept(db, txid)
    return txid


def state_of(db: sqlite3.Connection, txid: str) -> sqlite3.Row | None:
    """Return the row of a transaction, None if the network has never seen it."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM tx WHERE txid = ?", (txid,)).fetchone()
    return row


def known(db: sqlite3.Connection, txid: str) -> sqlite3.Row:
    """Return the row of a transaction that must exist.

    :raises SimnetError: it does not.
    """
    row = state_of(db, txid)
    if row is None:
        raise SimnetError(f"there is no network transaction {txid!r:.80} on this simulated chain")
    return row


def accept(db: sqlite3.Connection, txid: str) -> None:
    """Take a transaction into the mempool; its inputs must be free, see :py:func:`is_acceptable`."""
    db.execute(
        "UPDATE coin SET spent_by = :txid WHERE (txid, vout) IN"
        " (SELECT prev_txid, prev_vout FROM input WHERE txid = :txid)",
        {"txid": txid},
    )
    db.execute("DELETE FROM lock WHERE holder = ?", (txid,))
    _set_state(db, [txid], "mempool")


def is_acceptable(db: sqlite3.Connection, txid: str) -> bool:
    """Tell whether every input exists in the mempool or the chain, and nobody else spends it there."""
    row = db.execute(
        "SELECT 1 FROM input JOIN coin ON coin.txid = prev_txid AND coin.vout = prev_vout"
        " LEFT JOIN tx AS parent ON parent.txid = prev_txid"
        " WHERE input.txid = ? AND (coin.spent_by IS NOT NULL OR parent.state IN ('evicted', 'conflicted')) LIMIT 1",
        (txid,),
    ).fetchone()
    return row is None


def evict(db: sqlite3.Connection, txid: str) -> None:
    """Take a transaction, and those that spend it, out of the mempool.

    The wallet keeps the inputs of its own ones: they may be submitted again, as with a real daemon.
    """
    rows = db.execute(
        "WITH RECURSIVE gone (txid) AS (VALUES (?) UNION SELECT spent_by FROM gone JOIN coin USING (txid)"
        " WHERE spent_by IS NOT NULL) SELECT txid FROM gone",
        (txid,),
    )
    gone = [each for (each,) in rows.fetchall()]
    db.executemany("UPDATE coin SET spent_by = NULL WHERE spent_by = ?", [(each,) for each in gone])
    _set_state(db, gone, "evicted")
    keep_inputs(db, gone)


def keep_inputs(db: sqlite3.Connection, txids: Iterable[str]) -> None:
    """Lock the inputs of the wallet's own transactions, as far as nobody else holds them."""
    db.execute(
        "INSERT OR IGNORE INTO lock (txid, vout, holder) SELECT prev_txid, prev_vout, input.txid"
        " FROM json_each(?) JOIN input ON input.txid = json_each.value JOIN tx ON tx.txid = input.txid"
        " WHERE tx.fee_minor IS NOT NULL",
        (json.dumps(list(txids)),),
    )


def include(db: sqlite3.Connection, txids: Sequence[str], block_hash: str, *, height: int) -> None:
    """Put transactions of the mempool into a block; what can never confirm beside them becomes conflicted."""
    db.executemany("INSERT INTO included (block_hash, txid) VALUES (?, ?)", [(block_hash, txid) for txid in txids])
    _set_state(db, txids, "mined", height=height)
    for txid in txids:
        rivals = _losers(db, txid)
        _set_state(db, rivals, "conflicted", height=height)
        db.execute("DELETE FROM lock WHERE holder IN (SELECT value FROM json_each(?))", (json.dumps(rivals),))


def unmine(db: sqlite3.Connection, txids: Sequence[str]) -> None:
    """Put transactions whose block left the chain back into the mempool, where they still spend their inputs."""
    _set_state(db, txids, "mempool")


def unconflict(db: sqlite3.Connection, txids: Sequence[str]) -> None:
    """Clear transactions whose mined rival left the chain; they are not in the mempool yet."""
    _set_state(db, txids, "evicted")
    keep_inputs(db, txids)


def _losers(db: sqlite3.Connection, winner: str) -> list[str]:
    """List those that spend a coin of the winner, and their descendants, as far as they are not conflicted yet."""
    rows = db.execute(
        "WITH RECURSIVE loser (txid) AS ("
        " SELECT rival.txid FROM input AS own JOIN input AS rival USING (prev_txid, prev_vout)"
        " WHERE own.txid = :winner AND rival.txid <> :winner"
        " UNION SELECT child.txid FROM loser JOIN input AS child ON child.prev_txid = loser.txid)"
        " SELECT txid FROM loser JOIN tx USING (txid) WHERE state = 'evicted'",
        {"winner": winner},
    )
    return [txid for (txid,) in rows]


def _set_state(db: sqlite3.Connection, txids: Sequence[str], state: str, *, height: int | None = None) -> None:
    for txid in txids:
        db.execute(
            "UPDATE tx SET state = ?, height = ?, changed = ? WHERE txid = ?",
            (state, height, next_number(db), txid),
        )
