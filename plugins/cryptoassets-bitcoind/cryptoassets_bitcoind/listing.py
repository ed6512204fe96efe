"""From the rows of a daemon's wallet listings to wallet transactions.

A daemon writes one row for each output that pays the wallet (``receive``, or ``generate``, ``immature`` and ``orphan``
for block rewards) and one for each output that the wallet paid (``send``). Change has no row. Rows of one transaction
share its txid; every ``send`` row repeats the whole fee.

Litecoin Core lists its extension blocks (MWEB) too, where outputs have no number. Coins that leave them
for an ordinary address have two transactions: the one that orders it, a ``receive`` row without an output, and the one
of the block that pays it, which is ``immature`` for six blocks and then ``hogex``. Only the second one is a coin.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal

from cryptoassets_bitcoind import answers
from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.errors import BackendError

logger = logging.getLogger(__name__)

Row = Mapping[str, object]

_COINBASE = frozenset({"generate", "immature", "orphan"})
_RECEIVING = frozenset({"receive", "generate", "immature", "hogex"})
#: Instead of an output's number: the row is of an extension block.
_EXTENSION = frozenset({"mweb_out", "pegout"})


def group_by_txid(rows: Iterable[Row]) -> dict[Txid, list[Row]]:
    """Collect the rows of each transaction."""
    grouped: dict[Txid, list[Row]] = {}
    for row in rows:
        grouped.setdefault(txid_of(row), []).append(row)
    return grouped


def txid_of(row: Row) -> Txid:
    """Return which transaction a row is of."""
    return answers.txid(row.get("txid"), "a listed txid")


def pays_wallet(row: Row) -> bool:
    """Tell whether a row is of an output that pays the wallet in a block that is mined, or may be."""
    # Read strictly: what a row does not say would be a deposit that nobody misses.
    category = answers.text(row.get("category"), "a listed category")
    return category in _RECEIVING and _EXTENSION.isdisjoint(row)


def from_listing(txid: Txid, rows: list[Row], *, decimals: int) -> WalletTransaction:
    """Build a transaction from its rows in ``listsinceblock``."""
    fees = [row["fee"] for row in rows if "fee" in row]
    return _transaction(txid, rows, facts=rows[0], fee=fees[0] if fees else None, decimals=decimals)


def from_gettransaction(txid: Txid, answer: object, *, decimals: int) -> WalletTransaction:
    """Build a transaction from the answer of ``gettransaction``."""
    facts = answers.mapping(answer, "gettransaction")
    rows = list(answers.mappings(facts.get("details"), "gettransaction.details"))
    return _transaction(txid, rows, facts=facts, fee=facts.get("fee"), decimals=decimals)


def waits(transaction: WalletTransaction) -> bool:
    """Tell whether somebody else has sent it and it has no confirmation.

    What we paid ourselves is the broadcaster's: it publishes again what the network forgot.
    """
    return transaction.confirmations == 0 and transaction.fee is None


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
    confirmations = answers.confirmations(facts.get("confirmations"), "listed confirmations")
    if any(row.get("category") == "orphan" for row in rows):
        # Daemons say 0, as if it could still be mined, but it is in conflict with the chain as its block is.
        return min(confirmations, -1)
    return confirmations


def _block_hash(facts: Row) -> BlockHash:
    return answers.block_hash(facts.get("blockhash"), "a listed blockhash")


def _received(txid: Txid, rows: list[Row], *, decimals: int) -> tuple[ReceivedOutput, ...]:
    outputs: dict[int, ReceivedOutput] = {}
    for row in rows:
        if not pays_wallet(row):
            continue
        if "address" not in row:
            logger.warning("transaction %s pays the wallet in a way that has no address; it is not credited", txid)
            continue
        output = ReceivedOutput(
            address=answers.address(row["address"], "a listed address"),
            amount=answers.amount(row.get("amount"), "a listed amount", decimals=decimals),
            vout=_vout(row),
        )
        if outputs.setdefault(output.vout, output) != output:
            raise BackendError(f"the daemon's answer makes no sense: it lists two outputs {output.vout} of {txid}")
    return tuple(outputs[vout] for vout in sorted(outputs))


def _vout(row: Row) -> int:
    vout = answers.integer(row.get("vout"), "a listed vout")
    if vout < 0:
        raise answers.wrong(vout, "a listed vout", "the number of an output")
    return vout


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
