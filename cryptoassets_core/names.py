"""Names and labels that people give to things, the numbers that rows have, and the hashes of transactions."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cryptoassets_core.errors import InvalidNameError, UnknownRowError

#: Characters that a name or label may have; the width of its column.
MAX_LENGTH = 255

#: Unicode categories that cannot be stored or would break a line: control characters, lone surrogates, separators of
#: lines and paragraphs.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})

_TXID: Final = re.compile(r"[0-9a-f]{64}")

#: The largest running number that a database counts to.
MAX_ID = 2**63 - 1


def check_name(value: str, what: str) -> str:
    """Let through a name or label that can be stored, logged and shown on one line.

    :param what: what is named, for the message.
    :raises InvalidNameError: not a string, blank, too long, or with control characters.
    """
    if not isinstance(value, str):
        raise InvalidNameError(f"{what} must be a string, not {type(value).__name__}")
    if len(value) > MAX_LENGTH:
        raise InvalidNameError(f"{what} has {len(value)} characters, at most {MAX_LENGTH} are possible")
    if not value.strip():
        raise InvalidNameError(f"{what} must not be blank")
    for position, character in enumerate(value):
        if unicodedata.category(character) in _REFUSED_CATEGORIES:
            raise InvalidNameError(f"{what} has the control character {character!r} at position {position}")
    return value


def check_label(label: str | None) -> str | None:
    """Let through a transaction's label, which may be left out; see :py:func:`check_name`."""
    return None if label is None else check_name(label, "a transaction's label")


def check_id(value: object, what: str) -> int:
    """Let through a row's number that the database can look up.

    :param what: what is numbered, for the message.
    :raises UnknownRowError: it can be no row's number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnknownRowError(f"{what} is named by a number, not by {type(value).__name__}")
    if not 0 < value <= MAX_ID:
        shown = value if abs(value) <= 2 * MAX_ID else "of so many digits"
        raise UnknownRowError(f"there is no {what} {shown}; numbers go from 1 to {MAX_ID}")
    return value


def is_txid(value: object) -> bool:
    """Tell whether it is written as the hash of a network transaction."""
    return isinstance(value, str) and _TXID.fullmatch(value) is not None


def check_txid(value: str) -> str:
    """Let through the hash of a network transaction in its one spelling: in two, one payment would count twice.

    :raises InvalidNameError: it is written otherwise.
    """
    if not is_txid(value):
        raise InvalidNameError("a txid is 64 lowercase hexadecimal digits, as block explorers write it")
    return value
