"""The outside world of the story: a coin network, and somebody on it who pays and is paid."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from cryptoassets_btc.coin import BITCOIN
from cryptoassets_simnet import Simnet

HERE: Final = Path(__file__).parent


class Network(Protocol):
    """What the story needs of a network. It asks the network itself and not the library, so that it can compare.

    :ivar title: what it is, for people.
    :ivar template: the configuration file of the story on this network.
    """

    title: str
    template: Path

    @property
    def settings(self) -> Mapping[str, object]:
        """What the configuration file leaves open about the network."""

    def pay(self, address: str, amount: Decimal) -> str:
        """Have somebody outside pay whole coins; returns the txid."""

    def mine(self, blocks: int = 1) -> None:
        """Add blocks."""

    def outside_address(self) -> str:
        """Make an address of somebody outside."""

    def balance(self) -> Decimal:
        """Return the whole coins in the wallet that the daemon uses, unconfirmed ones included."""

    def fees(self) -> Mapping[str, Decimal]:
        """Return what that wallet paid for each network transaction that it made, by txid."""


class SimulatedNetwork:
    """A SIMULATION in a file of the story's directory: no real coin ever moves."""

    title = "a simulated Bitcoin network"
    template = HERE / "simnet.yaml"

    def __init__(self, directory: Path) -> None:
        self.chain_file = directory / "chain.simnet"
        self.simnet = Simnet(self.chain_file, BITCOIN, network="regtest")
        # Another file is another network, and so its addresses are nobody's here.
        self._outside = Simnet(directory / "outside.simnet", BITCOIN, network="regtest")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simnet.close()
        self._outside.close()

    @property
    def settings(self) -> Mapping[str, object]:
        return {}

    def pay(self, address: str, amount: Decimal) -> str:
        return self.simnet.pay(address, amount)

    def mine(self, blocks: int = 1) -> None:
        self.simnet.mine(blocks)

    def outside_address(self) -> str:
        return self._outside.create_address()

    def balance(self) -> Decimal:
        return self.simnet.balance()

    def fees(self) -> Mapping[str, Decimal]:
        return {
            transaction.txid: transaction.fee
            for transaction in self.simnet.transactions(limit=1000)
            if transaction.fee is not None
        }
