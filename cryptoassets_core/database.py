"""Connections to the database, set up so that the ledger can rely on them."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, NoSuchModuleError

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
        engine = create_engine(parsed, echo=echo, isolation_level=isolation_level)
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
    _refuse_stale_connections(engine)
    return engine


def _refuse_stale_connections(engine: Engine) -> None:
    """Have the pool make new connections in place of those that the server has ended meanwhile.

    A server that waits for us to ask says nothing; what there is to read from an idle connection is its end, or that of
    the server. Looking costs no round trip.
    """

    @event.listens_for(engine, "checkout")
    def _look(driver: Any, record: Any, _pooled: Any) -> None:
        if not record.info.get("was_idle"):
            record.info["was_idle"] = True  # it has just been made
            return
        waiting = select.poll()
        waiting.register(driver.fileno(), select.POLLIN)
        if waiting.poll(0):
            raise InvalidatePoolError


@contextmanager
def lone_statements(engine: Engine) -> Iterator[Any]:
    """Lend the driver's cursor; each of its statements is a transaction of its own, at the server's isolation level.

    For the one statement that must be as cheap as it can be: SQLAlchemy's connection, session and result would cost
    several times what the statement does. psycopg2 tells the server when a connection with an isolation level leaves
    autocommit, at the price of a round trip, but not if the level was taken off before.

    :raises DBAPIError: in place of the driver's errors, as SQLAlchemy would; ``connection_invalidated`` tells that the
        connection was lost, and then nobody knows whether the statement was carried out.
    """
    pooled = engine.raw_connection()
    try:
        driver: Any = pooled.driver_connection
        level, driver.isolation_level = driver.isolation_level, None
        driver.autocommit = True
        try:
            with driver.cursor() as cursor:
                yield cursor
        except engine.dialect.loaded_dbapi.Error as error:
            lost = engine.dialect.is_disconnect(error, driver, None)
            if lost:
                pooled.invalidate(error)
            raise _as_sqlalchemy_error(engine, error, lost=lost) from error
        finally:
            if not driver.closed:
                driver.autocommit = False
                driver.isolation_level = level
    finally:
        pooled.close()


def _as_sqlalchemy_error(engine: Engine, error: Exception, *, lost: bool) -> BaseException:
    return DBAPIError.instance(
        None, None, error, engine.dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=engine.dialect
    )


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
