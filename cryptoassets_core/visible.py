"""Texts of strangers, made fit to be shown: bounded, on one line, and without characters that steer a screen."""

from __future__ import annotations

import unicodedata
from typing import Final

#: As much of a text as is shown where nobody asked for all of it.
SHOWN_CHARACTERS: Final = 200

#: Control characters, marks that turn the direction of writing, lone surrogates, line and paragraph separators.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: Joiners, without which some scripts and emoji cannot be written.
_NEEDED: Final = frozenset("\u200c\u200d")


def visible(value: str, *, limit: int = SHOWN_CHARACTERS) -> str:
    """Return a text as it may be shown: what would steer a terminal or a page is written as an escape.

    :param limit: characters of the text that are kept; an ellipsis tells that there were more.
    """
    kept = value if len(value) <= limit else f"{value[:limit]}…"
    return "".join(map(_visible, kept)) if not kept.isascii() or not kept.isprintable() else kept


def _visible(character: str) -> str:
    if unicodedata.category(character) in _STEERING and character not in _NEEDED:
        return ascii(character)[1:-1]
    return character
