"""What people get wrong in the configuration: one sentence that tells where and what would be right, no secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from commands import SECRET, ask, assert_refused, listener, run, simnet_config, unused_port, write

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.testing.postgres import PostgresServer, server_path
from cryptoassets_core.testing.requirements import require

#: Every command that reads a configuration file.
COMMANDS = [
    "cryptoassets run",
    "cryptoassets init-db",
    "cryptoassets scan",
    "cryptoassets audit",
    "cryptoassets-helper-service",
    "cryptoassets-initialize-database",
    "cryptoassets-scan-received",
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def changed(directory: Path, path: str, value: object) -> dict[str, Any]:
    """Return a configuration in which one thing is otherwise; None takes it out."""
    config = simnet_config(directory)
    *sections, last = path.split("/")
    section = config
    for name in sections:
        section = section.setdefault(name, {})
    if value is None:
        del section[last]
    else:
        section[last] = value
    return config


# --- Of each command ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_an_unknown_option_by_its_path(command: str, directory: Path) -> None:
    config = changed(directory, "coins/btc/backend/pth", f"{SECRET}-path")
    assert_refused(run(command, write(directory, config)), "coins.btc.backend.pth", "did you mean 'path'?")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_file_that_is_not_there(command: str, directory: Path) -> None:
    assert_refused(run(command, directory / "nowhere.yaml"), "nowhere.yaml", "No such file or directory")


@pytest.mark.parametrize("command", [command for command in COMMANDS if "init" not in command])
def test_every_command_but_one_refuses_a_database_without_tables(command: str, directory: Path) -> None:
    result = run(command, write(directory, simnet_config(directory)))
    assert_refused(result, "books.sqlite", "lacks the table", "run cryptoassets-initialize-database")


# --- The file -------------------------------------------------------------------------------------------------------


def test_directory_in_place_of_the_file(directory: Path) -> None:
    assert_refused(run("cryptoassets run", directory), str(directory), "Is a directory")


def test_file_that_is_not_utf8(directory: Path) -> None:
    path = directory / "shop.yaml"
    path.write_bytes(f"database: {{url: '{SECRET}\xe4'}}".encode("latin-1"))
    assert_refused(run("cryptoassets init-db", path), "shop.yaml", "not UTF-8", "save it as UTF-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"database:\n  url: [{SECRET}", ["line 2", "malformed"]),
        (f"database:\n\turl: {SECRET}", ["line 2", "malformed", "cannot start any token"]),
        # The parser itself would quote these.
        (f"database:\n  password: *{SECRET}", ["line 2", "undefined alias", "in quotes"]),
        (f"database:\n  password: !{SECRET}", ["line 2", "tag", "in quotes"]),
        (f"database:\n  password: !{SECRET}!x y", ["line 2", "tag handle", "in quotes"]),
        (f"- {SECRET}", ["must hold sections such as 'database:' and 'coins:'"]),
        ("", ["must hold sections such as 'database:' and 'coins:'"]),
        ("database: 2001-99-99", ["YAML cannot make sense of"]),
        ("[" * 3000, ["YAML cannot make sense of"]),
        (f"service: {{}}\ndatabase:\n  url: a\n  url: {SECRET}", ["line 4", "the same key stands twice"]),
    ],
    ids=["list", "tab", "alias", "tag", "tag handle", "sequence", "empty", "date", "depth", "duplicate"],
)
def test_malformed_file(text: str, words: list[str], directory: Path) -> None:
    assert_refused(ask("cryptoassets init-db", write(directory, text)), "shop.yaml", *words)


# --- What it says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("database", None, ["database: ", "required"]),
        ("database/ulr", SECRET, ["database.ulr: ", "did you mean 'url'?"]),
        ("databse", {"url": SECRET}, ["databse: ", "did you mean 'database'?"]),
        ("database/url", 5, ["database.url: ", "not a number"]),
        ("database/url", f"{SECRET}", ["database.url: ", "postgresql://user@localhost/name"]),
        ("database/url", f"postgresql://shop:{SECRET}@host:port/books", ["database.url: ", "not a database URL"]),
        ("database/url", f"postgresql://shop:p@{SECRET}@localhost/books", ["database.url: ", "%40"]),
        ("database/url", f"nosuch://shop:{SECRET}@localhost/books", ["database.url: ", "nosuch", "sqlite:///"]),
        ("database/url", f"mysql://shop:{SECRET}@localhost/books", ["database.url: ", "MySQLdb", "pip install"]),
        ("database/url", "${SHOP_DATABASE}", ["database.url: ", "SHOP_DATABASE is not set"]),
        ("coins", [SECRET], ["coins: ", "section", "a list"]),
        ("coins/bct", {}, ["coins.bct: ", "'bct'", "did you mean 'btc'?"]),
        ("coins/monero", {}, ["coins.monero: ", "'monero'", "btc", "pip install cryptoassets-monero"]),
        ("coins/btc", SECRET, ["coins.btc: ", "section", "not text"]),
        ("coins/btc/backend", SECRET, ["coins.btc.backend: ", "section", "not text"]),
        ("coins/btc/backend/name", None, ["coins.btc.backend: ", "for example name: bitcoind"]),
        ("coins/btc/backend/name", "bitcoin", ["coins.btc.backend: ", "did you mean 'bitcoind'?"]),
        ("coins/btc/backend/name", "blockchain", ["coins.btc.backend: ", "is not offered", "'bitcoind'"]),
        ("coins/btc/backend/name", "galaxy", ["coins.btc.backend: ", "simnet", "pip install cryptoassets-galaxy"]),
        ("coins/btc/backend/fee", SECRET, ["coins.btc.backend.fee: ", "valid decimal"]),
        ("coins/btc/backend/fee", -1, ["coins.btc.backend.fee: ", "greater than or equal to 0"]),
        ("coins/btc/backend/path", None, ["coins.btc.backend.path: ", "required"]),
        ("coins/btc/backend/walletnotfy", {}, ["coins.btc.backend.walletnotfy: ", "did you mean 'walletnotify'?"]),
        ("coins/btc/backend/walletnotify/name", "htp", ["coins.btc.backend.walletnotify: ", "did you mean 'http'?"]),
        ("coins/btc/network", "tset", ["coins.btc.network: ", "'test'"]),
        ("coins/btc/network", 7, ["coins.btc.network: ", "'test'"]),
        ("coins/btc/testnet", True, ["coins.btc: ", "contradict", "keep network only"]),
        ("coins/btc/testnet", False, ["coins.btc: ", "contradict", "keep network only"]),
        ("coins/btc/models", "no.such.module", ["coins.btc: ", "'no.such.module'", "cannot be imported"]),
        ("coins/btc/models", "json", ["coins.btc: ", "'json'", "coin_description"]),
        ("coins/btc/confirmation_count", 0, ["coins.btc.confirmation_count: ", "greater than or equal to 1"]),
        ("events/shop/name", "http", ["events.shop.url: ", "required"]),
        ("events/shop", {"name": "http", "url": f"ftp://u:{SECRET}@host"}, ["events.shop.url: ", "http://localhost"]),
        ("events/shop", {"url": SECRET}, ["events.shop: ", "for example name: http"]),
        ("events/shop", {"name": "smoke", "to": SECRET}, ["events.shop: ", "'smoke'", "http"]),
        ("status_server/port", 70000, ["status_server.port: ", "65535"]),
        ("service/poll_period", 0, ["service.poll_period: ", "greater than 0"]),
        ("service/poll_period", float("inf"), ["service.poll_period: ", "86400"]),
        ("service/poll_perod", 1, ["service.poll_perod: ", "did you mean 'poll_period'?"]),
    ],
    ids=lambda value: value if isinstance(value, str) and SECRET not in value else "",
)
def test_nonsense_in_the_configuration(path: str, value: object, words: list[str], directory: Path) -> None:
    assert_refused(ask("cryptoassets init-db", write(directory, changed(directory, path, value))), *words)


@pytest.mark.parametrize(
    ("value", "word"), [(SECRET, "dictConfig"), ({"version": 2}, "2"), ({"root": {"handlers": ["nowhere"]}}, "root")]
)
def test_nonsense_for_logging(value: object, word: str, directory: Path) -> None:
    config = write(directory, changed(directory, "service/logging", value))
    assert_refused(run("cryptoassets run", config), "service.logging: ", word)


def test_log_file_that_cannot_be_written(directory: Path) -> None:
    handler = {"class": "logging.FileHandler", "filename": str(directory / "nowhere" / "shop.log")}
    config = simnet_config(directory)
    config["service"]["logging"] = {"handlers": {"file": handler}, "root": {"handlers": ["file"]}}
    assert_refused(run("cryptoassets run", write(directory, config)), "service.logging", "No such file or directory")


@pytest.mark.parametrize("testnet", [True, False])
def test_network_and_testnet_that_agree(testnet: bool, directory: Path) -> None:
    config = changed(directory, "coins/btc/testnet", testnet)
    config["coins"]["btc"]["network"] = "test" if testnet else "main"
    assert ask("cryptoassets init-db", write(directory, config)).returncode == 0


# --- The database ---------------------------------------------------------------------------------------------------


def test_sqlite_file_in_a_missing_directory(directory: Path) -> None:
    config = changed(directory, "database/url", f"sqlite:///{directory}/nowhere/books.sqlite")
    assert_refused(
        ask("cryptoassets init-db", write(directory, config)), "database.url", "nowhere/books.sqlite", "unable to open"
    )


def test_database_file_that_is_something_else(directory: Path) -> None:
    (directory / "books.sqlite").write_text("Dear diary, " * 1000)
    config = write(directory, simnet_config(directory))
    assert_refused(ask("cryptoassets init-db", config), "database.url", "books.sqlite", "not a database")


def test_postgresql_that_is_down(directory: Path) -> None:
    port = unused_port()
    url = f"postgresql://shop:{SECRET}@127.0.0.1:{port}/books?application_name={SECRET}"
    config = write(directory, changed(directory, "database/url", url))
    assert_refused(ask("cryptoassets init-db", config), "database.url", f"127.0.0.1:{port}/books", "Connection refused")


@pytest.fixture
def guarded_server() -> Iterator[PostgresServer]:
    """A server that asks the role shop for its password."""
    require("initdb", "postgresql", path=server_path())
    with PostgresServer() as server:
        engine = sa.create_engine(server.create_database(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE shop LOGIN PASSWORD '{SECRET}'")
            rules = server.directory / "data" / "pg_hba.conf"
            rules.write_text("local all shop scram-sha-256\nlocal all all trust\n")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield server


@pytest.mark.postgres
def test_wrong_database_password(guarded_server: PostgresServer, directory: Path) -> None:
    url = sa.make_url(guarded_server.create_database()).set(username="shop", password=f"not-{SECRET}")
    config = changed(directory, "database/url", url.render_as_string(hide_password=False))
    result = ask("cryptoassets init-db", write(directory, config))
    assert_refused(result, "database.url", "password authentication failed")


# --- Ports ----------------------------------------------------------------------------------------------------------


def ready_config(directory: Path, path: str, value: object) -> Path:
    """Write a configuration whose database is initialised."""
    config = write(directory, changed(directory, path, value))
    assert ask("cryptoassets init-db", config).returncode == 0
    return config


def test_status_port_in_use(directory: Path) -> None:
    with listener() as port:
        config = ready_config(directory, "status_server/port", port)
        assert_refused(run("cryptoassets run", config), "status_server: ", f":{port}", "in use", "another port")


def test_walletnotify_port_in_use(directory: Path) -> None:
    with listener() as port:
        config = ready_config(directory, "coins/btc/backend/walletnotify", {"name": "http", "port": port})
        result = run("cryptoassets run", config)
    assert_refused(result, "coins.btc.backend.walletnotify: ", f":{port}", "in use", "another port")


def test_status_server_at_an_address_of_another_machine(directory: Path) -> None:
    config = ready_config(directory, "status_server", {"ip": "192.0.2.1", "token": SECRET * 3})
    assert_refused(run("cryptoassets run", config), "status_server: ", "192.0.2.1", "127.0.0.1")


# --- The coin's daemon ----------------------------------------------------------------------------------------------


def node_config(directory: Path, url: str) -> Path:
    config = simnet_config(directory)
    config["coins"] = {"ltc": {"network": "regtest", "backend": {"name": "bitcoind", "url": url}}}
    path = write(directory, config)
    assert ask("cryptoassets init-db", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def node() -> Iterator[RegtestNode]:
    require("litecoind", "litecoind")
    with RegtestNode() as running:
        yield running


@pytest.mark.regtest
@pytest.mark.parametrize("command", ["cryptoassets run", "cryptoassets scan"])
def test_wrong_rpc_password(command: str, node: RegtestNode, directory: Path) -> None:
    config = node_config(directory, f"http://{node.user}:{SECRET}@127.0.0.1:{node.port}/")
    assert_refused(run(command, config), f"127.0.0.1:{node.port}", "refused our credentials", "rpcpassword")


@pytest.mark.regtest
def test_daemon_of_another_network(node: RegtestNode, directory: Path) -> None:
    config = node_config(directory, node.url())
    config.write_text(config.read_text().replace("network: regtest", "network: main"))
    assert_refused(run("cryptoassets run", config), "coins.ltc.backend: ", "regtest", "main")


def test_scan_without_the_coins_daemon(directory: Path) -> None:
    port = unused_port()
    config = node_config(directory, f"http://shop:{SECRET}@127.0.0.1:{port}/")
    assert_refused(run("cryptoassets scan", config), f"127.0.0.1:{port}", "connection refused", "start it")


@pytest.mark.parametrize("url", [f"{SECRET}", f"http://{SECRET}@127.0.0.1/", f"http://shop:{SECRET}@127.0.0.1:port/"])
def test_malformed_rpc_url(url: str, directory: Path) -> None:
    config = node_config(directory, url)
    assert_refused(run("cryptoassets run", config), "coins.ltc.backend: ", "http://user:password@127.0.0.1:9332/")
