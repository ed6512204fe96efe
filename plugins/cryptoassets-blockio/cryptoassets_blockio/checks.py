"""What the service prepared against what was asked: the client signs anything, so this is where money is kept.

Nothing the service says about its own work counts here. Outputs are compared as scripts; the address that coins come
from must follow from its keys; the user's key must be among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from cryptoassets_blockio.draft import CHANGE, PAYMENT, SERVICE_FEE, Draft
from cryptoassets_blockio.scripts import address_of, script_of
from cryptoassets_blockio.transactions import Input, Output, Transaction
from cryptoassets_core.amounts import format_amount, to_minor_units
from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    BadAddress,
    RecipientRejectedError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeLimits:
    """What a transaction may cost."""

    #: Whole coins for 1000 bytes.
    max_fee_rate: Decimal
    #: Percent of what is sent.
    max_service_fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a prepared transaction must be."""

    network: str
    rules: AddressRules
    decimals: int
    limits: FeeLimits

    def unsigned(self, draft: Draft) -> Transaction:
        """Return the transaction as everybody will sign it.

        :raises BackendError: an address of it is none of the network.
        """
        return Transaction(
            tuple(Input(each.outpoint) for each in draft.inputs),
            tuple(
                Output(to_minor_units(each.amount, self.decimals), self._script(each.address)) for each in draft.outputs
            ),
        )

    def check(
        self,
        draft: Draft,
        recipients: Mapping[str, Decimal],
        *,
        own: frozenset[str],
        sources: frozenset[str] = frozenset(),
    ) -> None:
        """See that signing it does what was asked and nothing else.

        :param own: addresses of the wallet that belong to no account; change may go there.
        :param sources: addresses whose coins alone may be spent; without any, all of them.
        :raises RecipientRejectedError: a recipient cannot be told from change.
        :raises BackendUnavailableError: it costs too much now.
        :raises BackendError: it is not what was asked.
        """
        if draft.network != self.network:
            raise _refused(f"it is for the network {draft.network!r:.20}")
        if len({each.outpoint for each in draft.inputs}) < len(draft.inputs):
            raise _refused("it spends the same coins twice")
        if sources and not {each.address for each in draft.inputs} <= sources:
            raise _refused("it spends coins of other addresses than was asked")
        self.check_origins(draft)
        self._check_payments(draft, recipients)
        self._check_change(draft, own)
        self.check_fees(draft)

    def check_origins(self, draft: Draft) -> None:
        """See that all coins are ours: our key is among those that their address follows from."""
        user_key = bytes.fromhex(draft.public_key)
        for address in {each.address for each in draft.inputs}:
            origin = draft.origins[address]
            if user_key not in origin.public_keys:
                raise _refused(f"it spends coins of {address}, to which our key does not belong")
            if self._script(address) != self._script(address_of(origin.redeem, origin.kind, self.rules)):
                raise _refused(f"its keys are not those of {address}")

    def _check_payments(self, draft: Draft, recipients: Mapping[str, Decimal]) -> None:
        asked = Counter((self._script(address), amount) for address, amount in recipients.items())
        made = Counter((self._script(each.address), each.amount) for each in draft.outputs if each.category == PAYMENT)
        if asked != made:
            raise _refused("it does not pay exactly what was asked")
        spent = {self._script(each.address) for each in draft.inputs}
        for address in recipients:
            if self._script(address) in spent:
                # The listing shows such a payment and change alike.
                raise RecipientRejectedError(
                    f"{address} would be paid with its own coins, which cannot be told from change: "
                    "move the coins inside of the books",
                    address=address,
                )

    def _check_change(self, draft: Draft, own: frozenset[str]) -> None:
        ours = {self._script(each.address) for each in draft.inputs} | {self._script(address) for address in own}
        for output in draft.outputs:
            if output.category not in (PAYMENT, CHANGE, SERVICE_FEE):
                raise _refused(f"it has an output of the unknown kind {output.category!r:.40}")
            if output.category == CHANGE and self._script(output.address) not in ours:
                raise _refused(f"its change goes to {output.address}, which none of its coins came from")

    def check_fees(self, draft: Draft) -> None:
        """See that it costs no more than it may."""
        service_fee, sent = draft.total(SERVICE_FEE), draft.total(PAYMENT)
        if service_fee * 100 > sent * self.limits.max_service_fee:
            raise BackendUnavailableError(
                f"block.io would charge {format_amount(service_fee)} for itself, above max_service_fee "
                f"{self.limits.max_service_fee:f} % of {format_amount(sent)}; wait for a larger batch, or raise it"
            )
        self.check_network_fee(draft)

    def check_network_fee(self, draft: Draft) -> None:
        """See that the network gets no more than it may."""
        fee, size = draft.network_fee, draft.size(self.unsigned(draft))
        if fee < 0:
            raise _refused("it spends more than it has")
        if fee * 1000 > self.limits.max_fee_rate * size:
            raise BackendUnavailableError(
                f"the fee would be {format_amount(fee)} for about {size} bytes, above max_fee_rate "
                f"{format_amount(self.limits.max_fee_rate)} for 1000; wait, or raise the limit"
            )

    def _script(self, address: str) -> bytes:
        try:
            return script_of(address, self.rules)
        except BadAddress as error:
            raise _refused(f"an address of it {error.reason}") from None


def _refused(reason: str) -> BackendError:
    return BackendRejectedError(f"what block.io prepared is refused: {reason}; it was not signed, and nothing was sent")
