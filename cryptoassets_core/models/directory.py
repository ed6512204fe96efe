"""A wallet's name, accounts and addresses."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Select, String, select
from sqlalchemy.orm import Mapped, Query, Session, declared_attr, mapped_column, relationship
from sqlalchemy.orm.util import identity_key

from cryptoassets_core.amounts import EXACT
from cryptoassets_core.errors import (
    AddressTakenError,
    BackendError,
    BackendUnavailableError,
    BadAddress,
    CannotCreateAddress,
    LedgerError,
    NameTakenError,
    UnknownRowError,
    WrongWalletError,
)
from cryptoassets_core.ledger.fee import fee_account_id
from cryptoassets_core.ledger.loaded import as_loaded
from cryptoassets_core.ledger.upsert import insert_missing
from cryptoassets_core.models.base import SESSION_COINS, CoinModel, HasId, HasTimes
from cryptoassets_core.models.types import read_total, select_total
from cryptoassets_core.names import check_id, check_name

if TYPE_CHECKING:
    from cryptoassets_core.models.account import GenericAccount
    from cryptoassets_core.models.address import GenericAddress


class WalletDirectory(HasId, HasTimes, CoinModel):
    """The part of a wallet that knows its accounts and addresses."""

    __abstract__ = True
    role = "wallet"

    #: Unique; for the application and its operator.
    name: Mapped[str] = mapped_column(String(255), unique=True)

    @declared_attr
    def accounts(cls) -> Mapped[list[GenericAccount]]:  # noqa: N805 - SQLAlchemy calls it on the class
        """All accounts, the fee account included."""
        return relationship(cls.later("account"), back_populates="wallet")

    @property
    def balance(self) -> Decimal:
        """What all accounts have together, in whole coins, added up when asked for."""
        account = self.sibling("account")
        total = select_total(account.balance).where(account.wallet_id == self.id)
        return read_total(self.session(), total, self.coin.decimals)

    def refresh_account_balance(self, account: GenericAccount) -> Decimal:
        """Add up an account's rows and see that its balance agrees; nothing is overwritten.

        :returns: the balance, in whole coins.
        :raises LedgerError: they disagree; ``cryptoassets audit`` tells where.
        """
        account = self._own(account)
        account_id, row = account.id, self.books().transaction
        paid, received = (
            select_total(row.c.amount).where(
                row.c[f"{side}_account_id"] == account_id, row.c[f"{side}_entry"].is_not(None)
            )
            for side in ("sending", "receiving")
        )
        session = self.session()
        total = EXACT.subtract(*(read_total(session, side, self.coin.decimals) for side in (received, paid)))
        session.refresh(account)
        if total != account.balance:
            raise LedgerError(
                f"account {account_id} has {account.balance:f}, its rows add up to {total:f}; run cryptoassets audit"
            )
        return account.balance

    def refresh_total_balance(self) -> Decimal:
        """Ask the backend what it holds and compare; nothing is overwritten.

        :returns: by how many whole coins the backend holds more than all accounts have: deposits that are not credited
            and withdrawals that are not broadcast, or coins that were never imported.
        :raises BackendError: the backend cannot tell.
        """
        coin = self.configured_coin()
        if coin.backend is None:
            raise BackendUnavailableError(f"this app has no {coin.name} backend; enable Subsystem.backend")
        return EXACT.subtract(coin.backend.get_backend_balance(), self.balance)

    @classmethod
    def get_by_id(cls, session: Session, wallet_id: int) -> Self:
        """Return a wallet.

        :raises UnknownRowError: there is none of that id.
        """
        check_id(wallet_id, f"{cls.coin.symbol} wallet")
        coins = session.info.get(SESSION_COINS)
        known: set[int] = coins.get(cls.coin.symbol).known_wallets if coins is not None else set()
        if wallet_id in known:
            loaded: Self | None = session.identity_map.get(identity_key(cls, wallet_id))
            return loaded or as_loaded(session, cls, {"id": wallet_id})
        # The first thing that a transaction reads is committed; later it may be the transaction's own.
        committed = not session.in_transaction()
        wallet = session.get(cls, wallet_id)
        if wallet is None:
            raise UnknownRowError(f"there is no {cls.coin.symbol} wallet {wallet_id}")
        if committed:
            known.add(wallet_id)
        return wallet

    @classmethod
    def get_or_create_by_name(cls, name: str, session: Session) -> Self:
        """Return the wallet of that name, made if need be; safe when several do so at once."""
        check_name(name, "a wallet's name")
        wanted = select(cls).where(cls.name == name)
        wallet = session.scalar(wanted)
        if wallet is None:
            insert_missing(session, cls.books().wallet, [{"name": name}])
            wallet = session.scalars(wanted).one()
        return wallet

    # --- Accounts -------------------------------------------------------------------------------------------

    def create_account(self, name: str) -> GenericAccount:
        """Make an account in this wallet.

        :raises NameTakenError: the wallet has one of that name, or the name is reserved.
        """
        self._check_account_name(name)
        if self.get_account_by_name(name) is not None:
            raise NameTakenError(f"wallet {self.id} has an account {name!r} already; choose another name")
        account: GenericAccount = self.sibling("account")(name=name, wallet=self)
        self.session().add(account)
        return account

    def get_accounts(self) -> Query[GenericAccount]:
        """Return the query of this wallet's accounts, the fee account included."""
        account = self.sibling("account")
        query: Query[GenericAccount] = self.session().query(account)
        return query.filter(account.wallet_id == self._id())

    def get_account_by_name(self, name: str) -> GenericAccount | None:
        """Return the account of that name in this wallet, or None."""
        check_name(name, "an account's name")
        account: GenericAccount | None = self.session().scalar(self._account_of_name(name))
        return account

    def get_or_create_account_by_name(self, name: str) -> GenericAccount:
        """Return the account of that name in this wallet, made if need be; safe when several do so at once."""
        account = self.get_account_by_name(name)
        if account is None:
            self._check_account_name(name)
            insert_missing(self.session(), self.books().account, [{"wallet_id": self._id(), "name": name}])
            account = self.session().scalars(self._account_of_name(name)).one()
        return account

    def get_or_create_network_fee_account(self) -> GenericAccount:
        """Return the account that this wallet's network fees are charged to."""
        account_id = fee_account_id(self.session(), self.books(), wallet_id=self._id())
        account: GenericAccount = self.session().get_one(self.sibling("account"), account_id)
        return account

    def _account_of_name(self, name: str) -> Select[Any]:
        account = self.sibling("account")
        return select(account).where(account.wallet_id == self._id(), account.name == name)

    def _check_account_name(self, name: str) -> None:
        check_name(name, "an account's name")
        if name == self.sibling("account").NETWORK_FEE_ACCOUNT:
            raise NameTakenError(f"the account name {name!r} is reserved for the wallet's fees; choose another name")

    # --- Addresses ------------------------------------------------------------------------------------------

    def create_receiving_address(
        self, account: GenericAccount | int, label: str | None = None, automatic_label: bool = False
    ) -> GenericAddress:
        """Ask the backend for a new address whose deposits go to the account.

        :param label: for people; give one, or have one made with ``automatic_label``.
        :raises CannotCreateAddress: the backend cannot make one now; try again later.
        """
        if label is None and not automatic_label:
            raise CannotCreateAddress("a receiving address needs a label; give one or set automatic_label=True")
        if label is not None:
            # Before the backend is asked: an address that it made could not be taken back.
            check_name(label, "an address's label")
        account = self._own(account)
        coin = self.configured_coin()
        if coin.backend is None:
            raise CannotCreateAddress(
                f"this app has no {coin.name} backend; enable Subsystem.backend to make addresses"
            )
        backend_label = account.pick_next_receiving_address_label()
        try:
            address = coin.backend.create_address(backend_label)
        except BackendError as error:
            raise CannotCreateAddress(f"no {coin.name} address could be made: {error}") from error
        return self.add_address(account, backend_label if label is None else label, address)

    def add_address(self, account: GenericAccount | int, label: str, address: str) -> GenericAddress:
        """Enter an address that the backend's wallet has already as a receiving address of the account.

        :raises BadAddress: it is no address of this coin's network.
        :raises AddressTakenError: it is a receiving address already.
        """
        account = self._own(account)
        check_name(label, "an address's label")
        canonical = self.configured_coin().canonical_address(address)
        taken = self.receiving_address(canonical)
        if taken is not None:
            raise AddressTakenError(f"the address {canonical} belongs to account {taken.account_id} already")
        entered: GenericAddress = self.sibling("address")(address=canonical, label=label, account=account)
        self.session().add(entered)
        return entered

    def get_or_create_external_address(self, address: str) -> GenericAddress:
        """Return the entry of an address outside that is paid, made if need be.

        :raises BadAddress: it is no address of this coin's network.
        """
        canonical = self.configured_coin().canonical_address(address)
        model = self.sibling("address")
        wanted = select(model).where(model.address == canonical, model.account_id.is_(None))
        session = self.session()
        payee: GenericAddress | None = session.scalar(wanted)
        if payee is None:
            insert_missing(session, self.books().address, [{"address": canonical}])
            payee = session.scalars(wanted).one()
        return payee

    def get_account_by_address(self, address: str) -> GenericAccount | None:
        """Return the account of this wallet that receives what is paid to the address, or None."""
        owner = self.receiving_address(self.configured_coin().canonical_address(address))
        return owner.account if owner is not None and owner.account and owner.account.wallet_id == self.id else None

    def receiving_address(self, canonical: str) -> GenericAddress | None:
        """Return the receiving address, of whichever wallet, that is written so; None if nobody here owns it."""
        model = self.sibling("address")
        found: GenericAddress | None = self.session().scalar(
            select(model).where(model.address == canonical, model.account_id.is_not(None))
        )
        return found

    def get_receiving_addresses(self, archived: bool = False) -> Query[GenericAddress]:
        """Return the query of this wallet's receiving addresses.

        :param archived: the archived ones too.
        """
        address, account = self.sibling("address"), self.sibling("account")
        query: Query[GenericAddress] = self.session().query(address).join(account, address.account_id == account.id)
        query = query.filter(account.wallet_id == self._id())
        return query if archived else query.filter(address.archived_at.is_(None))

    def _payable(self, address: str, testnet: bool | None) -> str:
        coin = self.configured_coin()
        if testnet is not None and testnet != coin.testnet:
            meant = "a test network" if testnet else "the main network"
            raise BadAddress(address, f"is meant for {meant}, but {coin.name} is configured for {coin.network}")
        return coin.canonical_address(address)

    def _flushed(self) -> Session:
        """Postings are plain SQL and must find what the session holds back."""
        session = self.session()
        session.flush()
        return session

    def _id(self) -> int:
        if self.id is None:
            self.session().flush()
        return self.id

    def _account_id(self, account: GenericAccount | int) -> int:
        """Return an account's id; that it belongs to this wallet is for the ledger to see."""
        if isinstance(account, int) and not isinstance(account, bool):
            return check_id(account, f"{self.coin.symbol} account")
        if not isinstance(account, self.sibling("account")):
            raise WrongWalletError(f"{account!r} is not an account of a {self.coin.symbol} wallet")
        if account.id is None:
            self.session().flush()
        return int(account.id)

    def _own_row(self, role: str, row: CoinModel) -> Any:
        """Return the id of a row of this coin; that it belongs to this wallet is for the ledger to see."""
        if not isinstance(row, self.sibling(role)):
            raise WrongWalletError(f"{row!r} is not a {role.replace('_', ' ')} of {self.coin.symbol}")
        return row.id

    def _own(self, account: GenericAccount | int) -> GenericAccount:
        account_id = self._account_id(account)
        owned: GenericAccount | None = self.session().get(self.sibling("account"), account_id)
        if owned is None:
            raise UnknownRowError(f"there is no {self.coin.symbol} account {account_id}")
        if owned.wallet_id != self._id():
            raise WrongWalletError(f"account {account_id} belongs to wallet {owned.wallet_id}, not to {self.id}")
        return owned
