"""An application that holds coins for its users, as far as cryptoassets-core has to do with it.

It uses the public API and nothing else. What is left out is what makes an application: users, pages, passwords.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.models import GenericAccount, GenericWallet
from cryptoassets_core.utils.httpeventlistener import simple_http_event_listener

WALLET = "customers"


@dataclass(frozen=True, slots=True)
class Update:
    """A ``txupdate`` event: a deposit or a withdrawal was seen, or its confirmations changed."""

    #: Id of the deposit or withdrawal.
    transaction: int
    #: ``deposit`` or ``broadcast``.
    transaction_type: str
    txid: str
    #: Id of the account that receives or pays.
    account: int
    address: str
    #: Whole coins.
    amount: Decimal
    confirmations: int
    credited: bool

    @classmethod
    def from_event(cls, data: Mapping[str, Any]) -> Update:
        """Read what the daemon sent; amounts come as strings, so that they stay exact."""
        return cls(
            transaction=data["transaction"],
            transaction_type=data["transaction_type"],
            txid=data["txid"],
            account=data["account"],
            address=data["address"],
            amount=Decimal(data["amount"]),
            confirmations=data["confirmations"],
            credited=data["credited"],
        )


class Updates:
    """The events that came in, in their order; threads may wait for one."""

    def __init__(self) -> None:
        self._updates: list[Update] = []
        self._news = threading.Condition()

    def add(self, update: Update) -> None:
        """Keep an event."""
        with self._news:
            self._updates.append(update)
            self._news.notify_all()

    def of(self, txid: str) -> list[Update]:
        """Return what came in about one network transaction."""
        return [update for update in self.all() if update.txid == txid]

    def all(self) -> list[Update]:
        """Return everything that came in."""
        with self._news:
            return list(self._updates)

    def wait(self, wanted: Callable[[Update], bool], *, seconds: float) -> Update | None:
        """Return the first event that is wanted, be it there already or yet to come; None when it stays away."""

        def find() -> Update | None:
            return next((update for update in self._updates if wanted(update)), None)

        with self._news:
            return self._news.wait_for(find, timeout=seconds)


class Application:
    """Accounts of several users in one wallet of one coin.

    :ivar updates: what the helper daemon told.
    :ivar symbol: the coin, as people write it.
    """

    def __init__(self, config_file: Path) -> None:
        """Set up the application as configured, and listen for events from now on."""
        self.app = CryptoAssetsApp()
        configurator = Configurator(self.app)
        configurator.load_yaml_file(str(config_file))
        self.app.setup_session()
        ((name, self.coin),) = self.app.coins.all()
        self.symbol = name.upper()
        self.updates = Updates()

        @simple_http_event_listener(configurator.config)
        def on_event(event_name: str, data: dict[str, Any]) -> None:
            if event_name == "txupdate":
                self.updates.add(Update.from_event(data))

        self._listener = on_event

    def close(self) -> None:
        """Stop listening and let go of the database."""
        self._listener.server.stop()
        self.app.close()

    def new_address(self, user: str) -> str:
        """Make a receiving address; what is paid to it is the user's."""

        def work(session: Session) -> str:
            wallet = self._wallet(session)
            account = wallet.get_or_create_account_by_name(user)
            return wallet.create_receiving_address(account, automatic_label=True).address

        return self.app.conflict_resolver.run(work)

    def move(self, sender: str, receiver: str, amount: Decimal) -> None:
        """Give coins to another user: at once, for good and without the network."""

        def work(session: Session) -> None:
            wallet = self._wallet(session)
            wallet.send_internal(_account(wallet, sender), _account(wallet, receiver), amount, "a gift")

        self.app.conflict_resolver.run(work)

    def send(self, sender: str, address: str, amount: Decimal) -> int:
        """Pay an address; one outside is paid by the daemon, soon.

        :returns: id of the transaction.
        """

        def work(session: Session) -> int:
            wallet = self._wallet(session)
            return wallet.send(_account(wallet, sender), address, amount, "a bill").id

        return self.app.conflict_resolver.run(work)

    def balances(self) -> dict[str, Decimal]:
        """Return what each account can spend, in whole coins; the account for the network's fees is one of them."""

        def work(session: Session) -> dict[str, Decimal]:
            return {account.name: account.balance for account in self._wallet(session).accounts}

        return self.app.conflict_resolver.run(work)

    def balance(self, user: str) -> Decimal:
        """Return what a user can spend."""
        return self.balances()[user]

    def unconfirmed_balance(self, user: str) -> Decimal:
        """Return what is on its way to a user and not credited yet."""

        def work(session: Session) -> Decimal:
            return _account(self._wallet(session), user).get_unconfirmed_balance()

        return self.app.conflict_resolver.run(work)

    def transaction_state(self, transaction_id: int) -> str:
        """Return how far a transaction has come, such as ``pending``."""

        def work(session: Session) -> str:
            return session.get_one(self.coin.transaction_model, transaction_id).state.value

        return self.app.conflict_resolver.run(work)

    def _wallet(self, session: Session) -> GenericWallet:
        return self.coin.wallet_model.get_or_create_by_name(WALLET, session)


def _account(wallet: GenericWallet, user: str) -> GenericAccount:
    account = wallet.get_account_by_name(user)
    if account is None:
        raise LookupError(f"there is no user {user!r}")
    return account
