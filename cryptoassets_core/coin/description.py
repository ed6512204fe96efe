"""What a coin is: facts only, no database and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

#: The networks a coin may run on, under the names that configuration uses.
Network = Literal["main", "test", "signet", "regtest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRules:
    """How one network of a coin writes its addresses.

    Version bytes are those of Base58Check; the first of each tuple is what the network's own software writes today,
    the others are older forms that it still accepts.
    """

    #: Base58Check version bytes of pay-to-public-key-hash addresses.
    p2pkh: tuple[int, ...]
    #: Base58Check version bytes of pay-to-script-hash addresses.
    p2sh: tuple[int, ...]
    #: Human-readable part of segwit addresses (BIP173), None where the coin has no segwit.
    bech32_hrp: str | None = None
    #: Witness versions that the network can spend from; later ones are anyone-can-spend and refused.
    witness_versions: tuple[int, ...] = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinDescription:
    """One coin, as its plugin describes it."""

    #: Lowercase acronym: the name in configuration files and the prefix of the coin's tables.
    symbol: str
    #: The name people use.
    title: str
    #: Dotted name of the module that holds the coin's models and its ``coin_description``.
    models: str
    #: Address rules of each network the coin has.
    networks: Mapping[Network, AddressRules]
    #: Decimals of one whole coin; one minor unit is 10 to the power of minus this.
    decimals: int = 8
    #: The smallest payment the network relays, in whole coins.
    dust: Decimal
    #: Blocks before the coins of a block reward may be spent, and so credited.
    coinbase_maturity: int = 100
    #: Scheme of payment links (BIP21), lower case.
    uri_scheme: str
    #: Dotted names by which older configuration files call the models module.
    legacy_models: tuple[str, ...] = ()

    @property
    def minor_unit(self) -> Decimal:
        """The smallest amount there is, in whole coins."""
        return Decimal(1).scaleb(-self.decimals)
