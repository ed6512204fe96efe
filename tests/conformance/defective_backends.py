"""Backends that are wrong in one way each: what the conformance suite must catch. Run by test_planted_defects.py.

Each class derives from the simulated network's backend, which is right. The classes at the end run the suite on them
and are expected to fail; the module's name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_btc import BITCOIN
from cryptoassets_core.backend.base import (
    BlockHash,
    ChainChanges,
    PreparedTransaction,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.errors import (
    BackendError,
    BackendUnavailableError,
    BroadcastDeadError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
    RecipientRejectedError,
)
from cryptoassets_core.testing import BackendSuite
from cryptoassets_simnet.backend import SimnetBackend
from cryptoassets_simnet.testing import SimnetWorld


class Telling(SimnetBackend):
    """Tells of each transaction something else."""

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return transaction

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        changes = super().list_since(checkpoint, depth=depth)
        return replace(changes, transactions=[self.told(each) for each in changes.transactions])

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        return {txid: self.told(each) for txid, each in super().get_transactions(txids).items()}


class Paying(Telling):
    """Tells of each output another amount."""

    def amount(self, amount: Decimal) -> Any:
        return amount

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        outputs = tuple(replace(each, amount=self.amount(each.amount)) for each in transaction.received)
        return replace(transaction, received=outputs)


class SatoshiAsCoin(Paying):
    def amount(self, amount: Decimal) -> Decimal:
        return amount * 10**8


class FloatAmount(Paying):
    def amount(self, amount: Decimal) -> float:
        return float(amount)


class NegativeAmount(Paying):
    def amount(self, amount: Decimal) -> Decimal:
        return -amount


class RoundedAmount(Paying):
    def amount(self, amount: Decimal) -> Decimal:
        return amount.quantize(Decimal("0.01"))


class LostOutput(Telling):
    """Keeps one output an address."""

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return replace(transaction, received=tuple({each.address: each for each in transaction.received}.values()))


class MissingConfirmations(Telling):
    """Knows whether it is confirmed, and not how deep."""

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return replace(transaction, confirmations=min(transaction.confirmations, 1))


class WrongBlockNamed(Telling):
    """Names the newest block as the one that includes it."""

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return transaction if transaction.block_hash is None else replace(transaction, block_hash=self.get_tip())


class UnconfirmedCountsAsConfirmed(Telling):
    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return replace(transaction, confirmations=transaction.confirmations or 1)


class ConflictIsHidden(Telling):
    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return replace(transaction, confirmations=max(transaction.confirmations, 0))


class RewardIsADeposit(Telling):
    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return replace(transaction, coinbase=False)


class FeeOfAByte(Telling):
    """Tells the rate and not the fee."""

    def told(self, transaction: WalletTransaction) -> WalletTransaction:
        return transaction if transaction.fee is None else replace(transaction, fee=transaction.fee / 250)


class DuplicatedTxid(SimnetBackend):
    """Lists a transaction once for each output, as a daemon's rows are."""

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        changes = super().list_since(checkpoint, depth=depth)
        return replace(changes, transactions=[each for each in changes.transactions for _ in each.received])


class ForgottenCheckpoint(SimnetBackend):
    """Lists nothing when it does not know the checkpoint."""

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        changes = super().list_since(checkpoint, depth=depth)
        return replace(changes, transactions=()) if checkpoint == "ab" * 32 else changes


class CheckpointAtTheTip(SimnetBackend):
    """Takes what is in a block for done."""

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        return super().list_since(checkpoint, depth=1)


class EverythingEachTime(SimnetBackend):
    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        return super().list_since(None, depth=depth)


class UnknownIsAnError(SimnetBackend):
    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        wanted = list(txids)
        found = super().get_transactions(wanted)
        if set(wanted) - set(found):
            raise BackendError("no such transaction")
        return found


class SwallowedError(SimnetBackend):
    """Takes a node that is down for an empty wallet."""

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        try:
            return super().get_backend_balance(confirmations)
        except BackendError:
            return Decimal(0)


class WrongNetworkAccepted(SimnetBackend):
    def check(self) -> None:
        try:
            super().check()
        except BackendUnavailableError:
            raise
        except BackendError as error:
            if isinstance(error, OutcomeUnknownError):
                raise


class OneAddressForAll(SimnetBackend):
    _address: str | None = None

    def create_address(self, label: str) -> str:
        self._address = self._address or super().create_address(label)
        super().get_tip()
        return self._address


class ShoutedAddress(SimnetBackend):
    """Writes addresses in another spelling than the books."""

    def create_address(self, label: str) -> str:
        return super().create_address(label).upper()


class NotForThreads(SimnetBackend):
    """Keeps what it does in itself."""

    _label = ""

    def create_address(self, label: str) -> str:
        self._label = label
        time.sleep(0.01)
        if self._label != label:
            raise RuntimeError("two at once")
        return super().create_address(label)


class PublishedWhilePrepared(SimnetBackend):
    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        prepared = super().prepare(recipients)
        self.submit(prepared)
        return prepared


class HeldWhilePrepared(SimnetBackend):
    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        prepared = super().prepare(recipients)
        super().hold(prepared)
        return prepared


class HoldsNothing(SimnetBackend):
    def hold(self, prepared: PreparedTransaction) -> None:
        self.get_tip()


class ReleasesNothing(SimnetBackend):
    def release(self, prepared: PreparedTransaction) -> None:
        self.get_tip()


class SubmitIsNotIdempotent(SimnetBackend):
    """Refuses what the network knows already, as daemons do."""

    def submit(self, prepared: PreparedTransaction) -> Txid:
        if prepared.txid is not None and super().get_transactions([prepared.txid]):
            raise OutcomeUnknownError("already in block chain")
        return super().submit(prepared)


class SignsAnewAtEachSubmission(SimnetBackend):
    """Pays twice when it is asked to publish again."""

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        self._recipients = dict(recipients)
        return super().prepare(recipients)

    def submit(self, prepared: PreparedTransaction) -> Txid:
        txid = super().submit(prepared)
        try:
            if super().get_transactions([txid])[txid].confirmations:
                super().submit(super().prepare(self._recipients))
        except InsufficientHotWalletFunds:
            pass
        return txid


class DoubtIsDeath(SimnetBackend):
    """Calls dead what a rival in the mempool keeps out, and so lets it be refunded."""

    def submit(self, prepared: PreparedTransaction) -> Txid:
        try:
            return super().submit(prepared)
        except OutcomeUnknownError as error:
            if "kept out" in str(error):
                raise BroadcastDeadError(str(error)) from error
            raise


class DeathIsDoubt(SimnetBackend):
    def submit(self, prepared: PreparedTransaction) -> Txid:
        try:
            return super().submit(prepared)
        except BroadcastDeadError as error:
            raise OutcomeUnknownError(str(error)) from error


class LostAnswerIsAFailure(SimnetBackend):
    """Says that nothing happened when it does not know."""

    def submit(self, prepared: PreparedTransaction) -> Txid:
        try:
            return super().submit(prepared)
        except OutcomeUnknownError as error:
            if "in time" in str(error):
                raise BackendUnavailableError(str(error)) from error
            raise


class WrongRecipientNamed(SimnetBackend):
    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        try:
            return super().prepare(recipients)
        except RecipientRejectedError as error:
            raise RecipientRejectedError(str(error), address=next(iter(recipients))) from error


class FeeFromTheRecipient(SimnetBackend):
    """Pays the recipients less, so that the fee seems free."""

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        short = {address: amount - Decimal("0.0001") for address, amount in recipients.items() if amount.is_finite()}
        return super().prepare(short if all(amount > 0 for amount in short.values()) else recipients)


class NegativeMeansPositive(SimnetBackend):
    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        return super().prepare({address: abs(amount) for address, amount in recipients.items()})


class FeeOfNothing(SimnetBackend):
    """Forgets to say what it costs."""

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        return replace(super().prepare(recipients), fee=Decimal(0))


DEFECTS = [
    defect
    for defect in list(globals().values())
    if isinstance(defect, type) and issubclass(defect, SimnetBackend) and defect not in {SimnetBackend, Telling, Paying}
]


def suite_on(defect: type[SimnetBackend]) -> type[BackendSuite]:
    class Suite(BackendSuite):
        backend_class = SimnetBackend
        can_create_addresses = can_receive = can_mine = can_list_changes = can_reorg = can_double_spend = True
        can_reward = can_send = can_tell_fee = can_tell_bad_recipient = can_tell_dust = True
        can_tell_network = can_go_down = can_lose_answers = True

        @pytest.fixture
        def world(self, tmp_path: Path) -> Iterator[SimnetWorld]:
            with closing(SimnetWorld(tmp_path / "chain", BITCOIN, backend_class=defect)) as world:
                yield world

    return Suite


for _defect in DEFECTS:
    globals()[f"Test{_defect.__name__}"] = suite_on(_defect)
