"""Publishing a stored transaction, again and again if need be, and telling when it can never confirm.

A daemon refuses with the same words what is in the chain and fully spent, what waits for its parents, and what somebody
double-spent. Nothing may be paid a second time on such words, so death is only declared on proof: the transaction that
spends one of our inputs is found, is in the chain, and does not make our payments under another id (which anybody on
the network can bring about while inputs are not segwit, and the wallet's owner by raising the fee).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from cryptoassets_bitcoind import answers, faults
from cryptoassets_bitcoind.capabilities import Capabilities
from cryptoassets_bitcoind.preparation import output_counts
from cryptoassets_bitcoind.rpc import BATCH_SIZE, RpcClient
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, Txid
from cryptoassets_core.errors import BackendError, BackendRejectedError, BroadcastDeadError, OutcomeUnknownError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A wallet transaction as ``gettransaction`` shows it, as far as it matters here."""

    confirmations: int
    block_hash: str | None
    raw: str
    #: Its outputs that pay somebody; change is none of them.
    paying: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Death:
    """Why a transaction cannot confirm as the chain is now, and for how many blocks."""

    reason: str
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One daemon's way of publishing."""

    rpc: RpcClient
    capabilities: Capabilities
    decimals: int

    def submit(self, prepared: PreparedTransaction) -> Txid:
        """Publish; see :py:meth:`cryptoassets_core.backend.base.TwoStepBackend.submit`."""
        ours = prepared.txid
        if ours is None:
            raise BackendRejectedError(
                "the transaction has no txid yet: another backend prepared it; configure that one"
            )
        # No fee limit here: it was applied before the transaction was stored, and what is stored must go out.
        no_limit: object = Decimal(0) if self.capabilities.is_modern else True
        try:
            txid = self.rpc.call("sendrawtransaction", prepared.raw, no_limit)
        except BackendRejectedError as error:
            if error.code == faults.ALREADY_IN_CHAIN:
                return self._txid_of(prepared)
            if error.code not in {faults.VERIFY_ERROR, faults.VERIFY_REJECTED}:
                raise
            return self._judge(prepared, ours, error)
        # It may have been known by the id of another transaction that made the payments, and was taken back.
        if txid != ours and txid != self._txid_of(prepared):
            raise BackendError(f"the daemon published {txid!r:.80} instead of {ours}; look at both before going on")
        return answers.txid(txid, "the published txid")

    def _txid_of(self, prepared: PreparedTransaction) -> Txid:
        decoded = answers.mapping(self.rpc.call("decoderawtransaction", prepared.raw), "decoderawtransaction")
        return answers.txid(decoded.get("txid"), "the decoded txid")

    def _judge(self, prepared: PreparedTransaction, txid: Txid, refusal: BackendRejectedError) -> Txid:
        """Return under which id the refused transaction is in the chain, and raise what is known otherwise."""
        ours = self._look_up([txid])[0]
        if ours is not None and ours.confirmations > 0:
            return txid
        if ours is None or ours.confirmations < 0:
            end = self._find_end(prepared, ours)
            if isinstance(end, _Death):
                raise BroadcastDeadError(
                    f"transaction {txid} cannot confirm: {end.reason}", depth=end.depth, code=refusal.code
                )
            if end is not None:
                logger.warning("transaction %s was confirmed under the other id %s", txid, end)
                return end
        raise OutcomeUnknownError(f"transaction {txid} is not accepted now and must be submitted again: {refusal}")

    def _find_end(self, prepared: PreparedTransaction, ours: _Seen | None) -> Txid | _Death | None:
        """Find out under which other id it is in the chain, or what keeps it out for good; None if neither is.

        :param ours: what the wallet knows of it.
        """
        parents = self._look_up([outpoint.txid for outpoint in prepared.inputs])
        for outpoint, parent in zip(prepared.inputs, parents, strict=True):
            if parent is None or parent.confirmations == 0 or not self._is_spent_in_chain(outpoint):
                continue
            if parent.confirmations < 0:
                reason = f"its input {outpoint.txid}:{outpoint.vout} is in conflict with the chain"
                return _Death(reason, -parent.confirmations)
            spender = self._find_spender(outpoint, parent)
            if spender is None:
                logger.error(
                    "input %s:%s of withdrawal transaction %s is spent, and the wallet does not know by what",
                    outpoint.txid, outpoint.vout, prepared.txid,
                )  # fmt: skip
                continue
            if self._pays_the_same(spender, prepared, ours):
                return spender
            reason = f"its input {outpoint.txid}:{outpoint.vout} was spent by {spender}"
            return _Death(reason, self._confirmations(spender))
        return None

    def _is_spent_in_chain(self, outpoint: Outpoint) -> bool:
        return self.rpc.call("gettxout", outpoint.txid, outpoint.vout, False) is None

    def _find_spender(self, outpoint: Outpoint, parent: _Seen) -> Txid | None:
        """Find the confirmed transaction of our wallet that spends an output."""
        header = answers.mapping(self.rpc.call("getblockheader", parent.block_hash), "getblockheader")
        # The spender may be in the same block as the parent, and listings begin after the block they are given.
        before = header.get("previousblockhash", "")
        listing = answers.mapping(self.rpc.call("listsinceblock", before), "listsinceblock")
        candidates = {
            answers.txid(row.get("txid"), "a listed txid"): None
            for row in answers.mappings(listing.get("transactions"), "listsinceblock.transactions")
            if row.get("category") == "send" and answers.confirmations(row.get("confirmations"), "confirmations") > 0
        }
        for txid, decoded in self._decoded(list(candidates)):
            for row in answers.mappings(decoded.get("vin"), "vin"):
                if row.get("txid") == outpoint.txid and row.get("vout") == outpoint.vout:
                    return txid
        return None

    def _confirmations(self, txid: Txid) -> int:
        (seen,) = self._look_up([txid])
        return 0 if seen is None else max(seen.confirmations, 0)

    def _pays_the_same(self, spender: Txid, prepared: PreparedTransaction, ours: _Seen | None) -> bool:
        """Tell whether a transaction makes all our payments; of its change it may have taken a higher fee."""
        ((_, other),) = self._decoded([spender])
        raw = prepared.raw if ours is None else ours.raw
        decoded = answers.mapping(self.rpc.call("decoderawtransaction", raw), "decoderawtransaction")
        # What the wallet has not seen could not be replaced by it, and nobody knows which output is change.
        paying = None if ours is None else ours.paying
        payments = output_counts(decoded, decimals=self.decimals, only=paying or None)
        return not payments - output_counts(other, decimals=self.decimals)

    def _decoded(self, txids: list[Txid]) -> Iterator[tuple[Txid, dict[str, object]]]:
        for start in range(0, len(txids), BATCH_SIZE):
            chunk = txids[start : start + BATCH_SIZE]
            known = [(txid, seen) for txid, seen in zip(chunk, self._look_up(chunk), strict=True) if seen is not None]
            decoded = self.rpc.batch([("decoderawtransaction", [seen.raw]) for _, seen in known])
            for (txid, _), answer in zip(known, decoded, strict=True):
                if isinstance(answer, BackendRejectedError):
                    raise answer
                yield txid, dict(answers.mapping(answer, "decoderawtransaction"))

    def _look_up(self, txids: list[Txid]) -> list[_Seen | None]:
        return [_seen(answer) for answer in self.rpc.batch([("gettransaction", [txid]) for txid in txids])]


def _seen(answer: object) -> _Seen | None:
    if isinstance(answer, BackendRejectedError):
        if answer.code == faults.NOT_FOUND:
            return None
        raise answer
    facts = answers.mapping(answer, "gettransaction")
    confirmations = answers.confirmations(facts.get("confirmations"), "gettransaction.confirmations")
    block_hash = answers.block_hash(facts.get("blockhash"), "gettransaction.blockhash") if confirmations > 0 else None
    paying = frozenset(
        answers.integer(row.get("vout"), "gettransaction.details.vout")
        for row in answers.mappings(facts.get("details"), "gettransaction.details")
        # What Litecoin's wallet paid into an extension block is no output.
        if row.get("category") == "send" and "vout" in row
    )
    return _Seen(confirmations, block_hash, answers.hexadecimal(facts.get("hex"), "gettransaction.hex"), paying)
