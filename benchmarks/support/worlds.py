"""A chain to follow: simulated, or that of a real daemon on a private chain."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import TwoStepBackend
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.tools.broadcast import Broadcaster
from cryptoassets_simnet import Simnet
from support.books import configured_app, own_address
from support.counting import Meter

#: Whole coins of each deposit.
AMOUNT = Decimal("0.01")

#: What a payment that we make by hand leaves to the miner, whole coins.
_FEE = Decimal("0.0002")

#: Coins that are made in one transaction, to be paid with; many more would not be relayed.
_POTS = 1000

_names = itertools.count()


class World(ABC):
    """An app whose one coin follows a chain on which we can do as we like."""

    def __init__(self, url: str, symbol: str, backend: dict[str, Any]) -> None:
        #: Where another process finds it.
        self.place = (url, symbol, backend)
        self.app = configured_app(url, symbol=symbol, backend=backend)
        self.app.create_tables()
        self.coin = self.app.coins.get(symbol)
        if not isinstance(self.coin.backend, TwoStepBackend) or self.app.engine is None:
            raise SystemExit("the world needs a database and a backend that can send")
        self.backend = self.coin.backend
        self.updater = TransactionUpdater(self.app.conflict_resolver, self.backend, self.coin)
        self.wallet_id, self.account_id = self.app.conflict_resolver.run(self._make_account)
        self.meter = Meter(self.app.engine, self.backend)

    @abstractmethod
    def pay(self, addresses: Sequence[str], amount: Decimal) -> None:
        """Deposit to each address from outside, each in a network transaction of its own."""

    @abstractmethod
    def mine(self) -> None:
        """Add a block with everything that waits."""

    @abstractmethod
    def outside(self, number: int) -> list[str]:
        """Return different addresses of somebody else."""

    def receiving_addresses(self, number: int, account_ids: Sequence[int] = ()) -> list[str]:
        """Make receiving addresses of the account, or of others in turn."""

        def work(session: Session) -> list[str]:
            wallet = self.coin.wallet_model.get_by_id(session, self.wallet_id)
            model = self.coin.account_model
            accounts = [session.get_one(model, id_) for id_ in account_ids or [self.account_id]]
            return [
                wallet.create_receiving_address(accounts[each % len(accounts)], automatic_label=True).address
                for each in range(number)
            ]

        return self.app.conflict_resolver.run(work)

    def queue_withdrawals(self, number: int, amount: Decimal) -> None:
        """Ask for payments to different addresses."""

        def work(session: Session) -> None:
            wallet = self.coin.wallet_model.get_by_id(session, self.wallet_id)
            for address in self.outside(number):
                wallet.send_external(self.account_id, address, amount, None)

        self.app.conflict_resolver.run(work)

    def broadcaster(self) -> Broadcaster:
        """Return what sends this wallet's withdrawals."""
        with self.app.open_session() as session:
            wallet = self.coin.wallet_model.get_by_id(session, self.wallet_id)
            return Broadcaster(wallet, self.app.conflict_resolver, self.backend, coin=self.coin)

    def close(self) -> None:
        """Let go of everything."""
        self.app.close()

    def _make_account(self, session: Session) -> tuple[int, int]:
        wallet = self.coin.wallet_model.get_or_create_by_name("benchmark", session)
        return wallet.id, wallet.get_or_create_account_by_name("account").id


class SimulatedWorld(World):
    """The file of ``cryptoassets-simnet``."""

    def __init__(self, url: str, directory: Path) -> None:
        path = directory / f"chain-{next(_names)}.sqlite"
        super().__init__(url, "btc", {"name": "simnet", "path": str(path)})
        self.simnet = Simnet(path, self.coin.description, network="regtest")

    def pay(self, addresses: Sequence[str], amount: Decimal) -> None:
        for address in addresses:
            self.simnet.pay(address, amount)

    def mine(self) -> None:
        self.simnet.mine()

    def outside(self, number: int) -> list[str]:
        return [own_address(place) for place in range(1, number + 1)]

    def close(self) -> None:
        self.simnet.close()
        super().close()


class NodeWorld(World):
    """A wallet of a real ``litecoind``; everybody else is the miner's wallet."""

    def __init__(self, url: str, node: RegtestNode) -> None:
        name = f"benchmark-{next(_names)}"
        node.create_wallet(name)
        self.node = node
        super().__init__(url, "ltc", {"name": "bitcoind", "url": node.url(name), "timeout": 60})

    def pay(self, addresses: Sequence[str], amount: Decimal) -> None:
        for start in range(0, len(addresses), _POTS):
            self._pay(addresses[start : start + _POTS], amount)
        self.node.sync()

    def _pay(self, addresses: Sequence[str], amount: Decimal) -> None:
        # Each payment is made by hand of a confirmed coin of its own: daemons refuse long chains of unconfirmed change,
        # and choose slowly among thousands of coins.
        pots = self.outside(len(addresses))
        self.node.rpc("sendmany", "", dict.fromkeys(pots, amount + _FEE), wallet="")
        self.mine()
        coins: Any = self.node.rpc("listunspent", 1, 9_999_999, pots, wallet="")
        for coin, address in zip(coins, addresses, strict=True):
            spent = [{"txid": coin["txid"], "vout": coin["vout"]}]
            raw = self.node.rpc("createrawtransaction", spent, {address: amount})
            signed: Any = self.node.rpc("signrawtransactionwithwallet", raw, wallet="")
            self.node.rpc("sendrawtransaction", signed["hex"])

    def mine(self) -> None:
        self.node.mine()
        self.node.sync()

    def outside(self, number: int) -> list[str]:
        return [str(self.node.rpc("getnewaddress", wallet="")) for _ in range(number)]


@contextmanager
def running_node() -> Iterator[RegtestNode]:
    """Lend a daemon whose miner has coins to give away."""
    with RegtestNode() as node:
        node.mine_coins()
        yield node
