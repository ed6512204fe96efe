"""Network transactions as bytes: what is in them, and under which id the network will know them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from cryptoassets_core.backend.base import Outpoint, Txid


@dataclass(frozen=True, slots=True)
class Input:
    """What an input spends, and what it shows for it outside of the witness."""

    outpoint: Outpoint
    script: bytes = b""
    sequence: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Output:
    """What a script gets, in minor units."""

    amount_minor: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A network transaction without its witnesses, which are no part of its id."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    version: int = 1
    locktime: int = 0

    @property
    def outpoints(self) -> tuple[Outpoint, ...]:
        """What it spends, in order."""
        return tuple(each.outpoint for each in self.inputs)

    @property
    def txid(self) -> Txid:
        """Its id as it stands; it changes when scripts of inputs are filled in."""
        return Txid(double_sha256(self.serialise())[::-1].hex())

    def with_scripts(self, scripts: tuple[bytes, ...]) -> Transaction:
        """Return it with what its inputs show, in their order."""
        inputs = tuple(replace(each, script=script) for each, script in zip(self.inputs, scripts, strict=True))
        return replace(self, inputs=inputs)

    def serialise(self) -> bytes:
        """Write it as the network does, without witnesses."""
        parts = [struct.pack("<i", self.version), compact(len(self.inputs))]
        for each in self.inputs:
            parts += [
                bytes.fromhex(each.outpoint.txid)[::-1],
                struct.pack("<I", each.outpoint.vout),
                with_length(each.script),
                struct.pack("<I", each.sequence),
            ]
        parts.append(compact(len(self.outputs)))
        for output in self.outputs:
            parts += [struct.pack("<q", output.amount_minor), with_length(output.script)]
        return b"".join([*parts, struct.pack("<I", self.locktime)])


def parse(raw: str) -> Transaction:
    """Read a transaction, with witnesses or without.

    :param raw: hexadecimal.
    :raises ValueError: it is none.
    """
    reader = _Reader(bytes.fromhex(raw))
    version = reader.integer("<i")
    has_witness = reader.peek(2) == b"\x00\x01"
    if has_witness:
        reader.take(2)
    inputs = tuple(reader.input() for _ in range(reader.compact()))
    outputs = tuple(reader.output() for _ in range(reader.compact()))
    if has_witness:
        for _ in inputs:
            for _ in range(reader.compact()):
                reader.take(reader.compact())
    locktime = reader.integer("<I")
    if reader.peek(1) or not inputs:
        raise ValueError("these bytes are no transaction")
    return Transaction(inputs, outputs, version, locktime)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def peek(self, length: int) -> bytes:
        return self._data[self._at : self._at + length]

    def take(self, length: int) -> bytes:
        taken = self.peek(length)
        if len(taken) < length:
            raise ValueError("these bytes end in the middle of a transaction")
        self._at += length
        return taken

    def integer(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def compact(self) -> int:
        first = self.take(1)[0]
        return first if first < 0xFD else self.integer({0xFD: "<H", 0xFE: "<I", 0xFF: "<Q"}[first])

    def input(self) -> Input:
        txid = Txid(self.take(32)[::-1].hex())
        vout = self.integer("<I")
        return Input(Outpoint(txid, vout), self.take(self.compact()), self.integer("<I"))

    def output(self) -> Output:
        amount_minor = self.integer("<q")
        return Output(amount_minor, self.take(self.compact()))


def compact(number: int) -> bytes:
    """Write a length as the network does."""
    if number < 0xFD:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfd" + struct.pack("<H", number)
    return b"\xfe" + struct.pack("<I", number)


def with_length(data: bytes) -> bytes:
    """Write bytes with their length before them."""
    return compact(len(data)) + data


def double_sha256(data: bytes) -> bytes:
    """Hash as the network does."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
