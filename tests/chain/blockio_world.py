"""Books on a wallet of the hosted service's stand-in; also run by child processes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chain_world import Books, make_app

from cryptoassets_blockio.testing import Account
from cryptoassets_core.backend.base import Txid


class Hosted(Books):
    """Books that follow an account of the stand-in, which may run in another process."""

    def __init__(self, url: str, symbol: str, service: dict[str, Any]) -> None:
        """
        :param service: options of the backend.
        """
        self.url = url
        self.symbol = symbol
        self.service = service
        super().__init__(make_app(url, symbol, {"name": "blockio", **service}, network="test"), symbol)

    def reopened(self) -> Hosted:
        """Open the same books again, as another process would."""
        return Hosted(self.url, self.symbol, self.service)

    def close(self) -> None:
        self.app.close()


class HostedWorld(Hosted):
    """The same with the account in hand."""

    def __init__(self, url: str, account: Account, service_url: str) -> None:
        self.service_account = account
        options = {"api_key": account.api_key, "pin": account.pin, "url": service_url, "timeout": 5}
        super().__init__(url, account.coin.symbol, options)

    def pay(self, address: str, amount: str) -> Txid:
        return self.service_account.pay([(address, Decimal(amount))])

    def step(self, blocks: int = 1) -> None:
        """Mine block by block and follow each."""
        for _ in range(blocks):
            self.service_account.mine()
            self.updater.poll()

    def funded(self, amount: str, *, coins: int = 1) -> int:
        """Credit an account with deposits of the same size and return its id."""
        address = self.address()
        for _ in range(coins):
            self.pay(address, amount)
        self.step(self.coin.confirmation_count)
        return self.account()

    def outside(self, number: int) -> str:
        return self.service_account.outside_address(number)

    def paid(self, address: str) -> list[Decimal]:
        """Return what the network carries to an address, output by output."""
        with self.service_account.lock:
            return [
                Decimal(self.service_account.shown(output.amount_minor))
                for entry in self.service_account.chain.entries.values()
                for payee, output in zip(entry.payees, entry.transaction.outputs, strict=True)
                if payee == address and not entry.conflicted
            ]
