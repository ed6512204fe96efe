"""Base58Check: a version byte, a payload and a checksum in letters and digits that are hard to mix up.

Source: https://en.bitcoin.it/wiki/Base58Check_encoding and ``src/base58.cpp`` of Bitcoin Core. Written here because the
packaged decoder (base58 2.1) forgives trailing white space and does arithmetic on input of any length.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptoassets_core.coin.redact import hidden, shown
from cryptoassets_core.errors import BadAddress

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

#: Marks a byte that is no digit.
_NO_DIGIT: Final = 0xFF

#: The digit that each byte stands for, for bytes.translate(): the whole text at once, not character by character.
_DIGITS: Final = bytes(ALPHABET.find(chr(byte)) & _NO_DIGIT for byte in range(256))

#: So many digits fit a machine word, and 58 to the power of that: long numbers are slow, so they change seldom.
_CHUNK: Final = 10
_CHUNK_BASE: Final = 58**_CHUNK

#: Decoding takes time that grows with the square of the length; everything that is passed around is shorter than this.
MAX_LENGTH: Final = 112

_CHECKSUM_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Base58Data:
    """What a Base58Check string says."""

    #: First byte: which network and which kind of script.
    version: int
    payload: bytes


def encode_base58check(version: int, payload: bytes) -> str:
    """Write a version byte (0 to 255) and a payload, usually a hash of 20 bytes.

    :raises BadAddress: the version does not fit one byte.
    """
    if not 0 <= version <= 255:
        raise BadAddress(version, "is not a Base58Check version: it must be one byte, 0 to 255")
    data = bytes([version]) + payload
    data += _checksum(data)
    number = int.from_bytes(data, "big")
    characters = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(ALPHABET[digit])
    # Leading zero bytes vanish in the number, so each is written as the digit zero.
    zeros = len(data) - len(data.lstrip(b"\0"))
    return ALPHABET[0] * zeros + "".join(reversed(characters))


def decode_base58check(text: str) -> Base58Data:
    """Read a Base58Check string of at most ``MAX_LENGTH`` characters; nothing is forgiven.

    :raises BadAddress: a character or the checksum is wrong, or it is too long or too short.
    """
    if len(text) > MAX_LENGTH:
        raise BadAddress(hidden(text), f"is too long for Base58Check, which has at most {MAX_LENGTH} characters here")
    # What is not ASCII becomes a byte that is no digit.
    digits = text.encode("ascii", "replace").translate(_DIGITS)
    if _NO_DIGIT in digits:
        raise BadAddress(shown(text), _why_not_base58(text, digits.index(_NO_DIGIT)))
    number = _number(digits)
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    data = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) <= _CHECKSUM_LENGTH:
        raise BadAddress(shown(text), "is too short for an address")
    content, checksum = data[:-_CHECKSUM_LENGTH], data[-_CHECKSUM_LENGTH:]
    if checksum != _checksum(content):
        raise BadAddress(shown(text), "has a wrong checksum: at least one character is not what was meant")
    return Base58Data(version=content[0], payload=content[1:])


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()[:_CHECKSUM_LENGTH]


def _number(digits: bytes) -> int:
    """Return what digits to the base of 58 come to."""
    number = 0
    first = len(digits) % _CHUNK
    for start in range(first - _CHUNK if first else 0, len(digits), _CHUNK):
        part = 0
        for digit in digits[max(start, 0) : start + _CHUNK]:
            part = part * 58 + digit
        number = number * _CHUNK_BASE + part
    return number


def _why_not_base58(text: str, at: int) -> str:
    return (
        f"has {text[at]!a} at position {at + 1}, which no Base58 text has: "
        "its letters and digits leave out 0, I, O and l"
    )
