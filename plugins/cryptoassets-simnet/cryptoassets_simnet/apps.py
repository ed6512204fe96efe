"""An application on a simulated network, for tests: time passes when the test says so."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.testing.apps import CoinUnderTest, make_app
from cryptoassets_simnet import wallet
from cryptoassets_simnet.simnet import Simnet


class SimnetApp(CoinUnderTest):
    """One coin of an app and the network it is on. Whatever happens on the network is in the books at once.

    :ivar net: the network, for what the methods here do not offer, such as faults.
    """

    def __init__(self, url: str, chain: Path, *, symbol: str = "btc", **coin_settings: Any) -> None:
        """
        :param url: of an empty database.
        :param chain: file of the simulated chain, made here.
        :param coin_settings: more settings of the coin, such as ``confirmation_count``.
        """
        coin = {"network": "regtest", "backend": {"name": "simnet", "path": str(chain)}, **coin_settings}
        super().__init__(make_app(url, {symbol: coin}), symbol)
        self.net = Simnet(chain, self.coin.description, network=self.coin.network)

    def pay(self, account: int, amount: Decimal) -> Txid:
        """Let somebody outside pay an account; the deposit is not in a block yet."""
        txid = self.net.pay(self.new_address(account), amount)
        self.follow()
        return txid

    def outside_address(self) -> str:
        """Return an address of somebody else."""
        with self.net.file.write() as db:
            return wallet.foreign_address(db, self.net.facts)

    def mine(self, blocks: int = 1) -> None:
        """Send the withdrawals that wait, and add blocks."""
        self.broadcast()
        for _ in range(blocks):
            self.net.mine()
            self.follow()

    def reorg(self, depth: int, *, drop: Sequence[Txid] = ()) -> None:
        """Replace the last blocks by a longer branch without their transactions."""
        self.net.reorg(depth, drop=drop)
        self.follow()

    def double_spend(self, txid: Txid) -> None:
        """Replace a deposit by a rival that does not pay us; an unconfirmed one dies with the next block."""
        self.net.double_spend(txid)
        self.follow()

    def close(self) -> None:
        """Let go of everything."""
        self.app.close()
        self.net.close()
