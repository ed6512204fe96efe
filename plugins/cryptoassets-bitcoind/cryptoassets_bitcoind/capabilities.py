"""What a daemon can do, found out by asking it: version numbers of derived daemons mean nothing to one another."""

from __future__ import annotations

from dataclasses import dataclass

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


def detect_capabilities(rpc: RpcClient) -> Capabilities:
    """Ask the daemon which calls it knows, in one request."""
    methods = ("signrawtransactionwithwallet", "getbalances", "testmempoolaccept")
    answers = rpc.batch([("help", [method]) for method in methods])
    signs, is_modern, can_test = (_is_known(answer) for answer in answers)
    return Capabilities(signs_with_wallet=signs, is_modern=is_modern, can_test=can_test)


def _is_known(answer: object) -> bool:
    if isinstance(answer, BackendRejectedError):
        raise answer
    return isinstance(answer, str) and not answer.startswith("help: unknown command")
