"""A stand-in for the service, with an account of each coin that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from commands import eventually, unused_port

from cryptoassets_blockio import channel as channel_module
from cryptoassets_blockio import connection as connection_module
from cryptoassets_blockio import webhook as webhook_module
from cryptoassets_blockio import websocket as websocket_module
from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.client import BlockIoClient
from cryptoassets_blockio.options import BlockIoOptions, BlockIoWebhookOptions, BlockIoWebsocketOptions
from cryptoassets_blockio.testing import Account, StandIn
from cryptoassets_blockio.webhook import BlockIoWebhookHandler
from cryptoassets_blockio.websocket import BlockIoWebsocketHandler
from cryptoassets_btc.coin import BITCOIN
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.testing.walletnotifysuite import Heard
from cryptoassets_doge.coin import DOGECOIN
from cryptoassets_ltc.coin import LITECOIN

#: The secret path of webhooks.
SECRET = "/blockio/0f3a5b7c9d1e2f40"

COINS = {"btc": BITCOIN, "doge": DOGECOIN, "ltc": LITECOIN}


@pytest.fixture
def service() -> Iterator[StandIn]:
    """A stand-in of its own for each test."""
    with StandIn() as running:
        yield running


@pytest.fixture(params=sorted(COINS))
def coin(request: pytest.FixtureRequest) -> CoinDescription:
    """Each coin that the service has."""
    return COINS[request.param]


@pytest.fixture
def account(service: StandIn, coin: CoinDescription) -> Account:
    """An account of the coin."""
    return service.open_account(coin)


@pytest.fixture
def btc(service: StandIn) -> Account:
    """An account for Bitcoin."""
    return service.open_account(BITCOIN)


@pytest.fixture
def make_backend(service: StandIn) -> Iterator[Callable[..., BlockIoBackend]]:
    """Make backends on accounts, with further options."""
    made: list[BlockIoBackend] = []

    def make(account: Account, **options: Any) -> BlockIoBackend:
        given = {"api_key": account.api_key, "pin": account.pin, "url": service.url, "timeout": 5, **options}
        made.append(BlockIoBackend(account.coin, account.network, BlockIoOptions.model_validate(given)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def client(service: StandIn, btc: Account) -> BlockIoClient:
    """A client of the Bitcoin account, which is in a hurry."""
    return BlockIoClient(btc.api_key, base=service.url, timeout=1)


# --- Channels -----------------------------------------------------------------------------------------------


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels that look again every moment."""
    monkeypatch.setattr(channel_module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(connection_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(websocket_module, "SUBSCRIBE_SECONDS", 0.2)
    monkeypatch.setattr(webhook_module, "LOOK_SECONDS", 0.2)


def see_stopped(channels: Iterable[channel_module.ServiceChannel]) -> None:
    """Stop channels, and see that they are."""
    for channel in channels:
        channel.stop()
        assert not channel.is_alive()


@pytest.fixture
def heard() -> Heard:
    """What channels pass on."""
    return Heard()


@pytest.fixture
def backend(btc: Account, make_backend: Callable[..., BlockIoBackend]) -> BlockIoBackend:
    """A backend on the Bitcoin account."""
    return make_backend(btc)


@pytest.fixture
def make_listener(
    service: StandIn, backend: BlockIoBackend, heard: Heard, hurry: None
) -> Iterator[Callable[..., BlockIoWebsocketHandler]]:
    """Start websockets, which need not come about."""
    made: list[BlockIoWebsocketHandler] = []

    def make(of: BlockIoBackend = backend) -> BlockIoWebsocketHandler:
        made.append(BlockIoWebsocketHandler(BlockIoWebsocketOptions(url=service.websocket_url), heard.take))
        made[-1].attach(of)
        made[-1].start()
        return made[-1]

    yield make
    see_stopped(made)


@pytest.fixture
def listener(
    service: StandIn, btc: Account, make_listener: Callable[..., BlockIoWebsocketHandler]
) -> BlockIoWebsocketHandler:
    """A websocket that listens."""
    handler = make_listener()
    assert handler.wait_until_ready(10)
    eventually(lambda: service.hooks.subscribers(btc) == 1)
    return handler


@pytest.fixture
def make_hook(backend: BlockIoBackend, heard: Heard, hurry: None) -> Iterator[Callable[..., BlockIoWebhookHandler]]:
    """Start webhooks, which need not come about."""
    made: list[BlockIoWebhookHandler] = []

    def make(of: BlockIoBackend = backend) -> BlockIoWebhookHandler:
        port = unused_port()
        options: Any = {"url": f"http://127.0.0.1:{port}{SECRET}", "port": port}
        made.append(BlockIoWebhookHandler(BlockIoWebhookOptions.model_validate(options), heard.take))
        made[-1].attach(of)
        made[-1].start()
        return made[-1]

    yield make
    see_stopped(made)


@pytest.fixture
def hook(make_hook: Callable[..., BlockIoWebhookHandler]) -> BlockIoWebhookHandler:
    """A webhook that is registered."""
    handler = make_hook()
    assert handler.wait_until_ready(10)
    return handler


@pytest.fixture
def hook_url(hook: BlockIoWebhookHandler) -> str:
    """Where the service posts to."""
    return f"http://127.0.0.1:{hook.server.port}{SECRET}"
