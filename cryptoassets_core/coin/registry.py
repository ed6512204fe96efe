"""The coins an app is configured with: each binds its models to its backend and its rules."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cryptoassets_core.amounts import check_amount, check_minor_units
from cryptoassets_core.coin.description import AddressRules, CoinDescription, Network
from cryptoassets_core.coin.redact import shown
from cryptoassets_core.coin.uri import PaymentRequest, build_uri, parse_uri
from cryptoassets_core.coin.validate import AddressValidator, canonical_address
from cryptoassets_core.errors import BadAddress, ConfigurationError, InvalidAmountError, InvalidNameError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.loading import load_class
from cryptoassets_core.models import (
    GenericAccount,
    GenericAddress,
    GenericNetworkTransaction,
    GenericTransaction,
    GenericWallet,
)
from cryptoassets_core.names import check_name

if TYPE_CHECKING:
    from cryptoassets_core.backend.base import CoinBackend

#: Confirmations before a deposit is credited, unless configured otherwise.
DEFAULT_CONFIRMATION_COUNT = 3

#: Confirmations after which a network transaction is no longer followed, unless configured otherwise.
DEFAULT_MAX_CONFIRMATION_COUNT = 15

#: Withdrawals that one network transaction pays at most, unless configured otherwise: far below what fits.
DEFAULT_MAX_WITHDRAWALS = 100


class CoinModelDescription:
    """Names the five model classes of a coin; they are imported when first asked for."""

    def __init__(
        self,
        coin_name: str,
        wallet_model_name: str,
        address_model_name: str,
        account_model_name: str,
        transaction_model_name: str,
        network_transaction_model_name: str,
        address_validator: AddressValidator | None = None,
    ) -> None:
        """
        :param coin_name: lowercase acronym.
        :param wallet_model_name: dotted path of the class, as all the others.
        :param address_validator: decides about addresses in place of the coin's address rules.
        """
        self.coin_name = coin_name
        self.wallet_model_name = wallet_model_name
        self.address_model_name = address_model_name
        self.account_model_name = account_model_name
        self.transaction_model_name = transaction_model_name
        self.network_transaction_model_name = network_transaction_model_name
        self.address_validator = address_validator

    @property
    def Wallet(self) -> type[GenericWallet]:  # noqa: N802 - a class, named like one in 2015
        """The wallet model."""
        return load_class(self.wallet_model_name, GenericWallet)

    @property
    def Address(self) -> type[GenericAddress]:  # noqa: N802
        """The address model."""
        return load_class(self.address_model_name, GenericAddress)

    @property
    def Account(self) -> type[GenericAccount]:  # noqa: N802
        """The account model."""
        return load_class(self.account_model_name, GenericAccount)

    @property
    def Transaction(self) -> type[GenericTransaction]:  # noqa: N802
        """The transaction model."""
        return load_class(self.transaction_model_name, GenericTransaction)

    @property
    def NetworkTransaction(self) -> type[GenericNetworkTransaction]:  # noqa: N802
        """The network transaction model."""
        return load_class(self.network_transaction_model_name, GenericNetworkTransaction)


class Coin:
    """One configured coin.

    :ivar name: lowercase acronym.
    :ivar backend: what talks to the coin's network, None in an app without the backend subsystem.
    :ivar network: which of the coin's networks is used.
    :ivar confirmation_count: confirmations before a deposit is credited.
    :ivar max_confirmation_count: confirmations after which a network transaction is no longer followed.
    :ivar min_deposit: whole coins that a deposit must have to be credited, None to credit all.
    :ivar max_transfer: whole coins that one person moves at most by an internal transfer, None for any number.
    :ivar max_withdrawals_per_broadcast: withdrawals that one network transaction pays at most.
    """

    def __init__(
        self,
        coin_description: CoinModelDescription,
        backend: CoinBackend | None = None,
        max_confirmation_count: int = DEFAULT_MAX_CONFIRMATION_COUNT,
        testnet: bool = False,
        *,
        network: Network | None = None,
        confirmation_count: int = DEFAULT_CONFIRMATION_COUNT,
        max_withdrawals_per_broadcast: int = DEFAULT_MAX_WITHDRAWALS,
        min_deposit: Decimal | None = None,
        max_transfer: Decimal | None = None,
    ) -> None:
        """
        :param testnet: short for ``network="test"``.
        :raises ConfigurationError: the coin has no such network, or no amount like ``min_deposit`` or ``max_transfer``.
        """
        self.coin_description = coin_description
        self.name = coin_description.coin_name
        self.backend = backend
        self.network: Network = network or ("test" if testnet else "main")
        self.confirmation_count = confirmation_count
        self.max_confirmation_count = max_confirmation_count
        self.max_withdrawals_per_broadcast = max_withdrawals_per_broadcast
        #: Ids of wallets that are known to be in the database: wallets are never deleted, so none is looked up twice.
        self.known_wallets: set[int] = set()
        if self.network not in self.description.networks:
            raise ConfigurationError(
                f"{self.name} has no network {self.network!r}; it has: {', '.join(sorted(self.description.networks))}"
            )
        self.min_deposit = self._amount("min_deposit", min_deposit)
        self.max_transfer = self._amount("max_transfer", max_transfer)

    def __repr__(self) -> str:
        return f"<Coin {self.name} {self.network}>"

    def _amount(self, option: str, amount: Decimal | None) -> Decimal | None:
        try:
            return None if amount is None else check_amount(amount, self.description.decimals)
        except InvalidAmountError as error:
            raise ConfigurationError(f"{option}: {error}") from None

    @property
    def description(self) -> CoinDescription:
        """The coin's facts."""
        return self.coin_description.Wallet.coin

    @property
    def testnet(self) -> bool:
        """Whether the coins are worthless."""
        return self.network != "main"

    @property
    def address_rules(self) -> AddressRules:
        """How this network writes addresses."""
        return self.description.networks[self.network]

    @property
    def wallet_model(self) -> type[GenericWallet]:
        """The wallet model."""
        return self.coin_description.Wallet

    @property
    def account_model(self) -> type[GenericAccount]:
        """The account model."""
        return self.coin_description.Account

    @property
    def address_model(self) -> type[GenericAddress]:
        """The address model."""
        return self.coin_description.Address

    @property
    def transaction_model(self) -> type[GenericTransaction]:
        """The transaction model."""
        return self.coin_description.Transaction

    @property
    def network_transaction_model(self) -> type[GenericNetworkTransaction]:
        """The network transaction model."""
        return self.coin_description.NetworkTransaction

    def confirmations_needed(self, *, coinbase: bool) -> int:
        """Return the confirmations before a deposit is credited; a block reward has to be mature besides."""
        return max(self.confirmation_count, self.description.coinbase_maturity if coinbase else 0)

    def is_below_minimum(self, amount: Decimal) -> bool:
        """Tell whether a deposit of so many whole coins is too small to be credited."""
        return self.min_deposit is not None and amount < self.min_deposit

    def limited(self, books: Books) -> Books:
        """Return the books under this coin's limits."""
        limit = self.max_transfer
        return books.limited(None if limit is None else check_minor_units(limit, self.description.decimals))

    def canonical_address(self, address: str) -> str:
        """Return the one form in which an address is stored.

        :raises BadAddress: it is no address of this coin's network.
        """
        validator = self.coin_description.address_validator
        if validator is None:
            return canonical_address(address, self.address_rules)
        try:
            check_name(address, "an address")  # whatever a validator thinks of it, it has to be stored and shown
            good = validator.validate_address(address, self.testnet)
        except InvalidNameError:
            good = False
        if not good:
            raise BadAddress(shown(str(address)), f"is no {self.name} address for the network {self.network}")
        return address

    def validate_address(self, address: str) -> bool:
        """Tell whether the address belongs to this coin's network."""
        try:
            self.canonical_address(address)
        except BadAddress:
            return False
        return True

    def uri(
        self, address: str, amount: Decimal | None = None, label: str | None = None, message: str | None = None
    ) -> str:
        """Write a payment link (BIP21), for a QR code for example.

        :param amount: whole coins; None leaves it to the payer.
        :raises BadAddress: it is no address of this coin's network.
        :raises InvalidAmountError: the amount could not move money.
        :raises InvalidNameError: label or message cannot be shown on a line.
        """
        return build_uri(self.description, PaymentRequest(self.canonical_address(address), amount, label, message))

    def parse_uri(self, uri: str) -> PaymentRequest:
        """Read a payment link (BIP21).

        :raises PaymentUriError: it is malformed, of another coin or network, or requires what is not understood.
        """
        return parse_uri(self.description, uri, self.canonical_address)


class CoinRegistry:
    """The configured coins by acronym."""

    def __init__(self) -> None:
        self._coins: dict[str, Coin] = {}

    def register(self, coin: Coin) -> None:
        """Add a coin, in place of an earlier one of that name."""
        self._coins[coin.name] = coin

    def get(self, name: str) -> Coin:
        """Return a coin by its lowercase acronym.

        :raises ConfigurationError: it is not configured.
        """
        try:
            return self._coins[name]
        except KeyError:
            configured = ", ".join(sorted(self._coins)) or "none"
            raise ConfigurationError(f"the coin {name!r} is not configured; configured: {configured}") from None

    def all(self) -> list[tuple[str, Coin]]:
        """Return all coins as (acronym, coin), in the order of the configuration."""
        return list(self._coins.items())
