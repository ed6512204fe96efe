"""Which unconfirmed deposits wait for a block, and which were replaced or dropped.

A daemon's wallet goes on listing a deposit that was replaced, as unconfirmed, until the replacement is mined; no
notification tells of it. The mempool is what can.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptoassets_bitcoind import answers, faults
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import BackendRejectedError


def missing(rpc: RpcClient, txids: Sequence[Txid]) -> list[Txid]:
    """Return those transactions that are not in the daemon's mempool.

    One request when all are; one more for each hundred that may be missing. A daemon that is still loading its mempool
    after a start misses none.

    :param txids: deposits that the wallet has as unconfirmed.
    """
    # Core 0.19 tells whether its mempool is loaded; coins of the mempool that nobody has spent are the quick way.
    info, coins = rpc.batch([("getmempoolinfo", []), ("listunspent", [0, 0, [], True])])
    for answer in (info, coins):
        if isinstance(answer, BackendRejectedError):
            raise answer
    if answers.mapping(info, "getmempoolinfo").get("loaded") is not True:
        return []
    there = {coin.get("txid") for coin in answers.mappings(coins, "listunspent")}
    suspects = [txid for txid in txids if txid not in there]
    entries = rpc.batch([("getmempoolentry", [txid]) for txid in suspects])
    return [txid for txid, entry in zip(suspects, entries, strict=True) if _is_absent(entry)]


def _is_absent(entry: object) -> bool:
    if isinstance(entry, BackendRejectedError):
        if entry.code != faults.NOT_FOUND:
            raise entry
        return True
    return False
