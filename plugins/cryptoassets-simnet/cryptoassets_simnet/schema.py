"""Tables of a chain file. Amounts are integers in minor units; each query that runs often has its index."""

from __future__ import annotations

from typing import Final

#: Marks the file as ours in SQLite's header ("simn").
APPLICATION_ID: Final = 0x73696D6E

SCHEMA_VERSION: Final = 1

SCHEMA: Final = """
-- One row: what is simulated, the counter behind every number that must not repeat, and whether the node is down.
CREATE TABLE chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    facts TEXT NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0,
    down INTEGER NOT NULL DEFAULT 0 CHECK (down IN (0, 1))
);

-- Stale blocks stay, as a checkpoint may name one.
CREATE TABLE block (
    hash TEXT PRIMARY KEY,
    parent TEXT REFERENCES block (hash),
    height INTEGER NOT NULL CHECK (height >= 0),
    active INTEGER NOT NULL CHECK (active IN (0, 1))
) WITHOUT ROWID;
CREATE UNIQUE INDEX block_active ON block (height) WHERE active = 1;

-- Which transactions a block holds, stale blocks too.
CREATE TABLE included (
    block_hash TEXT NOT NULL REFERENCES block (hash),
    txid TEXT NOT NULL REFERENCES tx (txid),
    PRIMARY KEY (block_hash, txid)
) WITHOUT ROWID;

-- state: mempool (waits for a block), mined (in the active block at height), evicted (in neither), conflicted (a rival
-- for one of its inputs, or of an ancestor's, is mined in the active block at height).
CREATE TABLE tx (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    txid TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('mempool', 'mined', 'evicted', 'conflicted')),
    height INTEGER,
    wallet INTEGER NOT NULL CHECK (wallet IN (0, 1)),
    coinbase INTEGER NOT NULL CHECK (coinbase IN (0, 1)),
    fee_minor INTEGER CHECK (fee_minor >= 0),
    changed INTEGER NOT NULL,
    CHECK ((state IN ('mined', 'conflicted')) = (height IS NOT NULL))
);
CREATE INDEX tx_state ON tx (state, height);
CREATE INDEX tx_changed ON tx (changed);

-- Every output, and the coins of the outside that pay deposits (their txid is nobody's). spent_by: the transaction in
-- the mempool or the active chain that spends it, if any.
CREATE TABLE coin (
    txid TEXT NOT NULL,
    vout INTEGER NOT NULL CHECK (vout >= 0),
    address TEXT,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    wallet INTEGER NOT NULL CHECK (wallet IN (0, 1)),
    spent_by TEXT REFERENCES tx (txid),
    PRIMARY KEY (txid, vout)
) WITHOUT ROWID;
CREATE INDEX coin_unspent ON coin (amount_minor, txid, vout) WHERE wallet = 1 AND spent_by IS NULL;
CREATE INDEX coin_spent_by ON coin (spent_by) WHERE spent_by IS NOT NULL;

CREATE TABLE input (
    txid TEXT NOT NULL REFERENCES tx (txid),
    prev_txid TEXT NOT NULL,
    prev_vout INTEGER NOT NULL,
    PRIMARY KEY (txid, prev_txid, prev_vout),
    FOREIGN KEY (prev_txid, prev_vout) REFERENCES coin (txid, vout)
) WITHOUT ROWID;
CREATE INDEX input_prev ON input (prev_txid, prev_vout);

-- Addresses of the simulated wallet; change is where it pays itself.
CREATE TABLE address (
    address TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    change INTEGER NOT NULL CHECK (change IN (0, 1))
) WITHOUT ROWID;

-- Coins kept for a prepared transaction (holder is its txid).
CREATE TABLE lock (
    txid TEXT NOT NULL,
    vout INTEGER NOT NULL,
    holder TEXT NOT NULL,
    PRIMARY KEY (txid, vout)
) WITHOUT ROWID;
CREATE INDEX lock_holder ON lock (holder);

CREATE TABLE fault (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    method TEXT NOT NULL,
    kind TEXT NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining > 0)
);
CREATE INDEX fault_method ON fault (method, number);
"""
