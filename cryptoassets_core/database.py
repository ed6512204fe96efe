"""Connections to the database, set up so that the ledger can rely on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from cryptoassets_core.errors import ConfigurationError

#: Execution option of connections that never write.
READ_ONLY = "cryptoassets_read_only"

#: How long SQLite waits for another writer before it reports a conflict.
SQLITE_BUSY_SECONDS = 30


def connect(url: str, *, echo: bool = False, isolation_level: str = "SERIALIZABLE") -> Engine:
    """Make the engine for a SQLAlchemy URL.

    :raises ConfigurationError: the URL is malformed, or its driver is not installed.
    """
    parsed = _parse(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(parsed, echo=echo)
        return create_engine(parsed, echo=echo, isolation_level=isolation_level)
    except NoSuchModuleError:
        raise ConfigurationError(
            f"database.url: there is no database {parsed.drivername!r}; use postgresql://… or sqlite:///…"
        ) from None
    except ModuleNotFoundError as error:
        remedy = (
            "pip install 'cryptoassets-core[postgresql]'" if "psycopg2" in str(error) else f"pip install {error.name}"
        )
        raise ConfigurationError(f"database.url: the driver {error.name} is not installed; {remedy}") from None
    except (ArgumentError, TypeError):
        raise ConfigurationError(
            f"database.url: {parsed.drivername} cannot be used like this; check the options behind the ? of the URL"
        ) from None


def shown(engine: Engine) -> str:
    """Return the engine's URL without its password and without its query, which may hold another one."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def cause(error: DBAPIError) -> str:
    """Return the first line of what the driver said: SQLAlchemy's own text repeats the statement and its values."""
    said = str(error.orig).strip()
    return said.splitlines()[0] if said else type(error.orig).__name__


@contextmanager
def opening(engine: Engine) -> Iterator[None]:
    """Tell in one sentence why the database cannot be opened or set up.

    :raises ConfigurationError: in place of the driver's error.
    """
    try:
        yield
    except DBAPIError as error:
        raise ConfigurationError(
            f"database.url: the database {shown(engine)} cannot be used: {cause(error)}; "
            "see that it exists, that its server runs and that the URL is right"
        ) from None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "database.url: not a database URL; write for example postgresql://user@localhost/name or sqlite:///file"
        ) from None
    if parsed.host is not None and "@" in parsed.host:
        # The rest of a password would be taken for the host, and the driver would name it in its errors.
        raise ConfigurationError("database.url: there are two @ in the URL; write an @ of a password as %40")
    if parsed.drivername == "postgresql":
        # SQLAlchemy 2.1 would take psycopg 3, which is not what we install.
        return parsed.set(drivername="postgresql+psycopg2")
    return parsed


def _sqlite_engine(url: URL, *, echo: bool) -> Engine:
    """SQLite that keeps writers apart.

    By itself the driver begins transactions late and lets two of them read before either writes. BEGIN IMMEDIATE takes
    the write lock first, so that whoever has begun can finish; readers go on beside it (WAL).
    """
    engine = create_engine(url, echo=echo, connect_args={"timeout": SQLITE_BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions of its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Without it REPLACE deletes rows past the triggers that forbid it. Source: sqlite.org, "ON CONFLICT".
        connection.execute("PRAGMA recursive_triggers = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql(f"PRAGMA query_only = {int(read_only)}")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
