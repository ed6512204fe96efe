"""The stand-in as the conformance suite for backends moves it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.options import BlockIoOptions
from cryptoassets_blockio.testing.account import Account
from cryptoassets_blockio.testing.faults import Fault
from cryptoassets_blockio.testing.standin import StandIn, fund
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.testing.backendworld import BackendWorld


class BlockIoWorld(BackendWorld):
    """A stand-in with one account and a backend on it. Double spends show, which is an assumption."""

    def __init__(self, coin: CoinDescription, network: Network = "test") -> None:
        self.service = StandIn()
        self.service.__enter__()
        self.account: Account = self.service.open_account(coin, network)
        self.account.behaviour.shows_conflicts = True
        self._numbers = itertools.count()
        self._backends: list[BlockIoBackend] = []
        self.backend = self._open(network)

    def outside_address(self) -> str:
        return self.account.outside_address(next(self._numbers))

    def pay(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        return self.account.pay(outputs)

    def mine(self, blocks: int = 1) -> None:
        self.account.mine(blocks)

    def reorganise(self, depth: int) -> None:
        with self.account.lock:
            self.account.chain.take_back(depth)
            self.account.mine(depth + 1, leave=list(self.account.chain.waiting))

    def double_spend(self, txid: Txid) -> None:
        with self.account.lock:
            depth = max(self.account.chain.confirmations(self.account.chain.entries[txid]), 1)
            self.account.chain.take_back(depth)
            self.account.chain.drop(txid)
            self.account.mine(depth + 1, leave=list(self.account.chain.waiting))

    def fund(self, amount: Decimal) -> None:
        fund(self.account, amount)

    def another_backend(self) -> BlockIoBackend:
        return self._open(self.account.network)

    def misplaced_backend(self) -> BlockIoBackend:
        return self._open("main" if self.account.network == "test" else "test")

    @contextmanager
    def down(self) -> Iterator[None]:
        self.service.faults.always = Fault.DROP_BEFORE
        yield
        self.service.faults.clear()

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        self.service.faults.always = Fault.DROP_AFTER
        yield
        self.service.faults.clear()

    def close(self) -> None:
        for backend in self._backends:
            backend.close()
        self.service.__exit__(None, None, None)

    def _open(self, network: Network) -> BlockIoBackend:
        options = {"api_key": self.account.api_key, "pin": self.account.pin, "url": self.service.url, "timeout": 5}
        backend = BlockIoBackend(self.account.coin, network, BlockIoOptions.model_validate(options))
        self._backends.append(backend)
        return backend
