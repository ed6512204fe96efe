"""The time, in one place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: Tells the time, with its zone; an argument wherever a test needs to decide it.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)
