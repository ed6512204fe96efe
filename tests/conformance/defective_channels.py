"""Channels and sinks that are wrong in one way each; see defective_backends.py."""

from __future__ import annotations

import html
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.testing import Channel, EventSinkSuite, Received, Receiver, WalletNotifySuite
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, Notify, WalletNotifyOptions

SECRET = "s3cret"

#: A pipe holds so much at least that nobody has read yet.
_PIPE_BYTES = 60_000


class Fifo(IncomingTransactionRunnable):
    """A small channel that is right; those below are it with one change."""

    path: Path

    def __init__(self, path: Path, notify: Notify) -> None:
        super().__init__(WalletNotifyOptions(), notify)
        self.path = path
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        if not self.path.exists():
            os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            os.write(self._fd, b"stop\n")
            self._thread.join(10)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        with os.fdopen(self._fd, "rb", buffering=0) as pipe:
            begun = b""
            while True:
                *lines, begun = (begun + self.read(pipe)).split(b"\n")
                for line in lines:
                    if line == b"stop":
                        return
                    self.take(line)

    def read(self, pipe: Any) -> bytes:
        return bytes(pipe.read(65536))

    def take(self, line: bytes) -> None:
        try:
            self.understand(line.decode())
        except (ValueError, RuntimeError):
            return

    def understand(self, line: str) -> None:
        if line.startswith("block "):
            self.notify(Txid("new block"))
        elif len(line) == 64 and line.isascii():
            int(line, 16)
            self.notify(Txid(line.lower()))


class DiesOnPoison(Fifo):
    def take(self, line: bytes) -> None:
        try:
            self.understand(line.decode())
        except (ValueError, RuntimeError):
            raise SystemExit from None  # which ends a thread in silence


class LosesALine(Fifo):
    count = 0

    def take(self, line: bytes) -> None:
        self.count += 1
        if self.count % 100:
            super().take(line)


class Spins(Fifo):
    def read(self, pipe: Any) -> bytes:
        os.set_blocking(self._fd, False)
        return pipe.read(65536) or b""


class PassesOnAnything(Fifo):
    def understand(self, line: str) -> None:
        self.notify(Txid("new block" if line.startswith("block ") else line.lower()))


class BlocksAreTransactions(Fifo):
    def understand(self, line: str) -> None:
        super().understand(line.removeprefix("block "))


class Right(EventSink):
    """A sink into a list that is right; those below are it with one change."""

    def __init__(self, end: End) -> None:
        super().__init__("right", EventSinkOptions())
        self.end = end

    def deliver(self, event: Event) -> None:
        self.hand_over(event)

    def hand_over(self, event: Event) -> None:
        try:
            written = self.write(event)
        except ValueError as error:
            raise EventDeliveryError("it cannot be written as JSON") from error
        if self.end.refuses:
            raise EventDeliveryError("it was refused")
        self.end.entries.append(written)

    def write(self, event: Event) -> str:
        return json.dumps([event.id, event.name, dict(event.data)], allow_nan=False)


class SwallowsFailures(Right):
    def deliver(self, event: Event) -> None:
        try:
            self.hand_over(event)
        except EventDeliveryError:
            return


class DropsTheId(Right):
    def write(self, event: Event) -> str:
        return json.dumps(["", event.name, dict(event.data)], allow_nan=False)


class MakesAmountsNumbers(Right):
    def write(self, event: Event) -> str:
        data = {key: float(str(value)) if key == "amount" else value for key, value in event.data.items()}
        return json.dumps([event.id, event.name, data], allow_nan=False)


class ShowsItsSecret(Right):
    def hand_over(self, event: Event) -> None:
        try:
            super().hand_over(event)
        except EventDeliveryError as error:
            raise EventDeliveryError(f"http://user:{SECRET}@host/: {error}") from error


class EscapesText(Right):
    def write(self, event: Event) -> str:
        data = {key: html.escape(value) if isinstance(value, str) else value for key, value in event.data.items()}
        return json.dumps([event.id, event.name, data], allow_nan=False)


class End(Receiver):
    """A list."""

    secret = SECRET

    def __init__(self, sink: type[Right]) -> None:
        self.entries: list[str] = []
        self.refuses = False
        self._sink = sink

    def open(self) -> EventSink:
        return self._sink(self)

    def received(self) -> list[Received]:
        return [Received(*json.loads(entry)) for entry in self.entries]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self.refuses = True
        yield
        self.refuses = False


class Way(Channel):
    """Writes lines into a pipe."""

    def __init__(self, kind: type[Fifo], path: Path) -> None:
        self._kind = kind
        self._path = path

    def open(self, notify: Notify) -> Fifo:
        return self._kind(self._path, notify)

    def tell(self, text: bytes) -> None:
        # Read-write, for nobody may be there to read any more.
        with os.fdopen(os.open(self._path, os.O_RDWR), "wb", buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            pipe.write(text[-_PIPE_BYTES:] + b"\n")

    def tell_block(self, block_hash: str) -> None:
        self.tell(b"block " + block_hash.encode())


def channel_suite(defect: type[Fifo]) -> type[WalletNotifySuite]:
    class Suite(WalletNotifySuite):
        can_tell_blocks = True
        patience_seconds = 1.0

        @pytest.fixture
        def channel(self, tmp_path: Path) -> Channel:
            return Way(defect, tmp_path / "pipe")

    return Suite


def sink_suite(defect: type[Right]) -> type[EventSinkSuite]:
    class Suite(EventSinkSuite):
        can_be_refused = True

        @pytest.fixture
        def receiver(self) -> Receiver:
            return End(defect)

    return Suite


for _channel in (DiesOnPoison, LosesALine, Spins, PassesOnAnything, BlocksAreTransactions):
    globals()[f"Test{_channel.__name__}"] = channel_suite(_channel)
for _sink in (SwallowsFailures, DropsTheId, MakesAmountsNumbers, ShowsItsSecret, EscapesText):
    globals()[f"Test{_sink.__name__}"] = sink_suite(_sink)
