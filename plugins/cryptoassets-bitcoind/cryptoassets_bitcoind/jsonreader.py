"""Reads JSON from a file a value at a time, so that a listing of years takes no more memory than one of today.

Whoever reads says what must come next, and anything else is an error. Libraries for this (ijson) look for what has a
given place and pass over in silence what is not there: a listing without its transactions would be an empty one.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Protocol

#: Characters that are read at once.
_PIECE: Final = 1 << 18

#: Characters that one value may have: far more than a row of any listing, and not a whole one.
MOST_CHARACTERS: Final = 1 << 24

_BLANK: Final = " \t\n\r"


class Readable(Protocol):
    """Bytes that can be read from any place on."""

    def seek(self, position: int, /) -> object:
        """Go to a byte."""

    def read(self, size: int, /) -> bytes:
        """Return so many of the next bytes."""


class JsonReader:
    """A document, from its beginning on; fractions are Decimal."""

    def __init__(self, file: Readable, *, position: int = 0) -> None:
        """Begin.

        :param file: UTF-8; several readers may take turns.
        :param position: byte at which a value begins, see :py:attr:`position`.
        """
        self._file = file
        self._decode_bytes = codecs.getincrementaldecoder("utf-8")().decode
        self._decode_json = json.JSONDecoder(parse_float=Decimal).raw_decode
        self._next_piece = position
        self._text_position = position
        self._text = ""
        self._at = 0

    @property
    def position(self) -> int:
        """The byte up to which the file is read."""
        return self._text_position + len(self._text[: self._at].encode())

    def is_at(self, opening: str) -> bool:
        """Tell whether the next value is a list (``[``) or an object (``{``)."""
        return self._peek() == opening

    def elements(self) -> Iterator[None]:
        """Go through a list: each time, the next value is an element, which must be read before the next turn.

        :raises ValueError: no list comes next.
        """
        self._take("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield
            if not self._goes_on("]"):
                return

    def members(self) -> Iterator[str]:
        """Go through an object, by its keys: each time, the next value is that key's, and must be read.

        :raises ValueError: no object comes next.
        """
        self._take("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise ValueError("a key that is no text")
            self._take(":")
            yield key
            if not self._goes_on("}"):
                return

    def value(self) -> object:
        """Read the next value, whatever it is, as a whole.

        :raises ValueError: it is no JSON, or longer than any row can be.
        """
        while True:
            self._peek()
            try:
                value, end = self._decode_json(self._text, self._at)
            except ValueError:
                # It may only be cut off here.
                if self._read_on():
                    continue
                raise
            # A number that ends where the text does may go on.
            if end == len(self._text) and self._read_on():
                continue
            self._at = end
            return value

    def end(self) -> None:
        """See that nothing follows.

        :raises ValueError: something does.
        """
        if self._peek():
            raise ValueError("something after the end")

    def _goes_on(self, closing: str) -> bool:
        found = self._peek()
        if found not in (",", closing):
            raise ValueError(f"neither a comma nor {closing}")
        self._at += 1
        return found == ","

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            raise ValueError(f"no {wanted} where there should be one")
        self._at += 1

    def _peek(self) -> str:
        """Return the next character that is not blank, an empty text at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def _read_on(self) -> bool:
        """Read more, and forget what is behind us; tell whether there was any."""
        if len(self._text) - self._at > MOST_CHARACTERS:
            raise ValueError("a value that does not end")
        self._file.seek(self._next_piece)
        # As much again as waits: a long value is tried a few times only.
        piece = self._file.read(max(_PIECE, len(self._text) - self._at))
        self._next_piece += len(piece)
        self._text_position = self.position
        self._text = self._text[self._at :] + self._decode_bytes(piece, not piece)
        self._at = 0
        return bool(piece)
