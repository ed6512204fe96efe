"""Reading a daemon's answers: every value is of the type it must have, or the answer is refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from cryptoassets_core.amounts import from_minor_units, to_minor_units
from cryptoassets_core.backend.base import MOST_CONFIRMATIONS, BlockHash, Txid
from cryptoassets_core.errors import BackendError, InvalidAmountError
from cryptoassets_core.names import MAX_LENGTH

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")


def wrong(value: object, where: str, expected: str) -> BackendError:
    """Say what stands in the place of something else."""
    return BackendError(f"the daemon's answer makes no sense: {where} should be {expected}, not {type(value).__name__}")


def mapping(value: object, where: str) -> Mapping[str, object]:
    """Let through a JSON object."""
    if not isinstance(value, dict):
        raise wrong(value, where, "an object")
    return value


def mappings(value: object, where: str) -> Iterable[Mapping[str, object]]:
    """Let through a JSON list of objects."""
    if not isinstance(value, list):
        raise wrong(value, where, "a list")
    return [mapping(item, where) for item in value]


def text(value: object, where: str) -> str:
    """Let through a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise wrong(value, where, "a text")
    return value


def address(value: object, where: str) -> str:
    """Let through what an address may look like: its own coin's rules are not known here."""
    found = text(value, where)
    if not found.isascii() or not found.isprintable() or len(found) > MAX_LENGTH:
        raise wrong(value, where, "an address")
    return found


def integer(value: object, where: str) -> int:
    """Let through a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(value, where, "a whole number")
    return value


def confirmations(value: object, where: str) -> int:
    """Let through a number of blocks, negative in conflict; more than there can be is no number of blocks."""
    blocks = integer(value, where)
    if abs(blocks) > MOST_CONFIRMATIONS:
        raise wrong(value, where, "a number of blocks")
    return blocks


def hexadecimal(value: object, where: str) -> str:
    """Let through bytes in lowercase hexadecimal."""
    if not isinstance(value, str) or not _HEX.match(value):
        raise wrong(value, where, "hexadecimal")
    return value


def looks_like_hash(value: str) -> bool:
    """Tell whether the text may be a transaction id or a block hash."""
    return _HASH.match(value) is not None


def txid(value: object, where: str) -> Txid:
    """Let through a transaction id."""
    if not isinstance(value, str) or not looks_like_hash(value):
        raise wrong(value, where, "a transaction id")
    return Txid(value)


def block_hash(value: object, where: str) -> BlockHash:
    """Let through a block hash."""
    if not isinstance(value, str) or not looks_like_hash(value):
        raise wrong(value, where, "a block hash")
    return BlockHash(value)


def amount(value: object, where: str, *, decimals: int) -> Decimal:
    """Let through whole coins of either sign, exactly; daemons write round ones as integers."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise wrong(value, where, "an amount")
    try:
        return from_minor_units(to_minor_units(value, decimals), decimals)
    except InvalidAmountError as error:
        raise BackendError(f"the daemon's answer makes no sense in {where}: {error}") from None
