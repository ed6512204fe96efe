"""Building and signing a withdrawal without publishing it.

The daemon chooses the coins and the fee; what it made is decoded and compared with what was asked before anybody relies
on it. No coins are locked by any of this: when an answer is lost, or the kernel is killed before it has stored what was
signed, nothing must stay locked that nobody remembers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cryptoassets_bitcoind import answers, faults
from cryptoassets_bitcoind.capabilities import Capabilities
from cryptoassets_bitcoind.recipients import Payments, build, check_recipients, find_dust, is_dust
from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
)

#: In the reasons for which ``fundrawtransaction`` finds no coins now. Of coins that hang on too many unconfirmed ones,
#: older daemons say "mempool chain", Core 25 and later "unconfirmed UTXOs" or, as the mempool does, ancestors,
#: descendants and unconfirmed parents.
_NO_COINS_NOW: Final = ("insufficient funds", "mempool chain", "unconfirmed", "ancestor", "descendant")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """What withdrawals may cost; rates in whole coins for 1000 bytes."""

    fee_rate: Decimal | None
    confirmation_target: int | None
    min_fee_rate: Decimal | None
    max_fee_rate: Decimal

    @property
    def fund_options(self) -> dict[str, object]:
        """Options of ``fundrawtransaction``."""
        if self.fee_rate is not None:
            return {"feeRate": self.fee_rate}
        if self.confirmation_target is not None:
            return {"conf_target": self.confirmation_target}
        return {}


@dataclass(frozen=True, slots=True)
class _Funded:
    raw: str
    fee: Decimal
    inputs: tuple[Outpoint, ...]


@dataclass(frozen=True, slots=True)
class _Signed:
    prepared: PreparedTransaction
    #: Bytes that count for the fee.
    size: int

    @property
    def fee_rate(self) -> Decimal:
        """Whole coins for 1000 bytes."""
        return self.prepared.fee * 1000 / max(self.size, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """One daemon's way of making transactions, under one fee policy."""

    rpc: RpcClient
    capabilities: Capabilities
    policy: FeePolicy
    decimals: int

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        """Build, sign and check; see :py:meth:`cryptoassets_core.backend.base.TwoStepBackend.prepare`."""
        try:
            payments = check_recipients(self.rpc, recipients, decimals=self.decimals)
            signed = self._sign(self._fund(recipients, self.policy.fund_options), payments)
            if self.policy.min_fee_rate is not None and signed.fee_rate < self.policy.min_fee_rate:
                signed = self._sign(self._fund(recipients, {"feeRate": self.policy.min_fee_rate}), payments)
            return self._judged(signed)
        except OutcomeUnknownError as error:
            # Nothing is published by any of these calls, so nothing is in doubt.
            raise BackendUnavailableError(f"{error}, which harms nothing: no transaction was published") from None

    def _fund(self, recipients: Mapping[str, Decimal], options: Mapping[str, object]) -> _Funded:
        unfunded = build(self.rpc, recipients)
        arguments: list[object] = [unfunded, options]
        if self.capabilities.is_modern:
            # Without inputs, a transaction may be mistaken for the segwit serialisation of another one.
            arguments.append(False)
        try:
            answer = answers.mapping(self.rpc.call("fundrawtransaction", *arguments), "fundrawtransaction")
        except BackendRejectedError as error:
            raise self._funding_error(error, recipients) from None
        raw = answers.hexadecimal(answer.get("hex"), "fundrawtransaction.hex")
        fee = answers.amount(answer.get("fee"), "fundrawtransaction.fee", decimals=self.decimals)
        inputs = _inputs(self._decode(raw))
        if not inputs:
            # Litecoin's wallet may choose what is in its extension blocks; such a transaction has no inputs that show.
            raise BackendUnavailableError(
                f"the wallet at {self.rpc.endpoint} would pay with coins in extension blocks (MWEB), which cannot be "
                "done; move them to an ordinary address of the wallet"
            )
        return _Funded(raw, fee, inputs)

    def _funding_error(self, error: BackendRejectedError, recipients: Mapping[str, Decimal]) -> BackendError:
        text = str(error).lower()
        if error.code == faults.INSUFFICIENT_FUNDS or any(words in text for words in _NO_COINS_NOW):
            total = sum(recipients.values(), Decimal(0))
            return InsufficientHotWalletFunds(
                f"the wallet at {self.rpc.endpoint} cannot pay {total:f} and the fee now; top it up, or wait until "
                "its unconfirmed coins confirm",
                code=error.code,
            )
        if is_dust(error):
            return find_dust(self.rpc, recipients) or error
        if "keypool" in text or "needs a change address" in text:
            # It happens to a locked wallet, and says nothing of the recipients.
            return BackendUnavailableError(
                f"the wallet at {self.rpc.endpoint} has no address left for change; unlock it with walletpassphrase, "
                "and call keypoolrefill"
            )
        if "fee estimation failed" in text:
            return BackendUnavailableError(
                f"the daemon at {self.rpc.endpoint} cannot estimate a fee yet; wait, or set fee_rate of the backend"
            )
        return error

    def _sign(self, funded: _Funded, payments: Payments) -> _Signed:
        try:
            answer = answers.mapping(
                self.rpc.call(self.capabilities.sign_method, funded.raw), self.capabilities.sign_method
            )
        except BackendRejectedError as error:
            if error.code == faults.WALLET_LOCKED:
                raise BackendUnavailableError(str(error)) from None
            raise
        if answer.get("complete") is not True:
            raise BackendRejectedError(f"the wallet at {self.rpc.endpoint} lacks keys to sign with all its coins")
        raw = answers.hexadecimal(answer.get("hex"), "the signed transaction")
        decoded = self._decode(raw)
        if _inputs(decoded) != funded.inputs:
            raise BackendError(f"the daemon at {self.rpc.endpoint} signed another transaction than the one it funded")
        self._check_outputs(decoded, payments)
        # Not every daemon without segwit tells a size; there it is that of the bytes.
        size = answers.integer(decoded.get("vsize", len(raw) // 2), "the transaction's size")
        # Only now: signing changes the txid where inputs are not native segwit.
        txid = answers.txid(decoded.get("txid"), "the signed txid")
        return _Signed(PreparedTransaction(txid, raw, funded.fee, funded.inputs), size)

    def _judged(self, signed: _Signed) -> PreparedTransaction:
        self._check_fee(signed)
        if self.capabilities.can_test:
            self._check_relay(signed.prepared.raw)
        return signed.prepared

    def _decode(self, raw: str) -> Mapping[str, object]:
        return answers.mapping(self.rpc.call("decoderawtransaction", raw), "decoderawtransaction")

    def _check_outputs(self, decoded: Mapping[str, object], payments: Payments) -> None:
        outputs = output_counts(decoded, decimals=self.decimals)
        missing, extra = payments - outputs, outputs - payments
        if missing or extra.total() > 1:
            raise BackendError(
                f"the daemon at {self.rpc.endpoint} made a transaction that does not pay exactly what was asked; "
                "it was not published"
            )

    def _check_fee(self, signed: _Signed) -> None:
        fee, limit = signed.prepared.fee, self.policy.max_fee_rate
        if fee < 0 or signed.fee_rate > limit:
            raise BackendUnavailableError(
                f"the fee would be {fee:f} for {signed.size} bytes, above max_fee_rate {limit:f} for 1000; wait, or "
                "raise the limit"
            )

    def _check_relay(self, raw: str) -> None:
        """Refuse to hand out a transaction that the daemon would not publish as things are."""
        # Fee limit 0 is none: the fee was judged by our own limit.
        results = answers.mappings(self.rpc.call("testmempoolaccept", [raw], Decimal(0)), "testmempoolaccept")
        for result in results:
            if result.get("allowed") is not True:
                raise BackendUnavailableError(
                    f"the daemon at {self.rpc.endpoint} would not relay the transaction now: "
                    f"{result.get('reject-reason', 'no reason given')}"
                )


def output_counts(decoded: Mapping[str, object], *, decimals: int, only: Collection[int] | None = None) -> Payments:
    """Count the outputs of a decoded transaction by script and amount.

    :param only: their places; None counts all.
    """
    counts: Payments = Counter()
    for place, output in enumerate(answers.mappings(decoded.get("vout"), "vout")):
        if only is not None and place not in only:
            continue
        script = answers.mapping(output.get("scriptPubKey"), "vout.scriptPubKey")
        value = answers.amount(output.get("value"), "vout.value", decimals=decimals)
        counts[answers.hexadecimal(script.get("hex"), "vout.scriptPubKey.hex"), value] += 1
    return counts


def _inputs(decoded: Mapping[str, object]) -> tuple[Outpoint, ...]:
    return tuple(
        Outpoint(answers.txid(row.get("txid"), "vin.txid"), answers.integer(row.get("vout"), "vin.vout"))
        for row in answers.mappings(decoded.get("vin"), "vin")
    )
