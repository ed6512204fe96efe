"""For tests: threads that go on when what they worked for has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Final

#: How long threads may take to end.
PATIENCE_SECONDS: Final = 5.0


def check_dangling_threads(
    before: Collection[threading.Thread] = (), *, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """See that threads end, and wait for them a little.

    :param before: those that may go on, such as ``threading.enumerate()`` was before; the calling one may in any case.
    :raises AssertionError: names those that do not end.
    """
    until = time.monotonic() + patience_seconds
    allowed = {*before, threading.current_thread(), threading.main_thread()}
    for thread in set(threading.enumerate()) - allowed:
        thread.join(max(0.0, until - time.monotonic()))
    dangling = sorted(thread.name for thread in set(threading.enumerate()) - allowed)
    if dangling:
        raise AssertionError(f"these threads did not end: {', '.join(dangling)}")
