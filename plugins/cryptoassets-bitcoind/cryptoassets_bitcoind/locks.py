"""Coins of the daemon's wallet that are spoken for.

Daemons keep locks in memory only and forget them when they stop. Each output is locked and unlocked by a call of its
own: one that is in the wanted state already, or spent, makes ``lockunspent`` refuse all the outputs it came with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cryptoassets_bitcoind import answers
from cryptoassets_bitcoind.faults import INVALID_PARAMETER
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.backend.base import Outpoint
from cryptoassets_core.errors import BackendRejectedError

logger = logging.getLogger(__name__)


def lock(rpc: RpcClient, inputs: Iterable[Outpoint]) -> None:
    """Lock the outputs that are not locked; spent ones are left alone."""
    locked = {
        Outpoint(answers.txid(row.get("txid"), "a locked txid"), answers.integer(row.get("vout"), "a locked vout"))
        for row in answers.mappings(rpc.call("listlockunspent"), "listlockunspent")
    }
    _change(rpc, [outpoint for outpoint in inputs if outpoint not in locked], unlock=False)


def unlock(rpc: RpcClient, inputs: Iterable[Outpoint]) -> None:
    """Unlock the outputs that are locked."""
    _change(rpc, list(inputs), unlock=True)


def _change(rpc: RpcClient, inputs: list[Outpoint], *, unlock: bool) -> None:
    results = rpc.batch([("lockunspent", [unlock, [_named(outpoint)]]) for outpoint in inputs])
    for outpoint, result in zip(inputs, results, strict=True):
        if not isinstance(result, BackendRejectedError):
            continue
        if result.code != INVALID_PARAMETER:
            raise result
        logger.debug("lock of %s:%s left as it is: %s", outpoint.txid, outpoint.vout, result)


def _named(outpoint: Outpoint) -> dict[str, object]:
    return {"txid": outpoint.txid, "vout": outpoint.vout}
