"""Tells the application when a coin's backend is down for longer than a moment, and when it is up again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.clock import Clock, steady_seconds, utc_now
from cryptoassets_core.event import outbox
from cryptoassets_core.event.events import NewEvent, backend_down, backend_up
from cryptoassets_core.utils.conflictresolver import ConflictResolver

#: A node that restarts, or a line that fails for a moment, is no news.
OUTAGE_SECONDS: Final = 60.0


class OutageReporter:
    """Writes one event when an outage has lasted for a while, and one when it is over.

    What was told stands in the outbox, so that another daemon, or this one after a restart, does not tell it again.
    """

    def __init__(
        self,
        conflict_resolver: ConflictResolver,
        coin_name: str,
        *,
        steady_clock: Callable[[], float] = steady_seconds,
        clock: Clock = utc_now,
    ) -> None:
        self._resolver = conflict_resolver
        self._coin_name = coin_name
        self._steady_clock = steady_clock
        self._clock = clock
        self._noticed: tuple[float, datetime] | None = None
        #: Whether the last thing told is that the backend is down; None while that is not known.
        self._told_down: bool | None = None

    def is_down(self, reason: str) -> bool:
        """Note that the backend does not do what it is asked; returns whether an event was written."""
        if self._noticed is None:
            self._noticed = self._steady_clock(), self._clock()
        began, since = self._noticed
        if self._told_down or self._steady_clock() - began < OUTAGE_SECONDS:
            return False
        return self._tell(backend_down(coin_name=self._coin_name, since=since, reason=reason))

    def is_up(self) -> bool:
        """Note that the backend works; returns whether an event was written."""
        self._noticed = None
        if self._told_down is False:
            return False
        return self._tell(backend_up(coin_name=self._coin_name, at=self._clock()))

    def forget(self) -> None:
        """Another daemon tells from now on."""
        self._noticed = self._told_down = None

    def _tell(self, event: NewEvent) -> bool:
        goes_down = event.name == backend_down.__name__

        def work(session: Session) -> bool:
            table = outbox.event_table
            last = session.scalar(
                select(table.c.name).where(table.c.subject == event.subject).order_by(table.c.id.desc()).limit(1)
            )
            if (last == backend_down.__name__) is goes_down:
                return False
            outbox.record(session, [event])
            return True

        written = self._resolver.run(work)
        self._told_down = goes_down
        return written
