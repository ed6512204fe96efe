"""Notice that other processes wrote events, without asking the outbox again and again."""

from __future__ import annotations

import logging
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from sqlalchemy import Engine

from cryptoassets_core.event.outbox import CHANNEL

logger = logging.getLogger(__name__)

#: SQLite tells nobody. One number is read this often, from memory that all its processes share.
SQLITE_LOOK_SECONDS: Final = 0.5
#: How long to wait before a lost connection is made anew.
RECONNECT_SECONDS: Final = 2.0


class NewsWatcher(ABC):
    """Calls a function when something may have been written, from a thread of its own."""

    def __init__(self, engine: Engine, tell: Callable[[], None]) -> None:
        self._engine = engine
        self._tell = tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-news", daemon=True)
        #: Whether news would be noticed now.
        self.is_watching = False

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; safe also if it was never started."""
        self._stopping.set()
        self._interrupt()
        if self._thread.is_alive():
            self._thread.join()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        told = False
        while not self._stopping.is_set():
            try:
                with closing(self._connect()) as connection:
                    self.is_watching, told = True, False
                    # What was written while nobody watched.
                    self._tell()
                    self._watch(connection)
            except Exception as error:
                # Drivers differ in what they raise. Meanwhile the dispatcher looks by itself.
                if not told:
                    words = " ".join(str(error).split()) or type(error).__name__
                    logger.warning("news of events are not heard for now: %s", words)
                told = True
            self.is_watching = False
            self._stopping.wait(RECONNECT_SECONDS)

    def _own_connection(self) -> Any:
        """Make a connection, set up like all others, and keep it out of the pool: it is no use to anybody else."""
        borrowed = self._engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        return connection

    @abstractmethod
    def _connect(self) -> Any:
        """Return a connection of the driver's own."""

    @abstractmethod
    def _watch(self, connection: Any) -> None:
        """Tell of news until it is time to stop."""

    def _interrupt(self) -> None:
        """Let :py:meth:`_watch` look whether it is time to stop."""


class PostgresNews(NewsWatcher):
    """Listens to what transactions announce when they commit."""

    def __init__(self, engine: Engine, tell: Callable[[], None]) -> None:
        super().__init__(engine, tell)
        self._wakes, self._waker = os.pipe()

    def stop(self) -> None:
        super().stop()
        for handle in (self._wakes, self._waker):
            os.close(handle)

    def _connect(self) -> Any:
        connection = self._own_connection()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        return connection

    def _watch(self, connection: Any) -> None:
        ready = select.poll()  # select fails in a process with more than 1024 open files
        ready.register(connection.fileno(), select.POLLIN)
        ready.register(self._wakes, select.POLLIN)
        while not self._stopping.is_set():
            ready.poll()
            connection.poll()
            if connection.notifies:
                connection.notifies.clear()
                self._tell()

    def _interrupt(self) -> None:
        os.write(self._waker, b".")


class SqliteNews(NewsWatcher):
    """Watches the number that changes with every commit of another connection."""

    def _connect(self) -> Any:
        return self._own_connection()

    def _watch(self, connection: Any) -> None:
        seen = None
        while not self._stopping.wait(SQLITE_LOOK_SECONDS):
            # Source: sqlite.org, "PRAGMA data_version".
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version != seen:
                seen = version
                self._tell()


def watch_for_news(engine: Engine, tell: Callable[[], None]) -> NewsWatcher | None:
    """Return what notices news in this database, None if nothing can."""
    if engine.dialect.name == "postgresql" and engine.dialect.driver == "psycopg2":
        return PostgresNews(engine, tell)
    if engine.dialect.name == "sqlite" and engine.url.database not in (None, "", ":memory:"):
        return SqliteNews(engine, tell)
    return None
