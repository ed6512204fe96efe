"""Reading the service's answers: every value is of the type it must have, or the answer is refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from cryptoassets_core.amounts import from_minor_units, to_minor_units
from cryptoassets_core.backend.base import MOST_CONFIRMATIONS, Txid
from cryptoassets_core.errors import BackendError, InvalidAmountError

Row = Mapping[str, object]

_TXID: Final = re.compile(r"[0-9a-f]{64}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
#: How the service writes amounts; anything else would be read as something else by somebody.
_AMOUNT: Final = re.compile(r"[0-9]{1,16}(\.[0-9]{1,8})?")


def _wrong(value: object, where: str, expected: str) -> BackendError:
    return BackendError(f"block.io's answer makes no sense: {where} should be {expected}, not {type(value).__name__}")


def mapping(value: object, where: str) -> Row:
    """Let through a JSON object."""
    if not isinstance(value, dict):
        raise _wrong(value, where, "an object")
    return value


def mappings(value: object, where: str) -> list[Row]:
    """Let through a JSON list of objects."""
    if not isinstance(value, list):
        raise _wrong(value, where, "a list")
    return [mapping(item, where) for item in value]


def text(value: object, where: str) -> str:
    """Let through a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise _wrong(value, where, "a text")
    return value


def texts(value: object, where: str) -> Sequence[str]:
    """Let through a list of strings."""
    if not isinstance(value, list):
        raise _wrong(value, where, "a list")
    return [text(item, where) for item in value]


def integer(value: object, where: str) -> int:
    """Let through a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(value, where, "a whole number")
    return value


def confirmations(value: object, where: str) -> int:
    """Let through a number of blocks, negative in conflict; more than there can be is no number of blocks."""
    blocks = integer(value, where)
    if abs(blocks) > MOST_CONFIRMATIONS:
        raise _wrong(value, where, "a number of blocks")
    return blocks


def hexadecimal(value: object, where: str) -> str:
    """Let through bytes in lowercase hexadecimal."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _wrong(value, where, "hexadecimal")
    return value


def looks_like_txid(value: object) -> bool:
    """Tell whether it may be a transaction id."""
    return isinstance(value, str) and _TXID.fullmatch(value) is not None


def txid(value: object, where: str) -> Txid:
    """Let through a transaction id."""
    if not isinstance(value, str) or not looks_like_txid(value):
        raise _wrong(value, where, "a transaction id")
    return Txid(value)


def amount(value: object, where: str, *, decimals: int) -> Decimal:
    """Let through whole coins written as text, exactly: never negative, never rounded."""
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise _wrong(value, where, "an amount in text")
    try:
        return from_minor_units(to_minor_units(Decimal(value), decimals), decimals)
    except InvalidAmountError as error:
        raise BackendError(f"block.io's answer makes no sense in {where}: {error}") from None
