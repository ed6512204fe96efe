"""The simulated network as the conformance suite for backends moves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.testing.backendworld import BackendWorld
from cryptoassets_simnet import faults, wallet
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions
from cryptoassets_simnet.faults import FaultKind
from cryptoassets_simnet.simnet import Simnet

#: More calls than a test makes.
_ALL_CALLS = 1_000


class SimnetWorld(BackendWorld):
    """A chain file with a backend on it."""

    def __init__(
        self,
        path: Path,
        coin: CoinDescription,
        *,
        network: Network = "regtest",
        backend_class: type[SimnetBackend] = SimnetBackend,
    ) -> None:
        self.net = Simnet(path, coin, network=network)
        self._coin = coin
        self._backend_class = backend_class
        self._backends: list[SimnetBackend] = []
        self.backend = self._open(network)

    def outside_address(self) -> str:
        with self.net.file.write() as db:
            return wallet.foreign_address(db, self.net.facts)

    def pay(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        return self.net.pay_many(outputs)

    def mine(self, blocks: int = 1) -> None:
        self.net.mine(blocks)

    def reorganise(self, depth: int) -> None:
        self.net.reorg(depth)

    def double_spend(self, txid: Txid) -> None:
        self.net.double_spend(txid)

    def reward(self, address: str) -> None:
        self.net.reward(address)

    def fund(self, amount: Decimal) -> None:
        self.net.fund(amount)

    def another_backend(self) -> SimnetBackend:
        return self._open(self.net.facts.network)

    def misplaced_backend(self) -> SimnetBackend:
        (other, *_) = set(self._coin.networks) - {self.net.facts.network, "main"}
        return self._open(other)

    @contextmanager
    def down(self) -> Iterator[None]:
        self.net.set_down(True)
        yield
        self.net.set_down(False)

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        for method in faults.METHODS:
            self.net.fault(method, FaultKind.TIMEOUT_AFTER, count=_ALL_CALLS)
        yield
        self.net.clear_faults()

    def close(self) -> None:
        for backend in self._backends:
            backend.close()
        self.net.close()

    def _open(self, network: Network) -> SimnetBackend:
        backend = self._backend_class(self._coin, network, SimnetOptions(path=self.net.file.path))
        self._backends.append(backend)
        return backend
