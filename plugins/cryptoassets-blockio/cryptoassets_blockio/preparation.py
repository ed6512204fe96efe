"""Having a withdrawal prepared, checking it, and signing it here; nothing of it moves a coin."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.checks import Expectation
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.draft import PAYMENT, Draft, read_draft
from cryptoassets_blockio.official import sign
from cryptoassets_blockio.payload import Payload
from cryptoassets_blockio.transactions import parse
from cryptoassets_core.amounts import check_amount, format_amount
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    BadAddress,
    InsufficientHotWalletFunds,
    RecipientRejectedError,
)

#: Fields that a refusal has when the wallet holds too little; the texts of refusals change.
_FUNDS_FIELDS: Final = frozenset({"available_balance", "max_withdrawal_available", "minimum_balance_needed"})


@dataclass(slots=True)
class Reservations:
    """Coins of transactions that are stored and not submitted: the service itself reserves nothing."""

    _held: set[Outpoint] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, outpoints: tuple[Outpoint, ...]) -> None:
        """Keep coins from being used by another transaction."""
        with self._lock:
            self._held.update(outpoints)

    def release(self, outpoints: tuple[Outpoint, ...]) -> None:
        """Let coins be used again."""
        with self._lock:
            self._held.difference_update(outpoints)

    def check(self, outpoints: tuple[Outpoint, ...]) -> None:
        """Refuse coins that another transaction has.

        :raises BackendUnavailableError: it has some of them.
        """
        with self._lock:
            if not self._held.isdisjoint(outpoints):
                raise BackendUnavailableError(
                    "block.io chose coins that an earlier broadcast spends, which is not submitted yet; it goes first"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """One account's way of making transactions."""

    client: BlockIoClient
    expectation: Expectation
    priority: str
    dust: Decimal
    reservations: Reservations

    def prepare(
        self,
        recipients: Mapping[str, Decimal],
        pin: str,
        *,
        own: frozenset[str],
        sources: frozenset[str] = frozenset(),
    ) -> PreparedTransaction:
        """Prepare, check and sign; see :py:meth:`cryptoassets_core.backend.base.TwoStepBackend.prepare`.

        :param sources: addresses whose coins alone are spent; without any, the service chooses.
        """
        for address, amount in recipients.items():
            self._check_payment(address, amount)
        prepared_at = int(time.time())
        draft = self._draft(recipients, sources)
        self.expectation.check(draft, recipients, own=own, sources=sources)
        self.reservations.check(tuple(each.outpoint for each in draft.inputs))
        return self._sign(draft, pin, prepared_at)

    def _check_payment(self, address: str, amount: Decimal) -> None:
        """Refuse what nobody can send, before the service is asked.

        :raises RecipientRejectedError: the network does not know the address, or does not carry so little.
        :raises InvalidAmountError: it is no amount.
        """
        check_amount(amount, self.expectation.decimals)
        try:
            canonical_address(address, self.expectation.rules)
        except BadAddress as error:
            raise RecipientRejectedError(str(error), address=address) from None
        if amount < self.dust:
            raise RecipientRejectedError(
                f"{format_amount(amount)} to {address} is dust, the network carries at least "
                f"{format_amount(self.dust)}",
                address=address,
            )

    def ask(self, recipients: Mapping[str, Decimal], sources: frozenset[str] = frozenset()) -> Draft:
        """Have the service prepare a payment; it is neither checked nor signed.

        :raises InsufficientHotWalletFunds: the wallet cannot pay it.
        :raises ServiceRefusal: the service's definite no.
        """
        chosen = {"from_addresses": ",".join(sorted(sources))} if sources else {}
        try:
            data = self.client.call(
                "prepare_transaction",
                to_addresses=",".join(recipients),
                amounts=",".join(f"{amount:f}" for amount in recipients.values()),
                priority=self.priority,
                **chosen,
            )
        except ServiceRefusal as error:
            if not _FUNDS_FIELDS.isdisjoint(error.data):
                total = sum(recipients.values(), Decimal(0))
                raise InsufficientHotWalletFunds(
                    f"the block.io wallet cannot pay {format_amount(total)} and the fee now; top it up, or wait until "
                    "its unconfirmed coins confirm"
                ) from None
            raise
        return read_draft(data, decimals=self.expectation.decimals)

    def _draft(self, recipients: Mapping[str, Decimal], sources: frozenset[str]) -> Draft:
        try:
            return self.ask(recipients, sources)
        except ServiceRefusal as error:
            refused = self._find_refused(recipients)
            if refused is None:
                raise
            raise RecipientRejectedError(str(error), address=refused, code=error.code) from None

    def _find_refused(self, recipients: Mapping[str, Decimal]) -> str | None:
        """Find a recipient that the service will not pay, by halves; None if it refuses them all alike."""
        if len(recipients) == 1:
            (address,) = recipients
            return address if self._is_invalid(address) else None
        items = list(recipients.items())
        first, second = dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])
        refused = [half for half in (first, second) if self._is_refused(half)]
        if len(refused) != 1:
            # All are refused, which is about us, or only all together: a limit on their number.
            return next((address for half in refused for address in half if self._is_invalid(address)), None)
        (half,) = refused
        return next(iter(half)) if len(half) == 1 else self._find_refused(half)

    def _is_refused(self, recipients: Mapping[str, Decimal]) -> bool:
        try:
            self.ask(recipients)
        except ServiceRefusal:
            return True
        except InsufficientHotWalletFunds:
            pass
        return False

    def _is_invalid(self, address: str) -> bool:
        try:
            return self.client.call("is_valid_address", address=address).get("is_valid") is False
        except ServiceRefusal:
            return False

    def _sign(self, draft: Draft, pin: str, prepared_at: int) -> PreparedTransaction:
        unsigned = self.expectation.unsigned(draft)
        signed = sign(draft.data, pin)
        made = parse(answers.hexadecimal(signed.get("tx_hex"), "the signed transaction"))
        if made != unsigned:
            raise BackendError("the client signed another transaction than the one that was checked; nothing was sent")
        signatures = answers.mappings(signed.get("signatures"), "signatures")
        ours = [(each.get("input_index"), each.get("public_key")) for each in signatures]
        if ours != [(number, draft.public_key) for number in range(len(draft.inputs))]:
            raise BackendRejectedError("the client did not sign every input with our key; nothing was sent")
        return PreparedTransaction(
            txid=draft.final_txid(unsigned),
            raw=Payload(draft.network, signed, prepared_at, draft.total(PAYMENT)).dump(),
            fee=draft.cost,
            inputs=unsigned.outpoints,
        )
