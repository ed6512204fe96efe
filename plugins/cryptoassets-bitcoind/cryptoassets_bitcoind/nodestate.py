"""Whether what a daemon says of its chain can be believed: it must be on our network, and up to date with it.

Asked at every look at the chain and not only at the start: the daemon behind a URL may be exchanged, cut off from its
network or made to download everything anew while we run. What it says of confirmations is worth nothing then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptoassets_bitcoind import answers
from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_core.backend.base import BlockHash
from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.description import Network
from cryptoassets_core.errors import BackendRejectedError, BackendUnavailableError

#: Names by which daemons call the networks; Core 28 added a second test network.
_CHAIN_NAMES: Final[Mapping[Network, frozenset[str]]] = {
    "main": frozenset({"main"}),
    "test": frozenset({"test", "testnet4"}),
    "signet": frozenset({"signet"}),
    "regtest": frozenset({"regtest"}),
}

#: Blocks that a daemon may know of and not have yet: more than one that follows the network is ever behind.
MAX_BLOCKS_BEHIND: Final = 6

#: Default of the greatest age of the newest block on a main network, seconds. In Bitcoin, a block that takes six hours
#: is expected once in a hundred thousand years, and the time that daemons tell is up to an hour and more behind.
DEFAULT_MAX_TIP_AGE: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What a daemon's answer to ``getblockchaininfo`` must say."""

    endpoint: Endpoint
    symbol: str
    network: Network
    #: Greatest age of the newest block, seconds; None accepts any.
    max_tip_age: float | None
    clock: Callable[[], datetime] = utc_now

    def tip(self, answer: object) -> BlockHash:
        """Return the best block.

        :raises BackendRejectedError: the daemon is on another network.
        :raises BackendUnavailableError: it is behind its network.
        """
        info = answers.mapping(answer, "getblockchaininfo")
        self._check_network(answers.text(info.get("chain"), "getblockchaininfo.chain"))
        # A private chain has as many blocks as somebody made, and waits for none.
        if self.network != "regtest":
            self._check_progress(info)
            self._check_age(info)
        return answers.block_hash(info.get("bestblockhash"), "getblockchaininfo.bestblockhash")

    def _check_network(self, chain: str) -> None:
        if chain not in _CHAIN_NAMES[self.network]:
            raise BackendRejectedError(
                f"the daemon at {self.endpoint} is on the network {chain!r}, but {self.symbol} is configured "
                f"for {self.network!r}; correct the backend's url or the configured network"
            )

    def _check_progress(self, info: Mapping[str, object]) -> None:
        blocks = answers.integer(info.get("blocks"), "getblockchaininfo.blocks")
        headers = answers.integer(info.get("headers"), "getblockchaininfo.headers")
        if info.get("initialblockdownload") is True or headers - blocks > MAX_BLOCKS_BEHIND:
            raise BackendUnavailableError(
                f"the daemon at {self.endpoint} is still downloading the block chain, it has {blocks} of {headers} "
                "blocks; nothing is credited before it has them all"
            )

    def _check_age(self, info: Mapping[str, object]) -> None:
        if self.max_tip_age is None:
            return
        # Core 23 tells the time of the newest block, older ones only the median of the last eleven.
        told = answers.integer(info.get("time", info.get("mediantime")), "getblockchaininfo.mediantime")
        age = self.clock().timestamp() - told
        if age > self.max_tip_age:
            raise BackendUnavailableError(
                f"the newest block of the daemon at {self.endpoint} is {age / 3600:.1f} hours old; nothing is credited "
                "before it has newer ones: look at its connections, and at the clock of this machine"
            )
