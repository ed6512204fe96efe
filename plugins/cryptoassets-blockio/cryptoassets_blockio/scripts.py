"""Scripts and addresses: what an address pays to, and which address two keys make."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.validate import decode_base58check, decode_segwit, encode_base58check, encode_segwit
from cryptoassets_core.errors import BadAddress

P2SH: Final = "P2SH"
NESTED: Final = "P2WSH-over-P2SH"
WITNESS_V0: Final = "WITNESS_V0"

#: Kinds of addresses that the service prepares transactions from.
KINDS: Final = (P2SH, NESTED, WITNESS_V0)

_OP_0: Final = b"\x00"
_CHECKMULTISIG: Final = b"\xae"


def script_of(address: str, rules: AddressRules) -> bytes:
    """Return the script that an address stands for.

    :param address: in its canonical form.
    :raises BadAddress: it is no address of the network.
    """
    if rules.bech32_hrp is not None and address.startswith(f"{rules.bech32_hrp}1"):
        found = decode_segwit(rules.bech32_hrp, address)
        version = _OP_0 if found.version == 0 else bytes([0x50 + found.version])
        return version + _push(found.program)
    plain = decode_base58check(address)
    if plain.version in rules.p2sh:
        return b"\xa9" + _push(plain.payload) + b"\x87"
    if plain.version in rules.p2pkh:
        return b"\x76\xa9" + _push(plain.payload) + b"\x88\xac"
    raise BadAddress(address, "is an address of another network or coin")


def redeem_script(required: int, public_keys: Sequence[bytes]) -> bytes:
    """Return the script that asks for signatures of several keys."""
    keys = b"".join(_push(key) for key in public_keys)
    return bytes([0x50 + required]) + keys + bytes([0x50 + len(public_keys)]) + _CHECKMULTISIG


def address_of(redeem: bytes, kind: str, rules: AddressRules) -> str:
    """Return the address that pays to a redeem script.

    :param kind: one of :py:data:`KINDS`.
    """
    if kind == WITNESS_V0:
        return encode_segwit(rules.bech32_hrp or "", 0, hashlib.sha256(redeem).digest())
    inner = redeem if kind == P2SH else witness_program(redeem)
    return encode_base58check(rules.p2sh[0], hash160(inner))


def shown_by_input(redeem: bytes, kind: str) -> bytes | None:
    """Return what an input shows outside of the witness; None if signatures belong there, which are not known yet."""
    if kind == P2SH:
        return None
    return _push(witness_program(redeem)) if kind == NESTED else b""


def witness_program(redeem: bytes) -> bytes:
    """Return the output script of P2WSH."""
    return _OP_0 + _push(hashlib.sha256(redeem).digest())


def hash160(data: bytes) -> bytes:
    """Hash as addresses do."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def _push(data: bytes) -> bytes:
    return bytes([len(data)]) + data
