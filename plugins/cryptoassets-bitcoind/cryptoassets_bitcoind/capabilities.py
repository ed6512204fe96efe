"""What a daemon can do, found out by asking it: version numbers of derived daemons mean nothing to one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptoassets_bitcoind import answers
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.errors import BackendRejectedError


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The differences between the daemons that matter here."""

    #: Signs with ``signrawtransactionwithwallet`` (Core 0.17); older ones and Dogecoin 1.14: ``signrawtransaction``.
    signs_with_wallet: bool
    #: Has ``getbalances`` (Core 0.19), and with it address types, ``conf_target`` of fundrawtransaction, and a number
    #: as the fee limit of sendrawtransaction, where older daemons want a bool.
    is_modern: bool
    #: Has ``testmempoolaccept`` (Core 0.17).
    can_test: bool

    @property
    def tells_mempool(self) -> bool:
        """Whether it tells if its mempool is loaded, so that what is not in it is known to be gone.

        Where it does not, a deposit that was replaced counts as waiting until the replacement is mined.
        """
        return self.is_modern

    @property
    def sign_method(self) -> str:
        """The call that signs with the wallet's keys."""
        return "signrawtransactionwithwallet" if self.signs_with_wallet else "signrawtransaction"


#: Calls without which nothing can be done. A daemon that was built or started without its wallet lacks them all.
_REQUIRED: Final = ("listsinceblock", "gettransaction", "fundrawtransaction", "lockunspent", "sendrawtransaction")


def detect_capabilities(rpc: RpcClient) -> Capabilities:
    """Ask the daemon which calls it knows.

    :raises BackendRejectedError: it lacks one that is needed.
    """
    # A line for each call, its name first, below headings.
    known = {line.partition(" ")[0] for line in answers.text(rpc.call("help"), "help").splitlines()}
    missing = [method for method in _REQUIRED if method not in known]
    if missing:
        raise BackendRejectedError(
            f"the daemon at {rpc.endpoint} cannot serve as a backend, it lacks {', '.join(missing)}: is it too old, or "
            "built or started without its wallet?"
        )
    return Capabilities(
        signs_with_wallet="signrawtransactionwithwallet" in known,
        is_modern="getbalances" in known,
        can_test="testmempoolaccept" in known,
    )
