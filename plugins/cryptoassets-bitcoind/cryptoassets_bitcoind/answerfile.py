"""Where an answer waits to be read: in memory, or in a file as soon as it is long."""

from __future__ import annotations

import tempfile
import weakref
from typing import Final

#: Bytes that are kept in memory.
_IN_MEMORY: Final = 1 << 22


class AnswerFile:
    """Bytes that are written once and read as often as wanted; they are gone when nobody has the object any more."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)

    def write(self, data: bytes) -> int:
        """Add bytes."""
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        """Return so many of the next bytes, by default all; none at the end."""
        return self._file.read(size)

    def seek(self, position: int) -> None:
        """Read from this byte on."""
        self._file.seek(position)
