"""Run the installed commands, as processes of their own or in this one, and write the configuration files they read."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml
from click.testing import CliRunner

from cryptoassets_core.cli.main import cryptoassets

#: Part of every secret that a test puts where a command could show it.
SECRET = "hunter2"

#: Far more than anything here takes: only what hangs meets it.
PATIENCE_SECONDS = 60.0


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a command; it holds a secret that nobody asks for."""
    return {**os.environ, "SHOP_TOKEN": f"{SECRET}-environment", **more}


def program(command: str) -> list[str]:
    """Return the start of a command line: the command is installed beside the interpreter."""
    name, *words = command.split()
    return [str(Path(sys.executable).with_name(name)), *words]


def run(command: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*program(command), *map(str, arguments)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def ask(command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of ``cryptoassets`` in this process, in a fraction of the time.

    For what it says and does; that commands end well as processes, and show no traceback, others have seen.
    """
    _, *words = command.split()
    result = CliRunner().invoke(cryptoassets, [*words, *map(str, arguments)], env={"SHOP_TOKEN": SECRET})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr)


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """See that a command ended with one sentence for a person that has some words in it."""
    assert result.returncode != 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr


def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def listener() -> Iterator[int]:
    """Keep a port in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def simnet_config(directory: Path, **sections: Any) -> dict[str, Any]:
    """Return a configuration of one coin on SQLite and the simulated network, with jobs that run often."""
    chain = str(directory / "chain.simnet")
    return {
        "database": {"url": f"sqlite:///{directory}/books.sqlite"},
        "coins": {
            "btc": {
                "network": "regtest",
                "backend": {"name": "simnet", "path": chain, "walletnotify": {"name": "simnet", "path": chain}},
            }
        },
        "service": {"poll_period": 0.2, "broadcast_period": 0.2},
        **sections,
    }


def write(directory: Path, config: object) -> Path:
    """Write a configuration file and return its path."""
    path = directory / "shop.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config), encoding="utf-8")
    return path


def eventually(tell: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := tell()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return answer


class Daemon:
    """A running daemon; what it logs goes to a file."""

    def __init__(self, config: Path, log: Path, variables: Mapping[str, str], port: int | None) -> None:
        self._log = log
        self._port = port
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*program("cryptoassets run"), str(config)],
                env=environment(**variables),
                stdout=stream,
                stderr=subprocess.STDOUT,
                # As from a terminal: Ctrl-C is for all processes of a group.
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def ready(self) -> None:
        self.logs("the daemon is ready")

    def logs(self, words: str) -> None:
        """Wait until it has logged some words."""

        def tell() -> bool:
            assert self.process.poll() is None or words in self.log, self.log
            return words in self.log

        eventually(tell)

    def get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=PATIENCE_SECONDS) as answer:
            text: str = answer.read().decode()
            return text

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.get("/api/status"))
        return answer

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """Send a signal, or none, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def daemon(config: dict[str, Any], directory: Path, **variables: str) -> Iterator[Daemon]:
    """Run a daemon with a status server; it is gone in the end."""
    port = unused_port()
    path = write(directory, {**config, "status_server": {"port": port}})
    running = Daemon(path, directory / "daemon.log", variables, port)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
