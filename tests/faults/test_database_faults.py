"""The database goes away while withdrawals are on their way: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from fault_proxy import Fault
from fault_stage import FaultyNetwork, Trial, create_tables
from ports import Ports

from cryptoassets_core.testing.postgres import PostgresServer, server_path
from cryptoassets_core.testing.requirements import require

#: Where a broadcast and a deposit are written.
TABLES = ("ltc_network_transaction", "ltc_transaction", "ltc_account", "ltc_sync_state")


class StoppableServer(PostgresServer):
    """A server that comes back as it went, with everything that it ever promised to keep."""

    def __init__(self) -> None:
        super().__init__(durable=True)

    def interrupt(self) -> None:
        """End the server as a crash would."""
        self._control("stop", "--mode=immediate")

    def go_on(self) -> None:
        """Start it again; returns when it answers."""
        self._control("start", f"--log={self.directory / 'log'}", *self._start_options())

    def fill_disk(self, url: str) -> None:
        """Let the database refuse to write and still be read, in the words of one whose disk is full."""
        self._alter(
            url,
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$",
            *(
                f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION refuse()"
                for table in TABLES
            ),
        )

    def empty_disk(self, url: str) -> None:
        """Let it write again."""
        self._alter(url, "DROP FUNCTION refuse() CASCADE")

    def _alter(self, url: str, *statements: str) -> None:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def _control(self, task: str, *options: str) -> None:
        pg_ctl = shutil.which("pg_ctl", path=server_path())
        if pg_ctl is None:
            raise FileNotFoundError("pg_ctl is not installed, though initdb is")
        self._run([pg_ctl, task, "--wait", f"--pgdata={self.directory / 'data'}", *options])


@pytest.fixture(scope="module")
def server() -> Iterator[StoppableServer]:
    require("initdb", "postgresql", path=server_path())
    with StoppableServer() as running:
        yield running


@pytest.fixture
def url(server: StoppableServer) -> str:
    made = server.create_database()
    create_tables(made)
    return made


@pytest.fixture
def trial(tmp_path: Path, url: str) -> Iterator[Trial]:
    """As everywhere here, on a database server that may be stopped."""
    require("litecoind", "litecoind")
    require("curl", "curl")
    with Ports() as ports:
        network = FaultyNetwork(walletnotify_port=ports.lend(), database_url=url)
        with network, closing(Trial(network, tmp_path, ports)) as made:
            yield made


STEPS = ("fundrawtransaction", "signrawtransactionwithwallet", "sendrawtransaction")


def test_withdrawals_are_paid_once_though_the_database_crashes_during_a_call(
    trial: Trial, server: StoppableServer
) -> None:
    trial.start()
    trial.fund("1", "1", "1")
    for method in STEPS:
        trap = trial.proxy.trap(method, Fault.NONE, answered=lambda _calls: server.interrupt())
        trial.withdraw()
        trial.until(trap.sprung.is_set, f"the database stops during {method}")
        trial.stage.wait_until(lambda: _database_problem(trial), "the status page shows that the database is down")
        server.go_on()
        trial.reconnect()
        trial.until(trial.is_left, f"the withdrawal leaves after the database stopped during {method}")
    trial.settle()
    assert trial.daemon.stop() == 0


def test_withdrawals_are_paid_once_though_nothing_can_be_written_for_a_while(
    trial: Trial, server: StoppableServer, url: str
) -> None:
    trial.start()
    trial.fund("1", "1", "1")
    for method in STEPS:
        trap = trial.proxy.trap(method, Fault.NONE, answered=lambda _calls: server.fill_disk(url))
        trial.withdraw()
        trial.until(trap.sprung.is_set, f"the disk is full during {method}")
        trial.stage.wait_until(lambda: _database_problem(trial), "the status page shows that nothing can be written")
        server.empty_disk(url)
        trial.until(trial.is_left, f"the withdrawal leaves after the disk was full during {method}")
    trial.settle()


def test_deposit_made_while_the_database_is_down_is_credited_once(trial: Trial, server: StoppableServer) -> None:
    trial.start()
    trial.fund("1")
    address = trial.application.new_address("alice")
    server.interrupt()
    txid = trial.network.pay(address, Decimal("1.5"))
    trial.network.mine(3)
    trial.stage.wait_until(lambda: _database_problem(trial), "the status page shows that the database is down")
    server.go_on()
    trial.reconnect()
    trial.stage.wait_for_update(txid, confirmations=3)
    trial.settle()


def _database_problem(trial: Trial) -> bool:
    report = trial.daemon.report()
    return bool(report and report["coins"][0]["problem"])
