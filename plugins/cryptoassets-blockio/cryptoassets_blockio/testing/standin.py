"""The stand-in itself, as a test holds it in its hands."""

from __future__ import annotations

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Self

from cryptoassets_blockio.networks import service_network
from cryptoassets_blockio.testing import desk
from cryptoassets_blockio.testing.account import Account
from cryptoassets_blockio.testing.faults import Faults
from cryptoassets_blockio.testing.hooks import Hooks
from cryptoassets_blockio.testing.server import Server
from cryptoassets_blockio.testing.sockets import Peer
from cryptoassets_core.backend.base import Outpoint, Txid
from cryptoassets_core.coin.description import CoinDescription, Network

_accounts = itertools.count(1)


class StandIn:
    """block.io on a port of this machine, for tests; use it as a context manager.

    :ivar faults: how its next answers go wrong.
    :ivar hooks: its notifications.
    :ivar accounts: its accounts by API key.
    :ivar calls: how often each method was called.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.hooks = Hooks()
        self.accounts: dict[str, Account] = {}
        self.calls: Counter[str] = Counter()
        self.peers: set[Peer] = set()
        self.slow_seconds = 1.0
        self.refuses_websockets = False
        self.stopping = threading.Event()
        self._counting = threading.Lock()
        self._server = Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="block.io stand-in", daemon=True
        )

    @property
    def url(self) -> str:
        """What the option ``url`` of the backend is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def websocket_url(self) -> str:
        """What the option ``url`` of the websocket channel is set to."""
        return f"ws://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        self.hooks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.drop_websockets()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self.hooks.stop()

    def open_account(self, coin: CoinDescription, network: Network = "test", *, pin: str = "stand-in-pin") -> Account:
        """Make an account with a key of its own."""
        name = service_network(coin, network)
        account = Account(coin, network, name, f"stand-in-key-{name}-{next(_accounts)}", pin)
        account.on_change = lambda entries: self.hooks.tell(account, entries)
        self.accounts[account.api_key] = account
        return account

    def note(self, method: str) -> None:
        """Count a call."""
        with self._counting:
            self.calls[method] += 1

    def drop_websockets(self) -> None:
        """Close every websocket without a word, and forget it: who is told after this has connected again."""
        peers = list(self.peers)
        for peer in peers:
            with suppress(OSError):
                peer.drop()
        for peer in peers:
            peer.gone.wait(10)

    def wait_for_end(self, connection: socket.socket) -> None:
        """Wait until the client gives up or the stand-in ends."""
        connection.settimeout(0.1)
        while not self.stopping.is_set():
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue


def fund(account: Account, amount: Decimal, *, coins: int = 1) -> None:
    """Give the wallet coins of its own, confirmed, on the address that no customer has."""
    for _ in range(coins):
        account.pay([(account.labels["default"], amount)])
    account.mine()


def spend_elsewhere(account: Account, outpoints: Iterable[Outpoint], to: str) -> Txid:
    """Spend coins of the wallet past its owner, as somebody with both keys would; who had them is dropped."""
    return desk.spend_elsewhere(account, list(outpoints), to)
