"""Which payments a backend refuses, where it refuses a batch and does not name one.

Preparing changes nothing, so parts of the batch are prepared for trial, by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from cryptoassets_core.errors import BackendRejectedError, InsufficientHotWalletFunds

#: Recipients, whole coins by address.
Recipients = Mapping[str, Decimal]

#: After so many were refused, and none was not, it is taken for granted that all are.
ENOUGH = 5


def find_refused(prepare: Callable[[Recipients], object], recipients: Recipients) -> dict[str, str]:
    """Return the recipients of a refused batch that are refused by themselves too, with what the backend says.

    None of them means that the batch is refused as a whole, as one that is too large is; all of them that it is not
    the recipients that are refused.

    :raises BackendError: the backend cannot be asked now.
    """
    addresses = list(recipients)
    refused: dict[str, str] = {}
    accepted = False
    waiting = [addresses[: len(addresses) // 2], addresses[len(addresses) // 2 :]]
    while waiting:
        part = waiting.pop()
        reason = _refusal(prepare, {address: recipients[address] for address in part})
        if reason is None:
            accepted = True
        elif len(part) == 1:
            refused[part[0]] = reason
            if len(refused) >= ENOUGH and not accepted:
                return dict.fromkeys(addresses, reason)
        else:
            waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    return refused


def _refusal(prepare: Callable[[Recipients], object], recipients: Recipients) -> str | None:
    try:
        prepare(recipients)
    except InsufficientHotWalletFunds:
        return None  # which says nothing against them
    except BackendRejectedError as error:
        return str(error)
    return None
