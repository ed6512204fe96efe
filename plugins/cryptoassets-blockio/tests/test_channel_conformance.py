"""The channels keep the kernel's contract, told by the stand-in."""

from __future__ import annotations

import socket
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoWebhookOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_blockio.testing.hooks import address_event
from cryptoassets_blockio.webhook import BlockIoWebhookHandler
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_core.testing import Channel, WalletNotifySuite
from cryptoassets_core.walletnotify.base import Notify


class ServiceChannel(Channel):
    """Lets the service tell, as soon as it was asked to."""

    def __init__(self, service: StandIn, account: Account, backend: BlockIoBackend) -> None:
        self._service = service
        self._account = account
        self._backend = backend

    def tell(self, text: bytes) -> None:
        until(self._is_asked)
        named = text.decode(errors="surrogateescape")
        event = address_event(self._account, self._account.labels["default"], named, 0)
        self._service.hooks.send(self._account, event)

    @abstractmethod
    def _is_asked(self) -> bool:
        """Whether the service knows of the handler that was made last."""


class WebsocketChannel(ServiceChannel):
    _earlier = 0

    def open(self, notify: Notify) -> BlockIoWebsocketHandler:
        self._earlier = self._service.calls["subscribe"]
        handler = BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=self._service.websocket_url), notify)
        handler.attach(self._backend)
        return handler

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        self._service.refuses_websockets = True
        self._service.drop_websockets()
        self._earlier = self._service.calls["subscribe"]
        try:
            yield
        finally:
            self._service.refuses_websockets = False

    def _is_asked(self) -> bool:
        return self._service.calls["subscribe"] > self._earlier


class WebhookChannel(ServiceChannel):
    def open(self, notify: Notify) -> BlockIoWebhookHandler:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        options = {"url": f"http://127.0.0.1:{port}/blockio/0f3a5b7c9d1e2f40", "port": port}
        handler = BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate(options), notify)
        handler.attach(self._backend)
        return handler

    def _is_asked(self) -> bool:
        return bool(self._service.hooks.hooks(self._account))


class TestWebsocket(WalletNotifySuite):
    can_reconnect = has_gap_at_start = True

    @pytest.fixture
    def channel(
        self,
        service: StandIn,
        btc: Account,
        make_backend: Callable[..., BlockIoBackend],
        hurry: None,
    ) -> Channel:
        return WebsocketChannel(service, btc, make_backend(btc))


class TestWebhook(WalletNotifySuite):
    has_gap_at_start = True

    @pytest.fixture
    def channel(
        self,
        service: StandIn,
        btc: Account,
        make_backend: Callable[..., BlockIoBackend],
        hurry: None,
    ) -> Channel:
        return WebhookChannel(service, btc, make_backend(btc))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
