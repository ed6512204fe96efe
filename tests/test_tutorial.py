"""The tutorial, done as its README says: the commands, the daemon and the example as processes of their own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_btc import BITCOIN
from cryptoassets_core.testing.requirements import require

TUTORIAL = Path(__file__).parent.parent / "examples" / "tutorial"

#: Only what hangs meets it.
PATIENCE_SECONDS = 60


class Program:
    """A program under way: what it prints is waited for, what it asks is answered."""

    def __init__(self, arguments: Sequence[str], *, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [command(arguments[0]), *arguments[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.printed = ""
        self._position = 0
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            with self._news:
                self.printed += chunk.decode()
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for something to be printed after what was waited for last."""
        found: re.Match[str] | None = None
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._news:
            while (found := re.search(pattern, self.printed[self._position :])) is None:
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    pytest.fail(f"{pattern!r} was not printed after {self._position} characters of:\n{self.printed}")
            self._position += found.end()
        return found

    def say(self, *lines: str) -> None:
        assert self._process.stdin is not None
        for line in lines:
            self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def terminate(self) -> int:
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(PATIENCE_SECONDS)

    def clean_up(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def command(name: str) -> str:
    """Find a command of the environment that the tests run in."""
    if name == "python":
        return sys.executable
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed"
    return found


class Table:
    """A directory with a copy of the tutorial, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(TUTORIAL, folder, ignore=shutil.ignore_patterns("*.sqlite*", "*.simnet*", "__pycache__"))
        self.folder = folder
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.programs: list[Program] = []

    def change(self, config: str, changes: dict[str, str]) -> None:
        """Give a configuration ports of its own; everything else stays as it is delivered."""
        path = self.folder / config
        text = path.read_text()
        for old, new in changes.items():
            assert text.count(old) == 1, f"{config} has {old!r} {text.count(old)} times"
            text = text.replace(old, new)
        path.write_text(text)

    def start(self, *arguments: str) -> Program:
        self.programs.append(Program(arguments, folder=self.folder, environment=self.environment))
        return self.programs[-1]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [command(arguments[0]), *arguments[1:]],
            cwd=self.folder,
            env=self.environment,
            input="",
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    laid = Table(tmp_path / "tutorial")
    try:
        yield laid
    finally:
        for program in laid.programs:
            program.clean_up()


class World(Protocol):
    """Everybody else on the network."""

    unit: str
    #: An address that is not ours.
    outside: str
    #: The same with one character changed.
    mistyped: str

    def pay(self, address: str, amount: str) -> None: ...

    def mine(self, blocks: int) -> None: ...


class SimulatedWorld:
    """The commands that the README tells to type."""

    unit = "BTC"
    outside = "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9"
    mistyped = "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt8"

    def __init__(self, table: Table) -> None:
        self._table = table
        table.environment["CRYPTOASSETS_SIMNET"] = "example.simnet"

    def pay(self, address: str, amount: str) -> None:
        self._table.run("cryptoassets", "simnet", "pay", address, amount)

    def mine(self, blocks: int) -> None:
        self._table.run("cryptoassets", "simnet", "mine", str(blocks))


class LitecoinWorld:
    """The miner of a real daemon, who has all the coins at first."""

    unit = "LTC"

    def __init__(self, node: RegtestNode) -> None:
        self._node = node
        node.mine_coins()
        self.outside = str(node.rpc("getnewaddress", "", "bech32", wallet=""))
        self.mistyped = self.outside[:-1] + ("q" if self.outside[-1] != "q" else "p")

    def pay(self, address: str, amount: str) -> None:
        self._node.rpc("sendtoaddress", address, amount, wallet="")

    def mine(self, blocks: int) -> None:
        self._node.mine(blocks)


class HostedWorld:
    """The stand-in of a hosted service, in this process; the programs reach it over HTTP and a websocket."""

    unit = "BTC"

    def __init__(self, account: Account) -> None:
        self._account = account
        self.outside = account.outside_address(1)
        self.mistyped = self.outside[:-1] + ("q" if self.outside[-1] != "q" else "p")

    def pay(self, address: str, amount: str) -> None:
        self._account.pay([(address, Decimal(amount))])

    def mine(self, blocks: int) -> None:
        self._account.mine(blocks)


#: Written as configurations were in 2015, but for where the stand-in is.
HOSTED_CONFIG = """
database:
  url: sqlite:///example.hosted.sqlite
coins:
  btc:
    backend:
      class: cryptoassets.core.backend.blockio.BlockIo
      api_key: ${{BLOCKIO_KEY}}
      pin: ${{BLOCKIO_PIN}}
      network: btctest
      url: {url}
      walletnotify:
        class: cryptoassets.core.backend.blockiowebsocket.BlockIoWebsocketNotifyHandler
        url: {websocket_url}
events:
  example:
    class: cryptoassets.core.event.http.HTTPEventHandler
    url: http://127.0.0.1:{port}/
service:
  poll_period: 1
  broadcast_period: 2
"""


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_the_wallet_works_on_a_simulated_network(table: Table) -> None:
    table.change("example.config.yaml", {"10000": free_port()})

    do_the_tutorial(table, "example.config.yaml", SimulatedWorld(table))


@pytest.mark.regtest
def test_the_same_wallet_works_on_a_real_daemon(table: Table) -> None:
    with litecoin_world(table) as world:
        do_the_tutorial(table, "example.litecoind.yaml", world)


def test_the_same_wallet_works_on_a_hosted_service_configured_as_in_2015(table: Table) -> None:
    with StandIn() as service:
        account = service.open_account(BITCOIN)
        text = HOSTED_CONFIG.format(url=service.url, websocket_url=service.websocket_url, port=free_port())
        (table.folder / "hosted.yaml").write_text(text)
        table.environment |= {"BLOCKIO_KEY": account.api_key, "BLOCKIO_PIN": account.pin}

        do_the_tutorial(table, "hosted.yaml", HostedWorld(account))

        assert all(account.api_key not in program.printed for program in table.programs)


@contextmanager
def litecoin_world(table: Table) -> Iterator[LitecoinWorld]:
    require("litecoind", "litecoind")
    require("curl", "curl")
    notify_port = free_port()
    walletnotify = f"curl -s -m 10 -d txid=%s http://127.0.0.1:{notify_port}/"
    password = "a password: 100% / strange @ first sight"
    with RegtestNode(walletnotify=walletnotify, user="tutorial", password=password) as node:
        node.create_wallet("tutorial")
        table.change("example.litecoind.yaml", {"10000": free_port(), "28882": notify_port, "19443": str(node.port)})
        # In a URL, as the README of the backend says, such characters are written percent-encoded.
        table.environment["LITECOIN_RPC_PASSWORD"] = node.url().split(":")[2].partition("@")[0]
        yield LitecoinWorld(node)


def do_the_tutorial(table: Table, config: str, world: World) -> None:
    table.run("cryptoassets-initialize-database", config)
    daemon = table.start("cryptoassets-helper-service", config)
    daemon.expect("the daemon is ready")
    app = table.start("python", "example.py", config)
    address = app.expect(r"Receiving addresses:\n- (\S+) received 0\.00000000").group(1)

    receive(app, world, address)
    for to_address, amount, answer in refusals(world, address):
        app.expect("Your choice")
        app.say("2", to_address, amount)
        app.expect(answer)
    send(app, world)

    app.say("1")
    app.expect(r"New address: \S+")
    app.say("4")
    assert app.wait() == 0
    assert daemon.terminate() == 0
    assert "ERROR" not in daemon.printed


def receive(app: Program, world: World, address: str) -> None:
    deposit = rf"\* deposit of 2\.50000000 {world.unit}, address {address}, confirmations:"
    world.pay(address, "2.5")
    app.expect(rf"{deposit} 0, txid")
    app.say("3")
    app.expect(rf"0\.00000000 {world.unit} to spend, 2\.50000000 {world.unit} on their way in")
    world.mine(1)
    app.expect(rf"{deposit} 1, txid")
    world.mine(1)
    app.expect(rf"{deposit} 2, txid")
    world.mine(1)
    app.expect(rf"{deposit} 3, credited, txid")
    app.say("3")
    app.expect(rf"2\.50000000 {world.unit} to spend, 0\.00000000 {world.unit} on their way in")


def refusals(world: World, own_address: str) -> list[tuple[str, str, str]]:
    return [
        (world.outside, "a lot", "'a lot' is not a number"),
        (world.outside, "", "'' is not a number"),
        (world.outside, "-1", "Nothing was sent: an amount must be more than zero"),
        (world.outside, "NaN", "Nothing was sent: an amount must be a finite number"),
        (world.outside, "0.123456789", "Nothing was sent: the amount 0.123456789 has more than the 8 decimals"),
        (world.outside, "0.00000001", f"Nothing was sent: 0.00000001 {world.unit} is too little"),
        (world.outside, "99", f"holds 2.50000000 {world.unit}, which is too little to send 99.00000000 {world.unit}"),
        (world.mistyped, "1", f"Nothing was sent: '{world.mistyped}' has a wrong checksum"),
        ("", "1", "Nothing was sent: ''"),
        (own_address, "1", "Nothing was sent: account 1 cannot send to itself"),
    ]


def send(app: Program, world: World) -> None:
    broadcast = rf"\* broadcast of 1\.00000000 {world.unit}, address {world.outside}, confirmations:"
    app.expect("Your choice")
    app.say("2", world.outside, "1")
    app.expect(r"Transaction \d+ is pending\.")
    app.expect(rf"{broadcast} 0, txid")
    world.mine(1)
    app.expect(rf"{broadcast} 1, txid")
    app.say("3")
    app.expect(rf"1\.50000000 {world.unit} to spend")
    app.expect(rf"- IN deposit 2\.50000000 {world.unit}, incoming and credited, address")
    app.expect(rf"- OUT withdrawal 1\.00000000 {world.unit}, broadcasted, address {world.outside}, confirmations: 1")


# --- What goes wrong ----------------------------------------------------------------------------------------


def test_without_tables_the_example_says_what_to_run(table: Table) -> None:
    table.change("example.config.yaml", {"10000": free_port()})

    app = table.start("python", "example.py")

    assert app.wait() == 1
    app.expect(r"^Error: .*run cryptoassets-initialize-database with your configuration file\n$")


def test_without_a_configuration_the_example_says_so(table: Table) -> None:
    app = table.start("python", "example.py", "nowhere.yaml")

    assert app.wait() == 1
    app.expect(r"^Error: the configuration file nowhere\.yaml cannot be read: No such file or directory\n$")


def test_a_second_example_says_that_the_port_is_in_use(table: Table) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        table.change("example.config.yaml", {"10000": str(taken.getsockname()[1])})
        table.run("cryptoassets", "init-db", "example.config.yaml")

        app = table.start("python", "example.py")

        assert app.wait() == 1
    app.expect(r"^Error: .*the port is in use; .*\n$")


def test_the_example_ends_with_its_input(table: Table) -> None:
    table.change("example.config.yaml", {"10000": free_port()})
    table.run("cryptoassets", "init-db", "example.config.yaml")
    app = table.start("python", "example.py")
    app.say("9")
    app.expect("There is no command '9'")

    app.end_input()

    assert app.wait() == 0
    assert "Traceback" not in app.printed
