"""The outside world as it is: a real Litecoin daemon, on a private chain whose coins are worth nothing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from network import HERE

from cryptoassets_bitcoind.testing import RegtestNode

#: Who pays and is paid: the daemon's first wallet, which gets the block rewards too.
OUTSIDE: Final = ""
#: The wallet that the configuration names.
HOT_WALLET: Final = "hot"


class LitecoindNetwork:
    """A daemon of our own with two wallets. Each change in them starts ``curl``, which tells the helper daemon."""

    title = "Litecoin Core on a private chain"
    template = HERE / "litecoind.yaml"

    def __init__(self, *, walletnotify_port: int, database_url: str) -> None:
        """
        :param walletnotify_port: where the helper daemon takes notifications.
        :param database_url: SQLAlchemy URL of an empty database.
        """
        self.node = RegtestNode(walletnotify=f"curl -s -m 10 -d txid=%s http://127.0.0.1:{walletnotify_port}/")
        self._settings = {
            "node_url": self.node.url(HOT_WALLET),
            "walletnotify_port": walletnotify_port,
            "database_url": database_url,
        }

    def __enter__(self) -> Self:
        self.node.__enter__()
        try:
            self.node.create_wallet(HOT_WALLET)
            self.node.mine_coins()
        except BaseException:
            self.node.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.close()

    @property
    def settings(self) -> Mapping[str, object]:
        return self._settings

    def pay(self, address: str, amount: Decimal) -> str:
        return str(self.node.rpc("sendtoaddress", address, f"{amount:f}", wallet=OUTSIDE))

    def mine(self, blocks: int = 1) -> None:
        self.node.mine(blocks)

    def outside_address(self) -> str:
        return str(self.node.rpc("getnewaddress", wallet=OUTSIDE))

    def received(self, address: str) -> Decimal:
        """Return the whole coins that somebody outside was paid to an address, unconfirmed ones included."""
        return Decimal(str(self.node.rpc("getreceivedbyaddress", address, 0, wallet=OUTSIDE)))

    def balance(self) -> Decimal:
        balances: Any = self.node.rpc("getbalances", wallet=HOT_WALLET)
        return sum((Decimal(balances["mine"][kind]) for kind in ("trusted", "untrusted_pending")), Decimal(0))

    def fees(self) -> Mapping[str, Decimal]:
        rows: Any = self.node.rpc("listtransactions", "*", 1000, wallet=HOT_WALLET)
        return {row["txid"]: -Decimal(row["fee"]) for row in rows if row["category"] == "send"}
