"""The file of a simulated chain: an SQLite database that several processes and threads use at once.

Every change is one ``BEGIN IMMEDIATE`` transaction, every answer is read from one snapshot (WAL). A new file is built
aside and linked into place, so that nobody ever opens half a chain and of two makers one wins.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Final
from urllib.parse import quote

from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_simnet.errors import ChainFileError
from cryptoassets_simnet.facts import ChainFacts
from cryptoassets_simnet.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION

#: How long a writer waits for the others; a simulation that is busy longer than this is stuck.
BUSY_SECONDS: Final = 30


class ChainFile:
    """An open chain file; safe to use from several threads, and in a child after a fork."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file that exists.

        :raises ChainFileError: there is none, or it is not a simulated chain.
        """
        self.path = Path(path).absolute()
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()
        self._owner = os.getpid()
        self._inherited: list[LifoQueue[sqlite3.Connection]] = []
        with self.read() as db:
            self.facts = _read_facts(db, self.path)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str], coin: CoinDescription, *, network: Network) -> ChainFile:
        """Open the file, making it first where there is none.

        :raises ChainMismatchError: the file serves another coin or network, or the coin has no such network.
        :raises ChainFileError: the file cannot be made or read.
        """
        facts = ChainFacts(coin, network, secrets.token_hex(16))
        facts.check_network()
        place = Path(path).absolute()
        if not place.exists():
            create_file(place, facts)
        file = cls(place)
        try:
            file.facts.check_same(coin, network, where=str(place))
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Answer questions from one snapshot.

        :raises ChainFileError: the file cannot be used.
        """
        with self._transaction("BEGIN") as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Change the chain; everything or nothing, one writer at a time.

        :raises ChainFileError: the file cannot be used; nothing changed.
        """
        with self._transaction("BEGIN IMMEDIATE") as db:
            yield db

    def close(self) -> None:
        """Close the connections that are not in use; using the object again opens new ones."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            db = self._take()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            db.execute(begin)
            yield db
            db.execute("COMMIT")
        except BaseException as error:
            # Closing rolls back, whatever state the failure left the connection in.
            db.close()
            # DatabaseError itself is "file is not a database"; other subclasses are faults of this program.
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                raise self._unusable(error) from error
            raise
        self._idle.put(db)

    def _take(self) -> sqlite3.Connection:
        if self._owner != os.getpid():
            # SQLite connections must not cross a fork, not even to be closed: the parent's are kept and never touched.
            self._inherited.append(self._idle)
            self._idle, self._owner = LifoQueue(), os.getpid()
        try:
            return self._idle.get_nowait()
        except Empty:
            return _connect(self.path)

    def _unusable(self, error: sqlite3.Error) -> ChainFileError:
        if not self.path.exists():
            return ChainFileError(
                f"there is no simulated chain at {self.path}: name the file that the configuration of the coin names, "
                "or start the application once to make it"
            )
        return ChainFileError(f"the simulated chain {self.path} cannot be used now: {error}")


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: opening must never make an empty file out of a mistyped name.
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    # With WAL a commit survives the end of a process; only a power cut may lose the last moments of a simulation.
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _read_facts(db: sqlite3.Connection, path: Path) -> ChainFacts:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise ChainFileError(f"{path} is not a simulated chain; name a file that does not exist yet, or an older chain")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise ChainFileError(
            f"the simulated chain {path} has format {version} and this version of simnet reads {SCHEMA_VERSION}; "
            "start with a new file"
        )
    (text,) = db.execute("SELECT facts FROM chain").fetchone()
    return ChainFacts.load(text)


def create_file(place: Path, facts: ChainFacts) -> None:
    """Make a chain of one block, unless the file exists by now.

    :raises ChainFileError: it cannot be made there.
    """
    aside = place.with_name(f"{place.name}.{secrets.token_hex(8)}.new")
    try:
        with closing(sqlite3.connect(aside, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
            db.execute("INSERT INTO chain (id, facts) VALUES (1, ?)", (facts.dump(),))
            db.execute("INSERT INTO block (hash, height, active) VALUES (?, 0, 1)", (facts.hash_of(b"genesis"),))
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        # Somebody else's chain may have appeared meanwhile, which is as good as ours.
        with suppress(FileExistsError):
            os.link(aside, place)
    except (sqlite3.Error, OSError) as error:
        raise ChainFileError(
            f"a simulated chain cannot be made at {place}: {error}; name a file in a directory that exists and may be "
            "written to"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
