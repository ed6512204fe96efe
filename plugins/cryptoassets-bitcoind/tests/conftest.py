"""A real daemon for the whole session, fresh wallets for every test, and servers that misbehave as no daemon does."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.options import BitcoindOptions
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Outpoint
from cryptoassets_core.coin.description import AddressRules, CoinDescription, Network
from cryptoassets_core.errors import OutcomeUnknownError
from cryptoassets_core.testing.requirements import require

LITECOIN = CoinDescription(
    symbol="ltc",
    title="Litecoin",
    models="tests.none",
    networks={
        "main": AddressRules(p2pkh=(0x30,), p2sh=(0x32, 0x05), bech32_hrp="ltc"),
        "regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0x3A, 0xC4), bech32_hrp="rltc"),
    },
    dust=Decimal("0.00005460"),
    uri_scheme="litecoin",
)

_names = (f"wallet-{number}" for number in itertools.count())


@pytest.fixture
def coin() -> CoinDescription:
    return LITECOIN


@pytest.fixture(scope="session")
def node() -> Iterator[RegtestNode]:
    """A daemon whose unnamed wallet has coins to give away."""
    require("litecoind", "litecoind")
    with RegtestNode() as running:
        running.mine_coins()
        # The first blocks of regtest pay 50 coins each, which halves every 150 blocks: enough for all tests.
        running.mine(40)
        yield running


class LosingAnswers(RpcClient):
    """Talks to the real daemon, and loses the answer of one method."""

    lost = ""

    def call(self, method: str, *params: object) -> object:
        answer = super().call(method, *params)
        if method == self.lost:
            raise OutcomeUnknownError(f"no answer to {method}")
        return answer


class Wallet:
    """A wallet of the daemon and the backend that works on it."""

    def __init__(self, node: RegtestNode, name: str, options: dict[str, object]) -> None:
        self.node = node
        self.name = name
        url = node.create_wallet(name)
        self.backend = make_backend(url, "regtest", options)

    def rpc(self, method: str, *params: object) -> object:
        return self.node.rpc(method, *params, wallet=self.name)

    def locked(self) -> set[Outpoint]:
        """Say which coins the daemon keeps from being spent."""
        rows: Any = self.rpc("listlockunspent")
        return {Outpoint(row["txid"], row["vout"]) for row in rows}

    def lose_answers(self) -> LosingAnswers:
        """Have the backend lose the answers of one method, named later."""
        losing = self.backend.rpc = LosingAnswers(self.backend.rpc.endpoint, timeout=15)
        return losing

    def fund(self, *amounts: str, confirmations: int = 1) -> None:
        """Pay each amount to an address of its own."""
        for amount in amounts:
            self.node.rpc("sendtoaddress", self.rpc("getnewaddress"), Decimal(amount), wallet="")
        if confirmations:
            self.node.mine(confirmations)


def make_backend(url: str, network: Network, options: dict[str, object]) -> BitcoindBackend:
    return BitcoindBackend(LITECOIN, network, BitcoindOptions.model_validate({"url": url, **options}))


@pytest.fixture
def connect() -> Iterator[Callable[..., BitcoindBackend]]:
    """Make backends for URLs, and close them in the end."""
    made: list[BitcoindBackend] = []

    def connect(url: str, *, network: Network = "regtest", **options: object) -> BitcoindBackend:
        made.append(make_backend(url, network, options))
        return made[-1]

    yield connect
    for backend in made:
        backend.close()


@pytest.fixture
def new_wallet(node: RegtestNode) -> Iterator[Callable[..., Wallet]]:
    """Make wallets on the session's daemon."""
    made: list[Wallet] = []

    def new_wallet(**options: object) -> Wallet:
        made.append(Wallet(node, next(_names), options))
        return made[-1]

    yield new_wallet
    for wallet in made:
        wallet.backend.close()
        node.rpc("unloadwallet", wallet.name)


@pytest.fixture
def wallet(new_wallet: Callable[..., Wallet]) -> Wallet:
    """A wallet that is ours, empty."""
    return new_wallet()


@pytest.fixture
def outside(node: RegtestNode) -> Callable[[], str]:
    """Make addresses of somebody else."""
    return lambda: str(node.rpc("getnewaddress", wallet=""))


#: What a scripted server answers to one request; nothing (``b""``) is to hang up, None is to stay silent.
Script = Callable[[bytes], bytes | None]


class ScriptedServer:
    """Takes HTTP requests on a real socket and answers whatever bytes it is told to."""

    def __init__(self, script: Script, *, keep_alive: bool = False) -> None:
        self.requests: list[bytes] = []
        self._script = script
        self._keep_alive = keep_alive
        self._stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.01)
        self.url = f"http://user:s3cret-password@127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.01)
                while self._answer(connection) and self._keep_alive:
                    pass

    def _answer(self, connection: socket.socket) -> bool:
        request = self._read(connection)
        if not request:
            return False
        self.requests.append(request)
        answer = self._script(request)
        if answer is None:
            self._stopping.wait()
            return False
        connection.sendall(answer)
        return bool(answer)

    def _read(self, connection: socket.socket) -> bytes:
        request = b""
        while not self._stopping.is_set():
            head, separator, body = request.partition(b"\r\n\r\n")
            length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if separator and len(body) >= int(length[0].split(b":")[1]):
                return request
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
            if not received:
                return b""
            request += received
        return b""


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers, and end them with the test."""
    servers: list[ScriptedServer] = []

    def serve(script: Script, *, keep_alive: bool = False) -> ScriptedServer:
        servers.append(ScriptedServer(script, keep_alive=keep_alive))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def fresh_node() -> Iterator[RegtestNode]:
    """A daemon that the test may stop, with an empty chain."""
    require("litecoind", "litecoind")
    with RegtestNode() as running:
        yield running
