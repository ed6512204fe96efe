"""Ways in which the stand-in misbehaves when it is told to."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from enum import StrEnum


class Fault(StrEnum):
    """What becomes of a call."""

    #: The connection closes; nothing was done.
    DROP_BEFORE = "drop-before"
    #: It was done, and the connection closes in place of an answer.
    DROP_AFTER = "drop-after"
    #: No answer until the client goes away; nothing was done.
    STALL_BEFORE = "stall-before"
    #: It was done, and no answer comes until the client goes away.
    STALL_AFTER = "stall-after"
    #: The answer comes byte by byte.
    DRIP = "drip"
    #: The answer comes after a while.
    SLOW = "slow"
    NOT_FOUND = "404"
    THROTTLED_419 = "419"
    THROTTLED_429 = "429"
    SERVER_ERROR = "500"
    #: An error page with HTTP status 502.
    HTML = "html"
    #: An error page with HTTP status 200.
    HTML_OK = "html-200"
    #: Bytes that are no JSON.
    WRONG_JSON = "wrong-json"
    #: JSON that is no object.
    JSON_LIST = "json-list"
    #: ``{"status": "error"}`` with HTTP status 200.
    STATUS_ERROR = "status-error"
    #: ``{"status": "fail"}`` without a reason.
    BARE_FAIL = "bare-fail"
    #: A redirect to another host.
    REDIRECT = "redirect"


class Faults:
    """Which call meets what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: What every call meets, whatever is armed.
        self.always: Fault | None = None
        self._armed: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def arm(self, method: str, fault: Fault | str, count: int = 1) -> None:
        """Let the next calls of a method meet a fault."""
        with self._lock:
            self._armed[method].extend([Fault(fault)] * count)

    def strike(self, method: str) -> Fault | None:
        """See what a call meets, and use it up."""
        with self._lock:
            if self.always is not None:
                return self.always
            waiting = self._armed[method]
            return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self.always = None
            self._armed.clear()
