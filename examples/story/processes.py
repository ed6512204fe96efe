"""The commands of cryptoassets-core, run as processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

#: What ends programs from outside: Ctrl-C, ``kill``, and the end of the terminal.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The daemon promises to stop within 45 seconds.
STOP_SECONDS: Final = 60


class StoryError(Exception):
    """Something did not go as the story goes."""


def find_command(name: str) -> str:
    """Find a command of this Python's environment, activated or not."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = shutil.which(name, path=places)
    if command is None:
        raise StoryError(f"the command {name} is not installed; get it with: pip install cryptoassets-core")
    return command


def run_command(name: str, *arguments: str) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run([find_command(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StoryError(f"{name} failed with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off signals to the end of the block, so that no process is started and then forgotten."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: arrived.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


class Daemon:
    """``cryptoassets-helper-service CONFIG``, which may be started and ended again and again."""

    command = "cryptoassets-helper-service"

    def __init__(self, config_file: Path, *, log_file: Path, status_port: int) -> None:
        self.config_file = config_file
        self.log_file = log_file
        self.status_port = status_port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._running().pid

    @property
    def status_url(self) -> str:
        """Where the daemon shows how it is."""
        return f"http://127.0.0.1:{self.status_port}/"

    def start(self) -> None:
        """Start the process; whether it is ready is another question."""
        with self.log_file.open("ab") as log, _undisturbed():
            self._process = subprocess.Popen(
                [find_command(self.command), str(self.config_file)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def is_ready(self) -> bool:
        """Tell whether all its components run."""
        status, _ = self._get("/healthz")
        return status == http.HTTPStatus.OK

    def report(self) -> dict[str, Any] | None:
        """Return what the status page shows, None while there is none."""
        status, body = self._get("/api/status")
        report: dict[str, Any] | None = json.loads(body) if status == http.HTTPStatus.OK else None
        return report

    def check_alive(self) -> None:
        """See that the process runs.

        :raises StoryError: it ended by itself.
        """
        code = self._running().poll()
        if code is not None:
            raise StoryError(f"the daemon ended by itself with exit code {code}")

    def stop(self) -> int:
        """Ask the daemon to end (SIGTERM), as an init system does, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon as a power failure would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """See that no process is left, whatever happened before."""
        if self._process is not None:
            self.kill()

    def log(self) -> str:
        """Return what the daemon logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StoryError("the daemon is not running; start it first")
        return self._process

    def _end(self, number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(number)
        try:
            return process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise StoryError(f"the daemon did not end within {STOP_SECONDS} seconds of {number.name}") from None
        finally:
            process.kill()
            process.wait()
            self._process = None

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()
