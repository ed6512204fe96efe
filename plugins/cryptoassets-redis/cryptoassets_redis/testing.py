"""A Redis of the test's own, which can be stopped and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

import redis

from cryptoassets_core.errors import CryptoAssetsError

PROGRAM: Final = "redis-server"

_START_SECONDS: Final = 30


class RedisServerError(CryptoAssetsError):
    """The server is not installed, or does not start."""


class TemporaryRedis:
    """A server on a port of its own that keeps nothing; a context manager.

    :ivar port: where it answers, the same after a restart.
    """

    def __init__(self, *, password: str | None = None) -> None:
        self.password = password
        self.directory = Path(tempfile.mkdtemp(prefix="cryptoassets-redis-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and return when it answers.

        :raises RedisServerError: it is not installed, or it ends at once.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise RedisServerError(f"{PROGRAM} is not installed; get it with: sudo apt-get install redis-server")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self.password is not None:
            options += ["--requirepass", self.password]
        self._process = subprocess.Popen(
            [program, *options, "--dir", str(self.directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.02)
        self.stop()
        raise RedisServerError(f"{PROGRAM} did not start on port {self.port}")

    def stop(self) -> None:
        """End the server; all it held is gone. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(_START_SECONDS)

    def client(self) -> redis.Redis:
        """Make a client, to be closed by the caller."""
        return redis.Redis(port=self.port, password=self.password, decode_responses=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
