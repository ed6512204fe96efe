"""What the keys of an input sign, and how a transaction looks when all have signed.

Written from BIP143 and the rules before it, apart from the official client, whose work it judges.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptoassets_blockio.scripts import NESTED, P2SH, WITNESS_V0, shown_by_input
from cryptoassets_blockio.transactions import Transaction, compact, double_sha256, with_length

_ALL = struct.pack("<I", 1)


@dataclass(frozen=True, slots=True)
class Spent:
    """The coins of an input, as far as signing needs to know them."""

    kind: str
    redeem: bytes
    amount_minor: int


def digest(transaction: Transaction, number: int, spent: Spent) -> bytes:
    """Return what is signed for an input.

    :param transaction: unsigned.
    """
    if spent.kind == P2SH:
        scripts = tuple(spent.redeem if at == number else b"" for at in range(len(transaction.inputs)))
        return double_sha256(transaction.with_scripts(scripts).serialise() + _ALL)
    own = transaction.inputs[number]
    outpoints = [bytes.fromhex(each.txid)[::-1] + struct.pack("<I", each.vout) for each in transaction.outpoints]
    sequences = b"".join(struct.pack("<I", each.sequence) for each in transaction.inputs)
    outputs = b"".join(struct.pack("<q", each.amount_minor) + with_length(each.script) for each in transaction.outputs)
    return double_sha256(
        struct.pack("<i", transaction.version)
        + double_sha256(b"".join(outpoints))
        + double_sha256(sequences)
        + outpoints[number]
        + with_length(spent.redeem)
        + struct.pack("<q", spent.amount_minor)
        + struct.pack("<I", own.sequence)
        + double_sha256(outputs)
        + struct.pack("<I", transaction.locktime)
        + _ALL
    )


@dataclass(frozen=True, slots=True)
class Complete:
    """A transaction that all have signed."""

    transaction: Transaction
    #: With witnesses where there are any, hexadecimal.
    raw: str


def complete(transaction: Transaction, spent: list[Spent], signatures: list[list[bytes]]) -> Complete:
    """Put signatures into their places.

    :param signatures: of each input, in the order of its keys; DER, without the kind of hash.
    """
    scripts, witnesses = [], []
    for each, signed in zip(spent, signatures, strict=True):
        stack = [b"", *(signature + b"\x01" for signature in signed), each.redeem]
        if each.kind == P2SH:
            scripts.append(b"\x00" + b"".join(_push(item) for item in stack[1:]))
            witnesses.append(b"\x00")
        else:
            scripts.append(shown_by_input(each.redeem, each.kind) or b"")
            witnesses.append(compact(len(stack)) + b"".join(with_length(item) for item in stack))
    final = transaction.with_scripts(tuple(scripts))
    plain = final.serialise()
    if not any(each.kind in (NESTED, WITNESS_V0) for each in spent):
        return Complete(final, plain.hex())
    return Complete(final, (plain[:4] + b"\x00\x01" + plain[4:-4] + b"".join(witnesses) + plain[-4:]).hex())


def _push(data: bytes) -> bytes:
    if len(data) <= 75:
        return bytes([len(data)]) + data
    return b"\x4c" + bytes([len(data)]) + data
