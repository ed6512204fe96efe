"""Names and labels that people give to things."""

from __future__ import annotations

import unicodedata

from cryptoassets_core.errors import InvalidNameError

#: Characters that a name or label may have; the width of its column.
MAX_LENGTH = 255

#: Unicode categories that cannot be stored or would break a line: control characters and lone surrogates.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})


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
