"""Single transactions as the service knows them, with every input and output."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.pages import Pages
from cryptoassets_blockio.transactions import Transaction, parse
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import BackendError

#: Transactions whose cost is remembered.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Raw:
    """A transaction of the network, the wallet's or not."""

    txid: Txid
    confirmations: int
    #: The block that includes it, None where the service does not say.
    block_hash: str | None
    #: Address, whole coins and place of each output that pays an address.
    outputs: tuple[tuple[str, Decimal, int], ...]
    #: Addresses that the coins came from.
    senders: frozenset[str]
    #: Whole coins that it costs beside its outputs; None if the service does not tell what its inputs are worth.
    fee: Decimal | None
    #: Its bytes, where the service shows them and they are what the txid says.
    transaction: Transaction | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the wallet paid by a transaction, whole coins."""

    sent: Decimal
    fee: Decimal


@dataclass(slots=True)
class RawTransactions:
    """Looks transactions up one by one, and remembers what cannot change about them."""

    client: BlockIoClient
    pages: Pages
    _costs: OrderedDict[Txid, Cost] = field(default_factory=OrderedDict)

    def look_up(self, txid: Txid) -> Raw | None:
        """Return what the service knows of a transaction; None if it says that there is none."""
        try:
            data = self.client.call("get_raw_transaction", txid=txid)
        except ServiceRefusal:
            return None
        if answers.txid(data.get("txid"), "txid") != txid:
            raise BackendError(f"block.io answered with another transaction than {txid}")
        return self._read(txid, data)

    def remember(self, txid: Txid, cost: Cost) -> None:
        """Keep what a transaction costs, which was known when it was made."""
        self._costs[txid] = cost
        while len(self._costs) > _REMEMBERED:
            self._costs.popitem(last=False)

    def cost(self, txid: Txid, *, own: frozenset[str]) -> Cost | None:
        """Return what the wallet paid by a transaction that it made; None if that cannot be told.

        :param own: addresses to which change goes beside those that the coins came from.
        """
        known = self._costs.get(txid)
        if known is None:
            raw = self.look_up(txid)
            known = None if raw is None else cost_of(raw, own=own)
            if known is not None:
                self.remember(txid, known)
        return known

    def _read(self, txid: Txid, data: answers.Row) -> Raw:
        decimals = self.pages.decimals
        outputs, total = [], Decimal(0)
        for number, row in enumerate(answers.mappings(data.get("outputs"), "outputs")):
            value = answers.amount(row.get("value"), "outputs.value", decimals=decimals)
            total += value
            address = self.pages.canonical(row.get("address"))
            if address is not None:
                outputs.append((address, value, number))
        inputs = answers.mappings(data.get("inputs", []), "inputs")
        brought = [_value(row, decimals) for row in inputs]
        known = [value for value in brought if value is not None]
        fee = sum(known, Decimal(0)) - total if known and len(known) == len(brought) else None
        return Raw(
            txid=txid,
            confirmations=answers.confirmations(data.get("confirmations"), "confirmations"),
            block_hash=_block_hash(data.get("blockhash")),
            outputs=tuple(outputs),
            senders=frozenset(
                sender for row in inputs if (sender := self.pages.canonical(row.get("address"))) is not None
            ),
            fee=fee if fee is not None and fee >= 0 else None,
            transaction=_transaction(txid, data.get("tx_hex")),
        )


def cost_of(raw: Raw, *, own: frozenset[str]) -> Cost | None:
    """Return what the wallet paid by a transaction that it made: whatever is neither change nor fee."""
    if raw.fee is None:
        return None
    change = raw.senders | own
    return Cost(sum((value for address, value, _ in raw.outputs if address not in change), Decimal(0)), raw.fee)


def _block_hash(value: object) -> str | None:
    return value if isinstance(value, str) and answers.looks_like_txid(value) else None


def _value(row: answers.Row, decimals: int) -> Decimal | None:
    value = row.get("value")
    return None if value is None else answers.amount(value, "inputs.value", decimals=decimals)


def _transaction(txid: Txid, raw: object) -> Transaction | None:
    if not isinstance(raw, str):
        return None
    try:
        transaction = parse(raw)
    except ValueError:
        return None
    # The one thing of an answer that proves itself.
    return transaction if transaction.txid == txid else None
