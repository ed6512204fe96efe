"""What one chain file simulates: a coin and a network, written down when the file is made."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import cast

from cryptoassets_core.amounts import from_minor_units, to_minor_units
from cryptoassets_core.coin.description import AddressRules, CoinDescription, Network
from cryptoassets_simnet.errors import ChainMismatchError


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """The coin and network that a file serves; never changes while the file lives."""

    coin: CoinDescription
    network: Network
    #: Random and different in every file: no txid, block or address of one simulation turns up in another.
    chain_id: str

    @property
    def rules(self) -> AddressRules:
        """How addresses are written here."""
        return self.coin.networks[self.network]

    def check_network(self) -> None:
        """See that the coin has the network.

        :raises ChainMismatchError: it does not.
        """
        if self.network not in self.coin.networks:
            known = ", ".join(self.coin.networks)
            raise ChainMismatchError(f"{self.coin.title} has no network {self.network!r} to simulate; it has {known}")

    def to_minor(self, amount: Decimal) -> int:
        """Turn whole coins into minor units; errors as :py:func:`cryptoassets_core.amounts.to_minor_units`."""
        return to_minor_units(amount, self.coin.decimals)

    def to_coins(self, amount_minor: int) -> Decimal:
        """Turn minor units into whole coins."""
        return from_minor_units(amount_minor, self.coin.decimals)

    def text(self, amount_minor: int) -> str:
        """Write minor units for a person: ``1.50000000 BTC``."""
        return f"{self.to_coins(amount_minor):f} {self.coin.symbol.upper()}"

    def new_hash(self, db: sqlite3.Connection, kind: str) -> str:
        """Make 64 hex digits that no other call makes; part of the open write transaction."""
        return self.hash_of(f"{kind} {next_number(db)}".encode())

    def hash_of(self, content: bytes) -> str:
        """Hash something that belongs to this chain, as 64 hex digits."""
        return hashlib.sha256(self.chain_id.encode() + b" " + content).hexdigest()

    def check_same(self, coin: CoinDescription, network: Network, *, where: str) -> None:
        """See that a file that exists serves what is asked for; the coin must have the network.

        :param where: the file, for the message.
        :raises ChainMismatchError: it serves something else.
        """
        if (coin.symbol, coin.decimals, network) != (self.coin.symbol, self.coin.decimals, self.network):
            raise ChainMismatchError(
                f"{where} simulates {self.coin.symbol} on {self.network} with {self.coin.decimals} decimals, not "
                f"{coin.symbol} on {network} with {coin.decimals}; give each coin and network a file of its own"
            )
        if coin.networks[network] != self.rules:
            raise ChainMismatchError(
                f"{where} was made with other address rules for {coin.symbol} on {network} than are installed now; "
                "start with a new file"
            )

    def dump(self) -> str:
        """Write what a command without the coin's plugin needs to know, as JSON."""
        coin = self.coin
        return json.dumps(
            {
                "symbol": coin.symbol,
                "title": coin.title,
                "models": coin.models,
                "decimals": coin.decimals,
                "dust": f"{coin.dust:f}",
                "coinbase_maturity": coin.coinbase_maturity,
                "uri_scheme": coin.uri_scheme,
                "network": self.network,
                "rules": asdict(self.rules),
                "chain_id": self.chain_id,
            }
        )

    @classmethod
    def load(cls, text: str) -> ChainFacts:
        """Read what :py:meth:`dump` wrote."""
        data = json.loads(text)
        network = cast("Network", data.pop("network"))
        chain_id = data.pop("chain_id")
        rules = data.pop("rules")
        rules = AddressRules(
            p2pkh=tuple(rules["p2pkh"]),
            p2sh=tuple(rules["p2sh"]),
            bech32_hrp=rules["bech32_hrp"],
            witness_versions=tuple(rules["witness_versions"]),
        )
        data["dust"] = Decimal(data["dust"])
        return cls(CoinDescription(networks={network: rules}, **data), network, chain_id)


def next_number(db: sqlite3.Connection) -> int:
    """Count on; the chain's one counter orders changes and makes names unique."""
    (number,) = db.execute("UPDATE chain SET counter = counter + 1 RETURNING counter").fetchone()
    return int(number)
