"""The simulated hot wallet: its addresses, what it holds, and the transactions it makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, Txid
from cryptoassets_core.coin.validate import canonical_address, encode_base58check, encode_segwit
from cryptoassets_core.errors import (
    BackendRejectedError,
    BadAddress,
    BroadcastDeadError,
    InsufficientHotWalletFunds,
    InvalidAmountError,
    OutcomeUnknownError,
    RecipientRejectedError,
)
from cryptoassets_simnet import chain, transactions
from cryptoassets_simnet.facts import ChainFacts
from cryptoassets_simnet.transactions import Draft, Output

#: Bytes of the hash in an address: HASH160, as P2PKH and P2WPKH have it.
_HASH_LENGTH = 20


def new_address(db: sqlite3.Connection, facts: ChainFacts, label: str, *, change: bool = False) -> str:
    """Make an address of the wallet: segwit where the network has it, else P2PKH. Nobody has a key for it."""
    address = foreign_address(db, facts)
    db.execute("INSERT INTO address (address, label, change) VALUES (?, ?, ?)", (address, label, change))
    return address


def foreign_address(db: sqlite3.Connection, facts: ChainFacts) -> str:
    """Make an address of the network that is not the wallet's."""
    program = bytes.fromhex(facts.new_hash(db, "address"))[:_HASH_LENGTH]
    if facts.rules.bech32_hrp is not None:
        return encode_segwit(facts.rules.bech32_hrp, 0, program)
    return encode_base58check(facts.rules.p2pkh[0], program)


def balance_minor(db: sqlite3.Connection, facts: ChainFacts, confirmations: int) -> int:
    """Add up unspent coins with at least so many confirmations; locked ones count, immature rewards do not."""
    height = chain.get_tip(db).height
    rows = db.execute(
        "SELECT amount_minor FROM coin INDEXED BY coin_unspent JOIN tx USING (txid)"
        " WHERE coin.wallet = 1 AND spent_by IS NULL AND ("
        " (state = 'mined' AND height <= :deepest AND (coinbase = 0 OR height <= :mature))"
        " OR (state = 'mempool' AND coinbase = 0 AND :unconfirmed))",
        {
            "deepest": height - max(confirmations, 1) + 1,
            "mature": _mature_height(facts, height),
            "unconfirmed": confirmations <= 0,
        },
    )
    # Added up here: the sum of a large supply passes 64 bits, where SQLite gives up.
    return sum(amount_minor for (amount_minor,) in rows)


def _mature_height(facts: ChainFacts, tip_height: int) -> int:
    # A daemon's wallet waits one block longer than the network demands; so do we.
    return tip_height - facts.coin.coinbase_maturity


def prepare(
    db: sqlite3.Connection, facts: ChainFacts, recipients: Mapping[str, Decimal], *, fee_minor: int
) -> PreparedTransaction:
    """Choose coins, pay the recipients, and bring the rest back to the wallet.

    :raises RecipientRejectedError: one payment can never be sent.
    :raises InsufficientHotWalletFunds: the coins that may be spent now are too few.
    """
    if not recipients:
        raise BackendRejectedError("a network transaction needs at least one recipient")
    outputs = [_payment(facts, address, amount) for address, amount in recipients.items()]
    needed = sum(output.amount_minor for output in outputs) + fee_minor
    selection = _choose_coins(db, facts, needed)
    if selection.change_minor:
        outputs.append(Output(new_address(db, facts, "change", change=True), selection.change_minor))
    fee_minor = selection.total_minor - sum(output.amount_minor for output in outputs)
    draft = Draft(inputs=selection.coins, outputs=tuple(outputs), fee_minor=fee_minor)
    return PreparedTransaction(draft.txid(facts), draft.serialise().hex(), facts.to_coins(fee_minor), draft.inputs)


def _payment(facts: ChainFacts, address: str, amount: Decimal) -> Output:
    try:
        canonical = canonical_address(address, facts.rules)
        amount_minor = facts.to_minor(check_amount(amount, facts.coin.decimals))
    except (BadAddress, InvalidAmountError) as error:
        raise RecipientRejectedError(str(error), address=address) from error
    if amount_minor < facts.to_minor(facts.coin.dust):
        raise RecipientRejectedError(
            f"{facts.text(amount_minor)} to {canonical} is dust: the least that is carried is {facts.coin.dust:f}",
            address=address,
        )
    return Output(canonical, amount_minor)


@dataclass(frozen=True, slots=True)
class _Selection:
    coins: tuple[Outpoint, ...]
    total_minor: int
    #: What comes back to the wallet; 0 where it would be dust, which goes to the fee.
    change_minor: int


def _choose_coins(db: sqlite3.Connection, facts: ChainFacts, needed: int) -> _Selection:
    """Take the largest coins until they are enough, and go on while the change would be dust."""
    dust = facts.to_minor(facts.coin.dust)
    chosen: list[Outpoint] = []
    total = 0
    trust: dict[str, bool] = {}
    candidates = db.execute(
        "SELECT coin.txid, coin.vout, amount_minor, state FROM coin INDEXED BY coin_unspent CROSS JOIN tx USING (txid)"
        " WHERE coin.wallet = 1 AND spent_by IS NULL AND ("
        " (state = 'mined' AND (coinbase = 0 OR height <= ?)) OR (state = 'mempool' AND fee_minor IS NOT NULL))"
        " AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.txid = coin.txid AND lock.vout = coin.vout)"
        " ORDER BY amount_minor DESC, coin.txid DESC, coin.vout DESC",
        (_mature_height(facts, chain.get_tip(db).height),),
    )
    for coin in candidates:
        if coin["state"] == "mempool" and not _is_trusted(db, coin["txid"], trust):
            continue
        chosen.append(Outpoint(Txid(coin["txid"]), coin["vout"]))
        total += coin["amount_minor"]
        if total == needed or total - needed >= dust:
            return _Selection(tuple(chosen), total, total - needed)
    if total >= needed:
        return _Selection(tuple(chosen), total, 0)
    raise InsufficientHotWalletFunds(
        f"the simulated hot wallet can spend {facts.text(total)} now, and {facts.text(needed)} are needed with the "
        "fee; fund it, or mine what is unconfirmed"
    )


def _is_trusted(db: sqlite3.Connection, txid: str, known: dict[str, bool]) -> bool:
    """Tell whether unconfirmed change rests on confirmed coins and our own change only, like a daemon's wallet."""
    waiting = [txid]
    seen = set()
    while waiting:
        parent = waiting.pop()
        if known.get(parent) or parent in seen:
            continue
        seen.add(parent)
        rows = db.execute(
            "SELECT DISTINCT tx.txid, tx.fee_minor FROM input JOIN tx ON tx.txid = prev_txid"
            " WHERE input.txid = ? AND state <> 'mined'",
            (parent,),
        ).fetchall()
        if known.get(parent) is False or any(row["fee_minor"] is None for row in rows):
            known[txid] = False
            return False
        waiting.extend(row["txid"] for row in rows)
    known.update(dict.fromkeys(seen, True))
    return True


def hold(db: sqlite3.Connection, prepared: PreparedTransaction) -> None:
    """Lock the inputs of a transaction, as far as they exist, are unspent and nobody else holds them."""
    db.executemany(
        "INSERT OR IGNORE INTO lock (txid, vout, holder)"
        " SELECT txid, vout, ? FROM coin WHERE txid = ? AND vout = ? AND spent_by IS NULL",
        [(prepared.txid, spent.txid, spent.vout) for spent in prepared.inputs],
    )


def release(db: sqlite3.Connection, prepared: PreparedTransaction) -> None:
    """Unlock what is held for a transaction, and nothing else."""
    db.execute("DELETE FROM lock WHERE holder = ?", (prepared.txid,))


def forget_locks(db: sqlite3.Connection) -> None:
    """Forget what is held for transactions that were never submitted, as a daemon does when it restarts."""
    db.execute("DELETE FROM lock WHERE holder NOT IN (SELECT txid FROM tx)")


def submit(db: sqlite3.Connection, facts: ChainFacts, prepared: PreparedTransaction) -> Txid:
    """Publish a prepared transaction; one that the mempool or the chain has is published.

    :raises BroadcastDeadError: a rival for one of its inputs, or of an ancestor's, is in a block.
    :raises OutcomeUnknownError: it is kept out by what is not in a block, and may still get in later.
    :raises BackendRejectedError: it is no transaction of this chain.
    """
    draft = _parse(facts, prepared)
    txid = draft.txid(facts)
    row = transactions.state_of(db, txid)
    if row is not None and row["state"] in ("mempool", "mined"):
        return txid
    if row is not None and row["state"] == "conflicted":
        raise _dead(db, txid, row["height"])
    doubts = [doubt for spent in draft.inputs if (doubt := _doubt(db, txid, spent)) is not None]
    if doubts:
        raise doubts[0]
    if row is None:
        transactions.insert(db, facts, draft)
    transactions.accept(db, txid)
    return txid


def _parse(facts: ChainFacts, prepared: PreparedTransaction) -> Draft:
    try:
        draft = Draft.parse(bytes.fromhex(prepared.raw))
    except ValueError:
        raise BackendRejectedError(f"{prepared.txid} is not a transaction that a simulated chain can read") from None
    if draft.txid(facts) != prepared.txid:
        raise BackendRejectedError(
            f"{prepared.txid} was prepared for another simulated chain, or changed since: its content does not have "
            "this txid here"
        )
    return draft


def _doubt(db: sqlite3.Connection, txid: Txid, spent: Outpoint) -> OutcomeUnknownError | None:
    """Say why one input keeps a transaction out for now, None if it does not.

    A doubt about one input is no verdict while another may prove the transaction dead, so it is returned.

    :raises BroadcastDeadError: the input keeps it out for good.
    """
    row = db.execute(
        "SELECT spender.txid AS spender, spender.state AS spender_state, spender.height AS spender_height,"
        " parent.state AS parent_state, parent.height AS parent_height FROM coin"
        " LEFT JOIN tx AS spender ON spender.txid = coin.spent_by LEFT JOIN tx AS parent ON parent.txid = coin.txid"
        " WHERE coin.txid = ? AND coin.vout = ?",
        (spent.txid, spent.vout),
    ).fetchone()
    if row is None:
        return OutcomeUnknownError(f"{txid} spends {spent.txid}:{spent.vout}, which the simulated network has not seen")
    if row["spender_state"] == "mined":
        raise _dead(db, txid, row["spender_height"])
    if row["parent_state"] == "conflicted":
        raise _dead(db, txid, row["parent_height"])
    if row["spender"] is not None:
        return OutcomeUnknownError(f"{txid} is kept out by {row['spender']}, which is unconfirmed and spends the same")
    if row["parent_state"] == "evicted":
        return OutcomeUnknownError(f"{txid} spends {spent.txid}:{spent.vout}, which is not in the mempool now")
    return None


def _dead(db: sqlite3.Connection, txid: Txid, height: int) -> BroadcastDeadError:
    depth = chain.get_tip(db).height - height + 1
    return BroadcastDeadError(f"{txid} cannot confirm: a rival for its coins is in a block", depth=depth)
