"""The backend keeps the contract of backends on a real daemon, also when the way to it fails."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.options import BitcoindOptions
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.testing import BackendSuite, BackendWorld

pytestmark = pytest.mark.regtest

#: Whole coins that the others pay for a transaction.
_FEE = Decimal("0.001")

_names = (f"conforming-{number}" for number in itertools.count())


class TestBitcoindBackend(BackendSuite):
    backend_class = BitcoindBackend
    can_create_addresses = can_receive = can_mine = can_list_changes = can_reorg = can_double_spend = can_reward = True
    can_send = can_tell_fee = can_tell_bad_recipient = can_tell_dust = True
    can_tell_network = can_go_down = can_lose_answers = True

    @pytest.fixture
    def world(self, node: RegtestNode, coin: CoinDescription) -> Iterator[BackendWorld]:
        with closing(NodeWorld(node, coin)) as world:
            yield world


class NodeWorld(BackendWorld):
    """A wallet of a daemon whose unnamed wallet is everybody else's."""

    def __init__(self, node: RegtestNode, coin: CoinDescription) -> None:
        self._node = node
        self._coin = coin
        self._wallet = next(_names)
        node.create_wallet(self._wallet)
        self._gate = Gate(node.port)
        self._backends: list[BitcoindBackend] = []
        self.backend = self._open("regtest")

    def outside_address(self) -> str:
        return str(self._node.rpc("getnewaddress", wallet=""))

    def sync(self) -> None:
        self._node.sync()

    def pay(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        return self._publish(self._signed(outputs, self._coin_of(sum((amount for _, amount in outputs), Decimal(0)))))

    def mine(self, blocks: int = 1) -> None:
        self._node.mine(blocks)

    def reorganise(self, depth: int) -> None:
        height: Any = self._node.rpc("getblockcount")
        waiting: Any = self._node.rpc("getrawmempool")
        self._node.rpc("invalidateblock", self._node.rpc("getblockhash", height - depth + 1))
        for _ in range(depth + 1):
            self._node.rpc("generateblock", self.outside_address(), [])
        assert set(waiting) <= set(self._mempool())

    def double_spend(self, txid: Txid) -> None:
        deposit: Any = self._node.rpc("gettransaction", txid, wallet=self._wallet)
        raw: Any = self._node.rpc("decoderawtransaction", deposit["hex"])
        self._node.rpc("invalidateblock", deposit["blockhash"])
        coins: list[dict[str, Any]] = []
        for spent in raw["vin"]:
            output: Any = self._node.rpc("gettxout", spent["txid"], spent["vout"], False)
            coins.append({"txid": spent["txid"], "vout": spent["vout"], "amount": output["value"]})
        rival = self._signed([(self.outside_address(), self.payment / 2)], coins)
        self._node.rpc("generateblock", self.outside_address(), [rival])
        self.mine(deposit["confirmations"])

    def reward(self, address: str) -> None:
        self._node.mine(address=address)

    def fund(self, amount: Decimal) -> None:
        self._node.rpc("sendtoaddress", self._node.rpc("getnewaddress", wallet=self._wallet), amount, wallet="")
        self._node.mine()

    def another_backend(self) -> BitcoindBackend:
        return self._open("regtest")

    def misplaced_backend(self) -> BitcoindBackend:
        return self._open("main")

    @contextmanager
    def down(self) -> Iterator[None]:
        self._gate.close()
        yield
        self._gate.open()

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        self._gate.losing = True
        yield
        self._gate.losing = False

    def close(self) -> None:
        for backend in self._backends:
            backend.close()
        self._gate.close()
        self._node.rpc("unloadwallet", self._wallet)

    def _open(self, network: Network) -> BitcoindBackend:
        url = urlsplit(self._node.url(self._wallet))
        through = url._replace(netloc=url.netloc.replace(str(url.port), str(self._gate.port))).geturl()
        self._backends.append(BitcoindBackend(self._coin, network, BitcoindOptions.model_validate({"url": through})))
        return self._backends[-1]

    def _coin_of(self, least: Decimal) -> list[dict[str, Any]]:
        """Find a confirmed coin of the others that pays for so much, the fee included."""
        coins: Any = self._node.rpc("listunspent", 1, 9_999_999, [], True, {"minimumAmount": least + _FEE}, wallet="")
        return coins[:1]  # type: ignore[no-any-return]

    def _signed(self, outputs: Sequence[tuple[str, Decimal]], coins: list[dict[str, Any]]) -> str:
        """Let the others spend coins.

        An address may occur twice, which no call of a daemon can say: each output goes to an address of its own, whose
        script is then replaced.
        """
        stand_ins = {self.outside_address(): (to, amount) for to, amount in outputs}
        change = sum(coin["amount"] for coin in coins) - sum(amount for _, amount in outputs) - _FEE
        payments = {key: amount for key, (_, amount) in stand_ins.items()} | {self.outside_address(): change}
        raw = str(self._node.rpc("createrawtransaction", coins, payments))
        for stand_in, (to, _) in stand_ins.items():
            raw = raw.replace(self._script(stand_in), self._script(to))
        signed: Any = self._node.rpc("signrawtransactionwithwallet", raw, wallet="")
        assert signed["complete"], signed
        return str(signed["hex"])

    def _publish(self, raw: str) -> Txid:
        txid = Txid(str(self._node.rpc("sendrawtransaction", raw, "0")))
        self.sync()
        return txid

    def _script(self, address: str) -> str:
        facts: Any = self._node.rpc("validateaddress", address)
        return str(facts["scriptPubKey"])

    def _mempool(self) -> list[str]:
        found: Any = self._node.rpc("getrawmempool")
        return list(found)


class Gate:
    """The way from the backend to the daemon, which can be closed, and on which answers can get lost."""

    def __init__(self, node_port: int) -> None:
        self.losing = False
        self.port = 0
        self._node_port = node_port
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                gate.pass_on(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self._server is None:
            request.close_connection = True
            return
        node = http.client.HTTPConnection("127.0.0.1", self._node_port)
        with closing(node):
            node.request("POST", request.path, body, dict(request.headers))
            answer = node.getresponse()
            told = answer.read()
        if self.losing:
            request.close_connection = True
            return
        request.send_response(answer.status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(told)))
        request.end_headers()
        request.wfile.write(told)
