"""A PostgreSQL server of our own for tests and benchmarks, gone when the process is.

The problem is the end: a test process may be killed at any moment, and no server and no directory may stay behind. So
a small shell, the keeper, reads from a pipe that we hold open. When we write to it, or it closes because we died, the
keeper stops the server and removes its directory.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import sqlalchemy as sa

from cryptoassets_core.errors import CryptoAssetsError

#: Stops the server whether or not it ever started, and leaves nothing. Arguments: pg_ctl, cluster, directory.
_KEEPER: Final = 'read -r _line; "$1" stop --pgdata="$2" --mode=immediate --silent; rm -rf "$3"'

_INITDB_OPTIONS: Final = ("--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")

#: What a throw-away server may lose in a power cut, and be faster for it.
_NOT_DURABLE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresServerError(CryptoAssetsError):
    """The temporary server's programs are missing or failed."""


class PostgresServer:
    """A temporary cluster that listens on a socket in its own directory, so it never meets another server.

    :ivar directory: where it keeps everything; exists while the server is started.
    """

    def __init__(self, *, durable: bool = False) -> None:
        """Choose the settings; nothing runs before :py:meth:`start` or ``with``.

        :param durable: keep PostgreSQL's promise to survive a power cut; slower, and what a benchmark must measure.
        """
        self._settings: tuple[str, ...] = () if durable else _NOT_DURABLE
        self._user = _User.for_server()
        self._names = (f"test_{number}" for number in count(1))
        self._keeper: subprocess.Popen[bytes] | None = None
        self.directory = Path()

    def start(self) -> None:
        """Create the cluster and start it; returns when it answers.

        :raises PostgresServerError: a program is missing or failed, with what it said.
        """
        initdb, pg_ctl = _find("initdb"), _find("pg_ctl")
        self.directory = Path(tempfile.mkdtemp(prefix="cryptoassets-pg-"))
        self._user.take_over(self.directory)
        cluster = self.directory / "data"
        # Before the server, so that there is no moment without a keeper.
        self._keeper = self._user.popen(["sh", "-c", _KEEPER, "keeper", pg_ctl, str(cluster), str(self.directory)])
        try:
            self._run([initdb, f"--pgdata={cluster}", *_INITDB_OPTIONS])
            self._run([pg_ctl, "start", "--wait", f"--pgdata={cluster}", f"--log={self._log}", *self._start_options()])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its directory; safe to call twice."""
        if self._keeper is not None:
            # A line and not only the end of file: a forked child may hold the pipe open too.
            self._keeper.communicate(b"\n")
            self._keeper = None

    def restart(self, *, kill: bool = False) -> None:
        """Restart the server, which cuts off whoever is connected; what was committed stays.

        :param kill: do not let it end in order: as after a crash, it recovers from its log.
        """
        mode = "immediate" if kill else "fast"
        self._run(
            [
                *(_find("pg_ctl"), "restart", "--wait", f"--mode={mode}", f"--pgdata={self.directory / 'data'}"),
                *(f"--log={self._log}", *self._start_options()),
            ]
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def create_database(self, *, copy_of: str | None = None) -> str:
        """Create a database, which takes some hundredths of a second.

        :param copy_of: URL of the database to copy, to which nobody is connected; an empty database when None.
        :returns: URL of the new database for SQLAlchemy.
        """
        name = next(self._names)
        template = "template1" if copy_of is None else sa.make_url(copy_of).database
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, cutting off whoever is still connected."""
        self._execute(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")

    @contextmanager
    def database(self, *, copy_of: str | None = None) -> Iterator[str]:
        """Lend a database as :py:meth:`create_database` makes it; it is dropped afterwards."""
        url = self.create_database(copy_of=copy_of)
        try:
            yield url
        finally:
            self.drop_database(url)

    def _execute(self, statement: str) -> None:
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(statement))

    def _url(self, database: str) -> str:
        # The port is only part of the socket's name; it is said so that PGPORT in the environment changes nothing.
        query = {"host": str(self.directory), "port": "5432"}
        url = sa.URL.create("postgresql+psycopg2", username="postgres", database=database, query=query)
        return url.render_as_string()

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _run(self, command: list[str]) -> None:
        done = self._user.run(command)
        if done.returncode != 0:
            said = [done.stderr, self._log.read_text() if self._log.exists() else ""]
            raise PostgresServerError(f"{Path(command[0]).name} failed: {' '.join(' '.join(said).split())}")

    def _start_options(self) -> list[str]:
        settings = (f"unix_socket_directories={self.directory}", "listen_addresses=", "port=5432", *self._settings)
        return ["--options", shlex.join(option for setting in settings for option in ("-c", setting))]


@dataclass(frozen=True, slots=True)
class _User:
    """Who runs the server: PostgreSQL refuses to run as root."""

    name: str | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @classmethod
    def for_server(cls) -> _User:
        """Choose ourselves, unless we are root: then the user that Debian's package brings, or nobody."""
        if os.geteuid() != 0:
            return cls()
        name = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
        return cls(name, pwd.getpwnam(name).pw_gid, extra_groups=())

    def take_over(self, directory: Path) -> None:
        if self.name is not None:
            shutil.chown(directory, self.name, self.group)

    def popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program that waits for a line from us, in a session of its own: Ctrl-C is not for it."""
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            user=self.name,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        # In "/": our own directory may be closed to the server's user.
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=self.name,
            group=self.group,
            extra_groups=self.extra_groups,
        )


def server_path() -> str:
    """Return where the server's programs may be, written like ``PATH``.

    Debian keeps them out of ``PATH``, in a directory for each version; the newest comes first.
    """
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    versions.sort(key=lambda path: int(path.parent.name), reverse=True)
    return os.pathsep.join([*map(str, versions), os.environ.get("PATH", os.defpath)])


def _find(program: str) -> str:
    found = shutil.which(program, path=server_path())
    if found is None:
        raise PostgresServerError(f"{program} is not installed; get it with: sudo apt-get install postgresql")
    return found
