"""Log lines that nobody can forge: what others say is shown without what breaks a line or steers a terminal."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


def one_line(text: str) -> str:
    """Return a text with everything escaped that is not printable: line ends, terminal commands, reversed writing."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class LineFormatter(logging.Formatter):
    """One line a message, for people; lines of a traceback follow, set in so that none can pass for a message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        """Fill in the format; logging calls this."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Write a traceback; logging calls this."""
        return _set_in(super().formatException(ei))  # type: ignore[arg-type]  # as logging passes it

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Write a stack; logging calls this."""
        return _set_in(super().formatStack(stack_info))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs: ``time``, ``level``, ``logger``, ``thread``, ``message``, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; logging calls this."""
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            facts["stack"] = record.stack_info
        # ASCII, so that every control character is escaped.
        return json.dumps(facts)


def _set_in(text: str) -> str:
    return "\n".join(f"  {one_line(line)}" for line in text.split("\n"))
