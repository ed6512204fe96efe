"""The time, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Tells the time, with its zone; an argument wherever a test needs to decide it.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Return seconds that nobody can set back or forward, for durations; they count on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
