"""Books that follow a real daemon on a private chain."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

from chain_world import Books, make_app

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.testing.requirements import require

_names = (f"chain-{number}" for number in itertools.count())


class Litecoin(Books):
    """Books that follow a wallet of a real daemon; everybody else is the daemon's unnamed wallet."""

    def __init__(self, url: str, node: RegtestNode) -> None:
        self.node = node
        self.wallet = next(_names)
        node.create_wallet(self.wallet)
        super().__init__(make_app(url, "ltc", {"name": "bitcoind", "url": node.url(self.wallet)}), "ltc")

    def close(self) -> None:
        self.app.close()

    def pay(self, address: str, amount: str) -> Txid:
        txid = Txid(str(self.node.rpc("sendtoaddress", address, Decimal(amount), wallet="")))
        self.node.sync()
        return txid

    def step(self, blocks: int = 1) -> None:
        """Mine block by block and follow each."""
        for _ in range(blocks):
            self.node.mine()
            self.node.sync()
            self.updater.poll()

    def funded(self, *amounts: str) -> int:
        address = self.address()
        for amount in amounts:
            self.pay(address, amount)
        self.step(3)
        return self.account()

    def outside(self) -> str:
        return str(self.node.rpc("getnewaddress", wallet=""))

    def paid(self, address: str) -> Decimal:
        self.node.sync()
        return Decimal(str(self.node.rpc("getreceivedbyaddress", address, 0, wallet="")))

    def own(self, method: str, *params: object) -> Any:
        return self.node.rpc(method, *params, wallet=self.wallet)

    def balance_of_node(self) -> Decimal:
        self.node.sync()
        return self.backend.get_backend_balance()

    def spend(self, coin: Any, outputs: object, *, wallet: str = "") -> str:
        """Sign a transaction over a coin; it is not published, and with a ``sequence`` of 0 it can be replaced."""
        spent = {key: coin[key] for key in ("txid", "vout", "sequence") if key in coin}
        raw = self.node.rpc("createrawtransaction", [spent], outputs)
        signed: Any = self.node.rpc("signrawtransactionwithwallet", raw, wallet=wallet)
        assert signed["complete"]
        return str(signed["hex"])

    def mine_exactly(self, *raw: str) -> None:
        """Make a block of these transactions, whatever waits."""
        self.node.rpc("generateblock", self.outside(), list(raw))
        self.node.sync()

    def take_back(self, blocks: int) -> None:
        """Take the last blocks off the chain; what was in them waits again."""
        height = int(str(self.node.rpc("getblockcount")))
        self.node.rpc("invalidateblock", self.node.rpc("getblockhash", height - blocks + 1))
        self.node.sync()


@contextmanager
def alone(url: str, *, blocks: int = 0, options: Sequence[str] = ()) -> Iterator[Litecoin]:
    """Lend books on a daemon of their own, which a test may stop and whose chain it may cut short.

    :param blocks: rewards that are to be had beside the first coins.
    :param options: more command-line options of the daemon.
    """
    require("litecoind", "litecoind")
    with RegtestNode(options=options) as running:
        running.mine_coins()
        if blocks:
            running.mine(blocks)
        with closing(Litecoin(url, running)) as made:
            yield made
