"""Which of several daemons works: for each coin, and for the delivery of events, exactly one leads.

A leader may work until its lease ends, by its own steady clock, and renews it long before. One that is cut off from
the database stops by itself, before anybody else may take over. Another daemon takes over when it has seen no renewal
for longer than a lease lasts; at once where the leader gave its lease back, or was a process of the same machine and
is gone.

What a daemon is in the middle of when it loses a lease is still kept apart by locks and marks in the database:
leadership decides who begins.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core import lease
from cryptoassets_core.clock import steady_seconds, utc_now
from cryptoassets_core.database import cause
from cryptoassets_core.errors import CannotResolveDatabaseConflict
from cryptoassets_core.lease import Holder, Lease
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_core.utils.processes import is_gone, own_process

logger = logging.getLogger(__name__)

R = TypeVar("R")

#: How often leases are renewed, and looked at.
BEAT_SECONDS: Final = 2.0
#: A leader works for so long after the beginning of its last renewal,
LEADING_SECONDS: Final = 6.0
#: and another one takes over after so long without any. Both clocks may run a little apart.
LAPSED_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads in one thing."""

    #: A coin's acronym, or ``event delivery``.
    name: str
    #: Whether it is this daemon.
    ours: bool
    #: Machine and process of the leader, None while nobody leads or it is not known.
    place: str | None
    since: datetime | None


class Leadership:
    """Holds and renews the leases of one daemon, in a thread of its own."""

    def __init__(
        self,
        conflict_resolver: ConflictResolver,
        names: Iterable[str],
        *,
        on_gain: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        """
        :param names: what it wants to lead in.
        :param on_gain: called with the name when this daemon begins to lead.
        :param clock: tells seconds and is never set.
        """
        self.holder = Holder(str(uuid.uuid4()), f"{socket.gethostname()}, process {os.getpid()}", own_process())
        self._resolver = conflict_resolver
        self._names = tuple(names)
        self._on_gain = on_gain
        self._clock = clock
        #: Until when this daemon leads, by name.
        self._until: dict[str, float] = {}
        #: What was seen last, by name, and since when it has not changed.
        self._seen: dict[str, tuple[Lease, float]] = {}
        self._offered = False
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)

    def leads(self, name: str) -> bool:
        """Tell whether this daemon may begin work of that name now."""
        return self._clock() < self._until.get(name, 0.0)

    def report(self) -> list[Leader]:
        """Return who leads, in the order of the names."""
        return [self._leader(name) for name in self._names]

    def problem(self) -> str | None:
        """Tell what keeps leases from being renewed, None if nothing does."""
        return self._trouble

    def start(self) -> None:
        """Take what is free, and begin to renew and to watch."""
        self._attempt()
        self._thread.start()

    def stop(self) -> None:
        """Let go of everything at once; call it when all work has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._until = {}
        try:
            self._run_in_database(lambda session: lease.give_back(session, self.holder))
        except (DBAPIError, CannotResolveDatabaseConflict) as error:
            logger.warning("leases could not be given back, others take over when they lapse: %s", _words(error))

    def is_alive(self) -> bool:
        """Tell whether leases are renewed and watched."""
        return self._thread.is_alive()

    def take_turns(self) -> None:
        """Renew what we hold, and take over what nobody holds any more."""
        if not self._offered:
            for name in self._names:
                self._run_in_database(partial(lease.offer, name=name))
            self._offered = True
        began = self._clock()
        held = self._run_in_database(lambda session: lease.beat(session, self.holder))
        for name in set(self._until) - held:
            logger.warning("%s: another daemon leads now", name)
        lapsed = [name for name in held if not self.leads(name)]
        self._until = dict.fromkeys(held, began + LEADING_SECONDS)
        for name in lapsed:
            logger.info("%s: this daemon leads again", name)
            self._on_gain(name)
        for found in self._run_in_database(lambda session: lease.look(session, self._names)):
            if self._has_lapsed(found):
                self._take(found)

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            self._attempt()

    def _attempt(self) -> None:
        """Take turns; without the database our leases end by themselves."""
        try:
            self.take_turns()
        except (DBAPIError, CannotResolveDatabaseConflict) as error:
            if self._trouble is None:
                logger.warning("leases cannot be renewed: %s", _words(error))
            self._trouble = _words(error)
        else:
            if self._trouble is not None:
                logger.info("leases can be renewed again")
            self._trouble = None

    def _has_lapsed(self, found: Lease) -> bool:
        now = self._clock()
        before, since = self._seen.get(found.name, (None, now))
        if before is None or (before.holder, before.beat) != (found.holder, found.beat):
            since = now
        self._seen[found.name] = (found, since)
        if found.holder is None:
            return True
        if found.holder.id == self.holder.id:
            return False
        gone = found.holder.process is not None and is_gone(found.holder.process)
        return gone or now - since >= LAPSED_SECONDS

    def _take(self, found: Lease) -> None:
        began = self._clock()
        if not self._run_in_database(lambda session: lease.take(session, found, self.holder, now=utc_now())):
            return
        if found.holder is not None:
            logger.warning("%s: this daemon takes over from %s", found.name, found.holder.place)
        else:
            logger.info("%s: this daemon leads", found.name)
        self._seen[found.name] = (Lease(found.name, self.holder, found.beat + 1, utc_now()), began)
        self._until = {**self._until, found.name: began + LEADING_SECONDS}
        self._on_gain(found.name)

    def _leader(self, name: str) -> Leader:
        seen, _ = self._seen.get(name, (None, None))
        if seen is None or seen.holder is None:
            return Leader(name, self.leads(name), None, None)
        return Leader(name, self.leads(name), seen.holder.place, seen.taken_at)

    def _run_in_database(self, work: Callable[[Session], R]) -> R:
        return self._resolver.run(work, isolation_level=lease.ISOLATION_LEVEL)


def _words(error: Exception) -> str:
    return f"the database refused: {cause(error)}" if isinstance(error, DBAPIError) else str(error)
