"""Channels that connect to something which may go away, wrong in one way each; see defective_backends.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.testing import Channel, WalletNotifySuite
from cryptoassets_core.walletnotify.base import MISSED, IncomingTransactionRunnable, Notify, WalletNotifyOptions

#: Only what never comes meets it.
PATIENCE_SECONDS = 10.0


class Wire(IncomingTransactionRunnable):
    """A small client that is right; those below are it with one change."""

    def __init__(self, port: int, notify: Notify) -> None:
        super().__init__(WalletNotifyOptions(), notify)
        self.port = port
        self.trouble: str | None = None
        self.stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self.run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self._thread.is_alive():
            if self._socket is not None:
                self.hang_up(self._socket)
            self._thread.join(PATIENCE_SECONDS)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def problem(self) -> str | None:
        return self.trouble

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.listen()
            except OSError as error:
                self.lost(error)
            self.stopping.wait(0.02)

    def listen(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as self._socket:
            self.connected()
            for line in self._socket.makefile("rb"):
                self.take(line)
        raise ConnectionResetError("hung up")

    @staticmethod
    def hang_up(connection: socket.socket) -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def connected(self) -> None:
        self.trouble = None
        self.notify(MISSED)

    def lost(self, error: OSError) -> None:
        self.trouble = str(error)

    def take(self, line: bytes) -> None:
        try:
            text = line.decode().removesuffix("\n")
            if len(text) == 64 and text.isascii():
                int(text, 16)
                self.notify(Txid(text.lower()))
        except (ValueError, RuntimeError):
            return


class GivesUp(Wire):
    def lost(self, error: OSError) -> None:
        self.stopping.set()


class ForgetsTheGap(Wire):
    """Asks for a look at the chain when it starts, and not when it comes back."""

    _before = False

    def connected(self) -> None:
        self.trouble = None
        if not self._before:
            self.notify(MISSED)
        self._before = True


class HidesTheProblem(Wire):
    def problem(self) -> str | None:
        return None


class NeverWellAgain(Wire):
    def connected(self) -> None:
        self.notify(MISSED)


class CannotBeStoppedWhileCutOff(Wire):
    def stop(self) -> None:
        if self.trouble is None:
            super().stop()


class Exchange(Channel):
    """What they connect to."""

    def __init__(self, kind: type[Wire]) -> None:
        self._kind = kind
        self._server = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._server.getsockname()[1]
        self._lines: list[socket.socket] = []
        self._writing = threading.Lock()

    def open(self, notify: Notify) -> Wire:
        return self._kind(self._port, notify)

    def tell(self, text: bytes) -> None:
        with self._writing:
            self._hang_up_on_the_dead()
            if not self._lines:
                self._server.settimeout(PATIENCE_SECONDS)
                self._lines.append(self._server.accept()[0])
            for line in self._lines:
                line.sendall(text + b"\n")

    def _hang_up_on_the_dead(self) -> None:
        for line in list(self._lines):
            line.setblocking(False)
            try:
                gone = line.recv(1) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            line.settimeout(PATIENCE_SECONDS)
            if gone:
                line.close()
                self._lines.remove(line)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        self.close()
        try:
            yield
        finally:
            self._server = socket.create_server(("127.0.0.1", self._port))

    def close(self) -> None:
        with self._writing:
            for line in (*self._lines, self._server):
                line.close()
            self._lines.clear()


def suite_on(defect: type[Wire]) -> type[WalletNotifySuite]:
    class Suite(WalletNotifySuite):
        can_reconnect = has_gap_at_start = True
        patience_seconds = 1.0

        @pytest.fixture
        def channel(self) -> Iterator[Channel]:
            with closing(Exchange(defect)) as exchange:
                yield exchange

    return Suite


for _defect in (Wire, GivesUp, ForgetsTheGap, HidesTheProblem, NeverWellAgain, CannotBeStoppedWhileCutOff):
    globals()[f"Test{_defect.__name__}"] = suite_on(_defect)
