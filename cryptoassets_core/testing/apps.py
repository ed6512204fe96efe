"""An application in a test: an app with tables, and one coin of it used as a shop does."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import OneShotBackend, TwoStepBackend
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.tools.audit import audit
from cryptoassets_core.tools.broadcast import Broadcaster, wallets_to_broadcast


def make_app(url: str, coins: Mapping[str, Any], **settings: Any) -> CryptoAssetsApp:
    """Set up an app and its tables.

    :param url: of an empty database.
    :param coins: the section ``coins`` of a configuration.
    :param settings: its other sections.
    """
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict({"database": {"url": url}, "coins": coins, **settings})
    app.setup_session()
    app.create_tables()
    return app


class CoinUnderTest:
    """One coin of an app, with a wallet named ``shop``; the test does by hand what the daemon does by the clock.

    :ivar app: the app.
    :ivar coin: the coin.
    """

    def __init__(self, app: CryptoAssetsApp, symbol: str) -> None:
        self.app = app
        self.coin: Coin = app.coins.get(symbol)
        if self.coin.backend is None:
            raise ConfigurationError(f"coins.{symbol}: a coin under test needs a backend")
        self._backend = self.coin.backend
        self._updater = TransactionUpdater(app.conflict_resolver, self._backend, self.coin)

    def new_account(self, name: str) -> int:
        """Make an account, or find it, and return its id."""

        def work(session: Any) -> int:
            wallet = self.coin.wallet_model.get_or_create_by_name("shop", session)
            return wallet.get_or_create_account_by_name(name).id

        return self.app.conflict_resolver.run(work)

    def new_address(self, account: int) -> str:
        """Make a receiving address of an account."""

        def work(session: Any) -> str:
            owner = session.get_one(self.coin.account_model, account)
            address: str = owner.wallet.create_receiving_address(owner, automatic_label=True).address
            return address

        return self.app.conflict_resolver.run(work)

    def owner(self, address: str) -> int | None:
        """Return the account that receives what is paid to an address, None if it is nobody's here."""

        def work(session: Any) -> int | None:
            wallet = self.coin.wallet_model.get_or_create_by_name("shop", session)
            account = wallet.get_account_by_address(address)
            return None if account is None else account.id

        return self.app.conflict_resolver.run(work)

    def top_up(self, account: int, amount: Decimal) -> None:
        """Give coins to an account that the backend knows nothing of."""

        def work(session: Any) -> None:
            owner = session.get_one(self.coin.account_model, account)
            owner.wallet.import_balance(owner, amount)

        self.app.conflict_resolver.run(work)

    def pay_inside(self, sender: int, receiver: int, amount: Decimal) -> None:
        """Move coins from one account to another; the network never sees them."""

        def work(session: Any) -> None:
            session.get_one(self.coin.account_model, sender).wallet.send_internal(sender, receiver, amount, None)

        self.app.conflict_resolver.run(work)

    def withdraw(self, account: int, address: str, amount: Decimal, *, force_external: bool = False) -> int:
        """Queue a withdrawal and return its id.

        :param force_external: pay over the network even an address of the shop's own.
        """

        def work(session: Any) -> int:
            owner = session.get_one(self.coin.account_model, account)
            queued: int = owner.wallet.send(owner, address, amount, None, force_external).id
            return queued

        return self.app.conflict_resolver.run(work)

    def balance(self, account: int) -> Decimal:
        """Return what an account can spend, in whole coins."""
        with self.app.open_readonly_session() as session:
            return session.get_one(self.coin.account_model, account).balance

    def unexplained(self) -> Decimal:
        """Return by how many whole coins the backend holds more than the accounts have; 0 when nothing is under way."""

        def work(session: Any) -> Decimal:
            return self.coin.wallet_model.get_or_create_by_name("shop", session).refresh_total_balance()

        return self.app.conflict_resolver.run(work)

    def follow(self) -> int:
        """Bring the books up to date with the chain.

        :returns: how many events were written.
        """
        return self._updater.follow()

    def broadcast(self) -> int:
        """Send the withdrawals that wait.

        :returns: how many network transactions were handed over.
        """
        if not isinstance(self._backend, TwoStepBackend | OneShotBackend):
            raise ConfigurationError(f"the backend of {self.coin.name} sends nothing")
        resolver, backend = self.app.conflict_resolver, self._backend
        wallets = resolver.run(lambda session: wallets_to_broadcast(session, self.coin))
        return sum(Broadcaster(wallet, resolver, backend, coin=self.coin).do_broadcasts().count for wallet in wallets)

    def audit(self) -> list[str]:
        """Return what is wrong with the books; an empty list is well."""
        with self.app.open_readonly_session() as session:
            return [str(finding) for finding in audit(session, self.coin)]
