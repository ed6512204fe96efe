"""Right, wrong and hostile addresses for tests, from the specifications and not by the kernel's own encoders."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from cryptoassets_core.coin.base58 import ALPHABET
from cryptoassets_core.coin.bech32 import CHARSET

#: What the checksum of a text has to come to (BIP173, BIP350).
BECH32: Final = 1
BECH32M: Final = 0x2BC830A3

#: Look-alikes of Latin letters and digits: Cyrillic, full-width, and the Kelvin sign that str.lower() makes a k.
_LOOK_ALIKES: Final = {"a": "\u0430", "c": "\u0441", "e": "\u0435", "p": "\u0440", "k": "\u212a", "K": "\u212a"} | {
    str(digit): chr(0xFF10 + digit) for digit in range(10)
}

#: White space and things that look like nothing.
_INVISIBLE: Final = (" ", "\t", "\n", "\r\n", "\u00a0", "\u200b", "\ufeff", "\u202e", "\0")


def segwit_text(hrp: str, version: int, program: bytes, *, checksum: int) -> str:
    """Write a segwit address without asking whether it may exist (BIP173).

    :param version: witness version, 0 to 31, though only those up to 16 mean anything.
    :param checksum: ``BECH32`` or ``BECH32M``.
    """
    bits = "".join(f"{byte:08b}" for byte in program)
    bits += "0" * (-len(bits) % 5)
    values = [version, *(int(bits[at : at + 5], 2) for at in range(0, len(bits), 5))]
    expanded = [ord(character) >> 5 for character in hrp] + [0] + [ord(character) & 31 for character in hrp]
    remainder = _polymod([*expanded, *values, *[0] * 6]) ^ checksum
    values += [remainder >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{hrp}1{''.join(CHARSET[value] for value in values)}"


def _polymod(values: Sequence[int]) -> int:
    remainder = 1
    for value in values:
        top, remainder = remainder >> 25, (remainder & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            remainder ^= generator if top >> bit & 1 else 0
    return remainder


def hostile_spellings(address: str) -> Iterator[str]:
    """Spell an address as people and attackers do; none of these may be taken for it."""
    for nothing in _INVISIBLE:
        yield nothing + address
        yield address + nothing
        yield address[:5] + nothing + address[5:]
    for letter, look_alike in _LOOK_ALIKES.items():
        if letter in address:
            yield address.replace(letter, look_alike, 1)
    for forbidden in "0OIlb+/":
        if forbidden not in address[-8:]:
            yield address[:-8] + forbidden + address[-7:]
    for at in (len(address) // 2, len(address) - 1):
        alphabet = CHARSET if address[-1] in CHARSET and address[-8:].islower() else ALPHABET
        yield address[:at] + alphabet[(alphabet.find(address[at]) + 1) % len(alphabet)] + address[at + 1 :]
    yield from (address[:-1], address[1:], address + address, f"bitcoin:{address}", address.swapcase(), f"{address}\n")


def random_texts(examples: Sequence[str], *, seed: int) -> Iterator[str]:
    """Make up texts without end: noise, and examples with something wrong. Some may be right by chance.

    :param seed: the same texts for the same seed.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up input, no secret
    makers = (_noise, _replaced, _swapped, _cut, _grown, _spliced)
    while True:
        yield chance.choice(makers)(chance, examples)


def _noise(chance: random.Random, examples: Sequence[str]) -> str:
    alphabet = chance.choice(
        (ALPHABET, CHARSET, "".join(map(chr, range(32, 127))), "\0\n \u00e4\u0430\u200b\U0001f4b8")
    )
    return "".join(chance.choices(alphabet, k=chance.choice((0, 1, 8, 25, 34, 35, 42, 62, 90, 100))))


def _replaced(chance: random.Random, examples: Sequence[str]) -> str:
    text = chance.choice(examples)
    at = chance.randrange(len(text))
    return text[:at] + chance.choice(ALPHABET + CHARSET + " \u0430") + text[at + 1 :]


def _swapped(chance: random.Random, examples: Sequence[str]) -> str:
    text = chance.choice(examples)
    at = chance.randrange(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _cut(chance: random.Random, examples: Sequence[str]) -> str:
    text = chance.choice(examples)
    return text[: chance.randrange(len(text))]


def _grown(chance: random.Random, examples: Sequence[str]) -> str:
    text = chance.choice(examples)
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(ALPHABET + " \n") * chance.choice((1, 1, 2, 60)) + text[at:]


def _spliced(chance: random.Random, examples: Sequence[str]) -> str:
    one, other = chance.choice(examples), chance.choice(examples)
    return one[: len(one) // 2] + other[len(other) // 2 :]
