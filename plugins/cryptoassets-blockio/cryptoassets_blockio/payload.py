"""What is stored of a signed transaction: all that submitting it needs, and all that finding it again needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptoassets_blockio.transactions import Transaction, parse
from cryptoassets_core.amounts import format_amount
from cryptoassets_core.errors import BackendError

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Payload:
    """A transaction with our signatures, which the service completes with its own and publishes."""

    network: str
    #: What ``submit_transaction`` takes.
    transaction_data: dict[str, Any]
    #: When it was prepared, in seconds since 1970.
    prepared_at: int
    #: Whole coins that it pays, change and fees apart.
    sent: Decimal

    @property
    def unsigned(self) -> Transaction:
        """The transaction without anybody's signatures."""
        return parse(self.transaction_data["tx_hex"])

    def dump(self) -> str:
        """Write it, hexadecimal."""
        facts = {
            "format": _FORMAT,
            "network": self.network,
            "prepared_at": self.prepared_at,
            "sent": format_amount(self.sent),
            "transaction_data": self.transaction_data,
        }
        return json.dumps(facts, separators=(",", ":")).encode().hex()


def load_payload(raw: str) -> Payload:
    """Read what :py:meth:`Payload.dump` wrote.

    :raises BackendError: it is something else, such as a transaction of another backend.
    """
    try:
        facts = json.loads(bytes.fromhex(raw))
        if facts["format"] != _FORMAT:
            raise ValueError
        payload = Payload(facts["network"], facts["transaction_data"], facts["prepared_at"], Decimal(facts["sent"]))
        _ = payload.unsigned
    except (ValueError, KeyError, TypeError, InvalidOperation):
        raise BackendError(
            "the stored transaction was not made by this version of the block.io backend; "
            "let the backend that made it finish its broadcasts first"
        ) from None
    return payload
