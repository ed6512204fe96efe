"""What the service prepared, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.scripts import KINDS, P2SH, redeem_script, shown_by_input
from cryptoassets_blockio.transactions import Transaction
from cryptoassets_core.backend.base import Outpoint, Txid
from cryptoassets_core.errors import BackendError

PAYMENT: Final = "user-specified"
CHANGE: Final = "change"
SERVICE_FEE: Final = "blockio-fee"

#: Limits of a script that asks for several signatures (BIP16), with compressed keys.
_MOST_KEYS: Final = 15
_KEY_BYTES: Final = 33


@dataclass(frozen=True, slots=True)
class Coins:
    """An input: coins of one address."""

    outpoint: Outpoint
    amount: Decimal
    address: str


@dataclass(frozen=True, slots=True)
class Payee:
    """An output."""

    address: str
    amount: Decimal
    category: str


@dataclass(frozen=True, slots=True)
class Origin:
    """An address that coins come from, and the keys that it belongs to."""

    address: str
    kind: str
    required: int
    public_keys: tuple[bytes, ...]

    @property
    def redeem(self) -> bytes:
        """The script that the address stands for."""
        return redeem_script(self.required, self.public_keys)


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction that the service prepared and nobody has signed."""

    network: str
    inputs: tuple[Coins, ...]
    outputs: tuple[Payee, ...]
    origins: Mapping[str, Origin]
    user_key: Mapping[str, object]
    #: The answer itself, which is what gets signed.
    data: answers.Row

    @property
    def public_key(self) -> str:
        """The user's public key, hexadecimal."""
        return answers.hexadecimal(self.user_key.get("public_key"), "user_key.public_key")

    @property
    def cost(self) -> Decimal:
        """What it costs beside payments and change, in whole coins: the network's fee and the service's."""
        return self.network_fee + self.total(SERVICE_FEE)

    @property
    def network_fee(self) -> Decimal:
        """What the network gets, in whole coins."""
        return sum((each.amount for each in self.inputs), Decimal(0)) - sum(
            (each.amount for each in self.outputs), Decimal(0)
        )

    def total(self, category: str) -> Decimal:
        """Add up the outputs of a category, in whole coins."""
        return sum((each.amount for each in self.outputs if each.category == category), Decimal(0))

    def final_txid(self, unsigned: Transaction) -> Txid | None:
        """Return the id under which it will confirm; None if it depends on signatures that the service makes later."""
        shown = [shown_by_input(self.origins[each.address].redeem, self._kind(each)) for each in self.inputs]
        known = tuple(each for each in shown if each is not None)
        return unsigned.with_scripts(known).txid if len(known) == len(shown) else None

    def size(self, unsigned: Transaction) -> int:
        """Estimate its virtual size when all have signed, in bytes; two signatures and two keys are 219 of them."""
        extra = sum(219 if self._kind(each) == P2SH else 55 + 35 for each in self.inputs)
        return len(unsigned.serialise()) + extra

    def _kind(self, coins: Coins) -> str:
        return self.origins[coins.address].kind


def read_draft(data: answers.Row, *, decimals: int) -> Draft:
    """Read the ``data`` of ``prepare_transaction``.

    :raises BackendError: it makes no sense.
    """
    inputs = tuple(
        Coins(
            Outpoint(
                answers.txid(row.get("previous_txid"), "previous_txid"),
                answers.integer(row.get("previous_output_index"), "previous_output_index"),
            ),
            answers.amount(row.get("input_value"), "input_value", decimals=decimals),
            answers.text(row.get("spending_address"), "spending_address"),
        )
        for row in _in_order(data, "inputs", "input_index")
    )
    outputs = tuple(
        Payee(
            answers.text(row.get("receiving_address"), "receiving_address"),
            answers.amount(row.get("output_value"), "output_value", decimals=decimals),
            answers.text(row.get("output_category"), "output_category"),
        )
        for row in _in_order(data, "outputs", "output_index")
    )
    origins = {
        each.address: each for each in map(_origin, answers.mappings(data.get("input_address_data"), "addresses"))
    }
    if not inputs or not outputs or not {each.address for each in inputs} <= origins.keys():
        raise BackendError("block.io prepared a transaction without inputs, outputs or their keys; nothing was sent")
    return Draft(
        network=answers.text(data.get("network"), "network"),
        inputs=inputs,
        outputs=outputs,
        origins=origins,
        user_key=answers.mapping(data.get("user_key"), "user_key"),
        data=data,
    )


def _in_order(data: answers.Row, name: str, index: str) -> list[answers.Row]:
    rows = answers.mappings(data.get(name), name)
    if [row.get(index) for row in rows] != list(range(len(rows))):
        raise BackendError(f"block.io prepared a transaction whose {name} are not in order; nothing was sent")
    return rows


def _origin(row: answers.Row) -> Origin:
    kind = answers.text(row.get("address_type"), "address_type")
    if kind not in KINDS:
        raise BackendError(f"block.io prepared coins of an address of the kind {kind!r:.40}, which is not supported")
    keys = tuple(
        bytes.fromhex(answers.hexadecimal(key, "public_keys"))
        for key in answers.texts(row.get("public_keys"), "public_keys")
    )
    required = answers.integer(row.get("required_signatures"), "required_signatures")
    if not 1 <= required <= len(keys) <= _MOST_KEYS or any(len(key) != _KEY_BYTES for key in keys):
        raise BackendError("block.io prepared coins of an address with impossible keys; nothing was sent")
    return Origin(answers.text(row.get("address"), "input_address_data.address"), kind, required, keys)
