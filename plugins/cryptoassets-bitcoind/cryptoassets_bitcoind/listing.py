"""From the rows of a daemon's wallet listings to wallet transactions.

A daemon writes one row for each output that pays the wallet (``receive``, or ``generate``, ``immature`` and ``orphan``
for block rewards) and one for each output that the wallet paid (``send``). Change has no row. Rows of one transaction
share its txid; every ``send`` row repeats the whole fee.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal

from cryptoassets_bitcoind import answers
from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, Txid, WalletTransaction

logger = logging.getLogger(__name__)

Row = Mapping[str, object]

_COINBASE = frozenset({"generate", "immature", "orphan"})
RECEIVING = frozenset({"receive", "generate", "immature"})


def group_by_txid(rows: Iterable[Row]) -> dict[Txid, list[Row]]:
    """Collect the rows of each transaction; rows without one are entries of the daemon's own old accounts."""
    grouped: dict[Txid, list[Row]] = {}
    for row in rows:
        if "txid" in row:
            grouped.setdefault(answers.txid(row["txid"], "a listed txid"), []).append(row)
    return grouped


def from_listing(txid: Txid, rows: list[Row], *, decimals: int) -> WalletTransaction:
    """Build a transaction from its rows in ``listsinceblock``."""
    fees = [row["fee"] for row in rows if "fee" in row]
    return _transaction(txid, rows, facts=rows[0], fee=fees[0] if fees else None, decimals=decimals)


def from_gettransaction(txid: Txid, answer: object, *, decimals: int) -> WalletTransaction:
    """Build a transaction from the answer of ``gettransaction``."""
    facts = answers.mapping(answer, "gettransaction")
    rows = list(answers.mappings(facts.get("details"), "gettransaction.details"))
    return _transaction(txid, rows, facts=facts, fee=facts.get("fee"), decimals=decimals)


def _transaction(txid: Txid, rows: list[Row], *, facts: Row, fee: object, decimals: int) -> WalletTransaction:
    confirmations = _confirmations(rows, facts)
    return WalletTransaction(
        txid=txid,
        confirmations=confirmations,
        block_hash=_block_hash(facts) if confirmations > 0 else None,
        received=_received(txid, rows, decimals=decimals) if confirmations >= 0 else (),
        # Daemons count it as lost money: negative.
        fee=None if fee is None else abs(answers.amount(fee, "a listed fee", decimals=decimals)),
        sent=_sent(rows, decimals=decimals) if confirmations >= 0 else Decimal(0),
        coinbase=facts.get("generated") is True or any(row.get("category") in _COINBASE for row in rows),
    )


def _confirmations(rows: list[Row], facts: Row) -> int:
    confirmations = answers.integer(facts.get("confirmations"), "listed confirmations")
    if any(row.get("category") == "orphan" for row in rows):
        # Daemons say 0, as if it could still be mined, but it is in conflict with the chain as its block is.
        return min(confirmations, -1)
    return confirmations


def _block_hash(facts: Row) -> BlockHash:
    return answers.block_hash(facts.get("blockhash"), "a listed blockhash")


def _received(txid: Txid, rows: list[Row], *, decimals: int) -> tuple[ReceivedOutput, ...]:
    outputs: dict[int, ReceivedOutput] = {}
    for row in rows:
        if row.get("category") not in RECEIVING:
            continue
        if "address" not in row or "vout" not in row:
            logger.warning("transaction %s pays the wallet in a way that has no address; it is not credited", txid)
            continue
        output = ReceivedOutput(
            address=answers.text(row["address"], "a listed address"),
            amount=answers.amount(row.get("amount"), "a listed amount", decimals=decimals),
            vout=answers.integer(row["vout"], "a listed vout"),
        )
        outputs[output.vout] = output
    return tuple(outputs[vout] for vout in sorted(outputs))


def _sent(rows: list[Row], *, decimals: int) -> Decimal:
    """Add up what the wallet paid; daemons write it negative."""
    return sum(
        (
            abs(answers.amount(row.get("amount"), "a listed amount", decimals=decimals))
            for row in rows
            if row.get("category") == "send"
        ),
        Decimal(0),
    )
