"""The backend: what the kernel asks, in the words of block.io."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from cryptoassets_blockio import addresses, answers
from cryptoassets_blockio.checks import Expectation, FeeLimits
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.listing import Listing
from cryptoassets_blockio.networks import WITHOUT_SEGWIT, service_network
from cryptoassets_blockio.options import AddressType, BlockIoOptions
from cryptoassets_blockio.pages import Pages
from cryptoassets_blockio.payload import load_payload
from cryptoassets_blockio.preparation import Preparation, Reservations
from cryptoassets_blockio.publication import Publication
from cryptoassets_blockio.raw import Cost, RawTransactions
from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    PreparedTransaction,
    TwoStepBackend,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.errors import BackendRejectedError, ConfigurationError

#: The label of the address that every account has from its beginning, and that belongs to no customer.
DEFAULT_LABEL: Final = "default"

#: Default of ``max_fee_rate`` in dust limits, see the bitcoind backend: about 1100 times the least relay fee.
_MAX_FEE_RATE_IN_DUST: Final = 2000


class BlockIoBackend(TwoStepBackend):
    """A wallet of block.io, signed for on this machine."""

    def __init__(self, coin: CoinDescription, network: Network, options: BackendOptions) -> None:
        """Take the options; nothing is connected to yet.

        :raises ConfigurationError: the service does not have this coin or network, or the options say otherwise.
        """
        super().__init__(coin, network, options)
        if not isinstance(options, BlockIoOptions):
            raise ConfigurationError(f"the blockio backend takes BlockIoOptions, not {type(options).__name__}")
        self.options = options
        self.service_network = service_network(coin, network)
        if options.network is not None and options.network != self.service_network.lower():
            raise ConfigurationError(
                f"the option network is {options.network!r}, but {coin.symbol} is configured for the network "
                f"{network!r}, which is {self.service_network.lower()!r} at block.io; correct one of the two"
            )
        if options.address_type == "WITNESS_V0" and coin.symbol in WITHOUT_SEGWIT:
            raise ConfigurationError(f"{coin.symbol} has no segwit: remove the option address_type, or set it to P2SH")
        self.client = BlockIoClient(options.api_key.get_secret_value(), base=options.url, timeout=options.timeout)
        self._rules = coin.networks[network]
        self._pages = Pages(self.client, self._rules, coin.decimals)
        self._raw = RawTransactions(self.client, self._pages)
        self._listing = Listing(self._pages, self._raw, self._own_addresses)
        self._reservations = Reservations()
        self.preparation = self._preparation(options)
        self._publication = Publication(
            client=self.client, pages=self._pages, raw=self._raw, network=self.service_network
        )
        self._default_address: frozenset[str] | None = None

    def check(self) -> None:
        """See that the key is taken and belongs to the network.

        :raises BackendUnavailableError: the service is down.
        :raises BackendRejectedError: it refuses the key, or the key is for another network.
        """
        network = answers.text(self.client.call("get_balance").get("network"), "get_balance.network")
        if network != self.service_network:
            raise BackendRejectedError(
                f"the API key belongs to the network {network!r:.20}, but {self.coin.symbol} is configured for "
                f"{self.service_network!r}; use the key of that network, or correct the configured network"
            )

    def create_address(self, label: str) -> str:
        """Make a receiving address; its label at the service is ours with something unique behind it."""
        return addresses.create(self.client, label, kind=self._address_type(), rules=self._rules)

    def get_tip(self) -> BlockHash:
        """Name the state of the chain; see :py:mod:`cryptoassets_blockio.listing`."""
        return self._listing.tip()

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        """List what changed since a checkpoint; see :py:mod:`cryptoassets_blockio.listing`."""
        return self._listing.since(checkpoint, depth=depth)

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        """Look up transactions by name."""
        return self._listing.by_name(txids)

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        """Return what the wallet holds; the service tells confirmed coins from others, and deeper ones are added up."""
        data = self.client.call("get_balance")
        available = self._amount(data, "available_balance")
        if confirmations == 0:
            return available + self._amount(data, "pending_received_balance")
        return available - self._shallow(confirmations) if confirmations > 1 else available

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        """Have a transaction prepared, check it, and sign it here."""
        if self.options.pin is None:
            raise BackendRejectedError("block.io cannot send without the option pin; set it, or only receive")
        return self.preparation.prepare(recipients, self.options.pin.get_secret_value(), own=self._own_addresses())

    def hold(self, prepared: PreparedTransaction) -> None:
        """Refuse the inputs to every other transaction that is prepared from now on."""
        self._reservations.hold(prepared.inputs)

    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Publish, and return the txid under which the network knows it.

        :raises BroadcastDeadError: a rival for its coins is in the chain.
        :raises OutcomeUnknownError: it is not known what became of it; submit it again.
        """
        txid = self._publication.submit(prepared)
        self._raw.remember(txid, Cost(load_payload(prepared.raw).sent, prepared.fee))
        # The service knows by now that these coins are spent.
        self._reservations.release(prepared.inputs)
        return txid

    def release(self, prepared: PreparedTransaction) -> None:
        """Let the inputs be used again."""
        self._reservations.release(prepared.inputs)

    def own_address(self) -> str:
        """Return the wallet's address that belongs to no account.

        :raises BackendRejectedError: the service has none, or says that of every address.
        """
        for address in self._own_addresses():
            return address
        raise BackendRejectedError(f"the block.io account has no address with the label {DEFAULT_LABEL!r}")

    def close(self) -> None:
        """Repeat no call any more."""
        self.client.close()

    def _preparation(self, options: BlockIoOptions) -> Preparation:
        expectation = Expectation(
            network=self.service_network,
            rules=self._rules,
            decimals=self.coin.decimals,
            limits=FeeLimits(
                max_fee_rate=options.max_fee_rate or self.coin.dust * _MAX_FEE_RATE_IN_DUST,
                max_service_fee=options.max_service_fee,
            ),
        )
        return Preparation(
            client=self.client,
            expectation=expectation,
            priority=options.priority,
            dust=self.coin.dust,
            reservations=self._reservations,
        )

    def _address_type(self) -> AddressType:
        if self.options.address_type is not None:
            return self.options.address_type
        return "P2SH" if self.coin.symbol in WITHOUT_SEGWIT else "WITNESS_V0"

    def _own_addresses(self) -> frozenset[str]:
        """Return the wallet's addresses that belong to no account."""
        if self._default_address is None:
            try:
                data = self.client.call("get_address_by_label", label=DEFAULT_LABEL)
                address = self._pages.canonical(data.get("address"))
            except ServiceRefusal:
                address = None
            self._default_address = frozenset() if address is None else frozenset({address})
        return self._default_address

    def _amount(self, data: answers.Row, name: str) -> Decimal:
        return answers.amount(data.get(name), f"get_balance.{name}", decimals=self.coin.decimals)

    def _shallow(self, confirmations: int) -> Decimal:
        """Add up what is confirmed and has fewer confirmations."""
        total = Decimal(0)
        for page in self._pages.walk("received"):
            for item in page:
                if 0 < item.confirmations < confirmations:
                    total += sum(
                        (amount for address, amount in item.amounts if address not in item.senders), Decimal(0)
                    )
            if page[-1].confirmations >= confirmations:
                break
        return total
