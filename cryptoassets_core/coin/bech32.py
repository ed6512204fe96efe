"""Segwit addresses: bech32 (BIP173) for witness version 0, bech32m (BIP350) for the later ones.

Written here because the packaged decoder (bech32 1.2) knows no bech32m and so accepts what BIP350 forbids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptoassets_core.coin.redact import shown
from cryptoassets_core.errors import BadAddress

#: The alphabet of the data part (BIP173).
CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

#: Marks a byte that is no character of the data part.
_NO_VALUE: Final = 0xFF

#: The value of each byte, for bytes.translate(): the whole text at once instead of character by character.
_VALUES: Final = bytes(CHARSET.find(chr(byte)) & _NO_VALUE for byte in range(256))

#: The digits that int() reads to the base 32 in place of the values, likewise.
_DIGITS_32: Final = b"0123456789abcdefghijklmnopqrstuv"

#: BIP173; within it the checksum finds any four wrong characters.
MAX_LENGTH: Final = 90

_CHECKSUM_LENGTH: Final = 6

#: What the checksum of a right text comes to.
_BECH32: Final = 1
_BECH32M: Final = 0x2BC830A3

#: The five generators of BIP173.
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _combine(bits: int) -> int:
    combined = 0
    for index, generator in enumerate(_GENERATORS):
        if bits >> index & 1:
            combined ^= generator
    return combined


#: The generators that each value of the top five bits selects, combined beforehand: five times faster.
_TABLE: Final = tuple(_combine(bits) for bits in range(32))


@dataclass(frozen=True, slots=True)
class WitnessProgram:
    """What a segwit address says."""

    version: int
    #: A hash or a key: what the version makes of it.
    program: bytes


def encode_segwit(hrp: str, version: int, program: bytes) -> str:
    """Write a segwit address in lower case.

    :param hrp: human-readable part, lower case, ``bc`` for Bitcoin's main network.
    :param version: witness version, 0 to 16.
    :raises BadAddress: no such address exists.
    """
    if not _is_hrp(hrp):
        raise BadAddress(hrp, "is not a human-readable part: it must be visible ASCII characters without capitals")
    _check_program(f"{hrp}1…", version, program)
    values = [version, *_regroup(program, 8, 5)]
    target = _BECH32 if version == 0 else _BECH32M
    remainder = _polymod(_begun(hrp), [*values, 0, 0, 0, 0, 0, 0]) ^ target
    checksum = [remainder >> 5 * (5 - index) & 31 for index in range(_CHECKSUM_LENGTH)]
    text = f"{hrp}1{''.join(CHARSET[value] for value in values + checksum)}"
    if len(text) > MAX_LENGTH:
        raise BadAddress(text, f"is too long: an address has at most {MAX_LENGTH} characters (BIP173)")
    return text


def decode_segwit(hrp: str, text: str) -> WitnessProgram:
    """Read the segwit address of the network that ``hrp`` stands for; all lower or all upper case.

    :raises BadAddress: it breaks a rule of BIP173 or BIP350.
    """
    values, checksum = _decode(hrp, text)
    if not values:
        raise BadAddress(text, f"has nothing between '{hrp}1' and the checksum")
    version = values[0]
    if checksum == (_BECH32M if version == 0 else _BECH32):
        right, wrong = ("bech32", "bech32m") if version == 0 else ("bech32m", "bech32")
        raise BadAddress(text, f"has a {wrong} checksum, but witness version {version} needs {right} (BIP350)")
    if checksum not in (_BECH32, _BECH32M):
        raise BadAddress(text, "has a wrong checksum: at least one character is not what was meant")
    program = _regroup_exactly(text, values[1:])
    _check_program(text, version, program)
    return WitnessProgram(version, program)


def find_hrp(text: str) -> str | None:
    """Return the human-readable part if it is bech32 or bech32m of any network or purpose, else None."""
    hrp, _, data = text.rpartition("1")
    hrp = hrp.lower()
    if len(data) < _CHECKSUM_LENGTH or not _is_hrp(hrp):
        return None
    try:
        return hrp if _decode(hrp, text)[1] in (_BECH32, _BECH32M) else None
    except BadAddress:
        return None


def _decode(hrp: str, text: str) -> tuple[bytes, int]:
    """Return the values between the human-readable part and the checksum, and what the checksum comes to."""
    if len(text) > MAX_LENGTH:
        raise BadAddress(f"{hrp}1…", f"is too long: an address has at most {MAX_LENGTH} characters (BIP173)")
    lower = text.lower()
    if not lower.startswith(f"{hrp}1"):
        raise BadAddress(shown(text), f"does not begin with '{hrp}1'")
    if lower != text and text.upper() != text:
        raise BadAddress(text, "mixes upper and lower case: an address is all in one, best in lower case")
    if not text.isascii():
        # Else the Kelvin sign would pass for a k: it is what str.lower() makes of it.
        raise BadAddress(text, "has characters that are not ASCII; some look just like letters and are none")
    data = lower[len(hrp) + 1 :]
    values = data.encode("ascii").translate(_VALUES)
    if _NO_VALUE in values:
        at = values.index(_NO_VALUE)
        raise BadAddress(
            text, f"has {data[at]!a} at position {len(hrp) + 2 + at}, which no segwit address has after '{hrp}1'"
        )
    if len(values) < _CHECKSUM_LENGTH:
        raise BadAddress(text, "is too short for an address: its checksum is not complete")
    return values[:-_CHECKSUM_LENGTH], _polymod(_begun(hrp), values)


def _is_hrp(hrp: str) -> bool:
    """Tell whether it is visible ASCII and lower case (BIP173)."""
    return hrp != "" and hrp.isascii() and hrp.isprintable() and " " not in hrp and hrp == hrp.lower()


def _check_program(address: str, version: int, program: bytes) -> None:
    """See that the network could pay it at all: BIP141 limits versions and lengths."""
    if not 0 <= version <= 16:
        raise BadAddress(address, f"has witness version {version}; only 0 to 16 exist (BIP141)")
    if not 2 <= len(program) <= 40:
        raise BadAddress(address, f"has a witness program of {len(program)} bytes; 2 to 40 exist (BIP141)")
    if version == 0 and len(program) not in (20, 32):
        raise BadAddress(address, f"has a witness program of {len(program)} bytes; version 0 has 20 or 32 (BIP141)")


@lru_cache(maxsize=64)
def _begun(hrp: str) -> int:
    """Return the remainder after the human-readable part, spread so that its case bits count too (BIP173)."""
    codes = hrp.encode("ascii")
    return _polymod(1, [code >> 5 for code in codes] + [0] + [code & 31 for code in codes])


def _polymod(remainder: int, values: Iterable[int]) -> int:
    for value in values:
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value ^ _TABLE[remainder >> 25]
    return remainder


def _regroup(values: Iterable[int], width: int, new_width: int) -> Iterable[int]:
    """Cut a row of bits into groups of another width, the last one filled up with zeros."""
    number, bits = 0, 0
    for value in values:
        number, bits = number << width | value, bits + width
    number, bits = number << -bits % new_width, bits + -bits % new_width
    return ((number >> shift) & (1 << new_width) - 1 for shift in range(bits - new_width, -1, -new_width))


def _regroup_exactly(text: str, values: bytes) -> bytes:
    """Turn groups of five bits into bytes; what fills up the last group must be short and zero (BIP173)."""
    number = int(values.translate(_DIGITS_32.ljust(256)), 32) if values else 0
    length, padding = divmod(len(values) * 5, 8)
    if padding > 4 or number & (1 << padding) - 1:
        raise BadAddress(text, "does not end in whole bytes: its last characters are not what was meant")
    return (number >> padding).to_bytes(length, "big")
