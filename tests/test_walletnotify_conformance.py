"""The channels that the kernel brings keep the contract of channels."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from cryptoassets_core.testing import Channel, WalletNotifySuite
from cryptoassets_core.walletnotify.base import Notify
from cryptoassets_core.walletnotify.http import HTTPWalletNotifyHandler, HTTPWalletNotifyOptions
from cryptoassets_core.walletnotify.pipe import PipeWalletNotifyHandler, PipeWalletNotifyOptions


class HTTPChannel(Channel):
    """Posts like curl does."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]

    def open(self, notify: Notify) -> HTTPWalletNotifyHandler:
        return HTTPWalletNotifyHandler(HTTPWalletNotifyOptions(port=self.port), notify)

    def tell(self, text: bytes) -> None:
        self._post(b"txid=" + text)

    def tell_block(self, block_hash: str) -> None:
        self._post(b"block=" + block_hash.encode())

    def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        requests.post(f"http://127.0.0.1:{self.port}/", data=body, headers=headers, timeout=30)


class PipeChannel(Channel):
    """Writes like a shell's echo does."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "pipe"

    def open(self, notify: Notify) -> PipeWalletNotifyHandler:
        return PipeWalletNotifyHandler(PipeWalletNotifyOptions(fname=self.path), notify)

    def tell(self, text: bytes) -> None:
        with self.path.open("wb", buffering=0) as pipe:
            pipe.write(text + b"\n")

    def tell_block(self, block_hash: str) -> None:
        self.tell(b"block " + block_hash.encode())


class TestHTTPWalletNotify(WalletNotifySuite):
    can_tell_blocks = True

    @pytest.fixture
    def channel(self) -> Iterator[Channel]:
        with closing(HTTPChannel()) as channel:
            yield channel


class TestPipeWalletNotify(WalletNotifySuite):
    can_tell_blocks = True

    @pytest.fixture
    def channel(self, tmp_path: Path) -> Iterator[Channel]:
        with closing(PipeChannel(tmp_path)) as channel:
            yield channel
