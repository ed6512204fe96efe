"""The temporary PostgreSQL server that the other tests rely on."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from cryptoassets_core.testing.postgres import PostgresServer, PostgresServerError, server_path
from cryptoassets_core.testing.requirements import require

pytestmark = pytest.mark.postgres


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def test_each_copy_has_the_tables_of_its_template_and_rows_of_its_own(postgres_server: PostgresServer) -> None:
    template = postgres_server.create_database()
    with connected(template) as connection:
        connection.execute(sa.text("CREATE TABLE coin (symbol text)"))

    with postgres_server.database(copy_of=template) as first, postgres_server.database(copy_of=template) as second:
        with connected(first) as connection:
            connection.execute(sa.text("INSERT INTO coin VALUES ('btc')"))
        with connected(second) as connection:
            rows = connection.execute(sa.text("SELECT symbol FROM coin")).all()

    assert rows == []


def test_a_fresh_database_is_empty(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)

    assert sa.inspect(engine).get_table_names() == []


def test_a_database_is_dropped_under_an_open_connection(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        postgres_server.drop_database(url)
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT 1"))

    with pytest.raises(sa.exc.OperationalError, match="does not exist"):
        engine.connect()


@pytest.mark.parametrize(("durable", "fsync"), [(False, "off"), (True, "on")])
def test_durability_is_a_choice(durable: bool, fsync: str) -> None:
    require("initdb", "postgresql", path=server_path())
    with PostgresServer(durable=durable) as server, connected(server.create_database()) as connection:
        assert connection.scalar(sa.text("SHOW fsync")) == fsync


def test_stopping_leaves_nothing(postgres_server: PostgresServer) -> None:
    with PostgresServer() as server:
        directory = server.directory
        assert directory.exists()

    server.stop()

    assert not directory.exists()


def test_a_killed_process_leaves_neither_server_nor_directory(postgres_server: PostgresServer) -> None:
    program = (
        "from cryptoassets_core.testing.postgres import PostgresServer; import time\n"
        "server = PostgresServer(); server.start(); print(server.directory, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            pytest.fail("the process has no output")
        directory = Path(process.stdout.readline().strip())
        server_pid = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        process.send_signal(signal.SIGKILL)

    while directory.exists():  # a test that hangs here meets its time limit
        time.sleep(0.05)

    assert not is_running(server_pid)


def is_running(pid: int) -> bool:
    """Tell whether a process works; one that is dead and not yet collected by its parent has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_why_the_server_did_not_start_is_in_the_error(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(tempfile.mkdtemp(prefix="longer-than-the-name-of-a-socket-may-be-" + "x" * 60))
    directory.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    try:
        with pytest.raises(PostgresServerError, match=r"pg_ctl failed: .* is too long"):
            PostgresServer().start()
    finally:
        directory.rmdir()  # which proves too that the failed server left nothing
