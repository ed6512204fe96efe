"""Receiving addresses: with labels that are unique for ever, and made once however often one has to ask."""

from __future__ import annotations

import re
import secrets
from typing import Final

from cryptoassets_blockio import answers
from cryptoassets_blockio.client import BlockIoClient, ServiceRefusal
from cryptoassets_blockio.options import AddressType
from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BackendRejectedError, BadAddress, OutcomeUnknownError

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")

#: How much of a label is kept; what makes it unique comes after it.
_LABEL_LENGTH: Final = 40


def unique_label(label: str) -> str:
    """Make a label that nobody had before, from letters, digits, ``-`` and ``_``.

    The service keeps labels of addresses whose books are gone. An address that is found by its label may only be the
    one that was made just now: with an old one its deposits would go to somebody else's account.
    """
    return f"{_UNSAFE.sub('-', label)[:_LABEL_LENGTH].strip('-') or 'address'}-{secrets.token_hex(6)}"


def create(client: BlockIoClient, label: str, *, kind: AddressType, rules: AddressRules) -> str:
    """Have an address made, and return it in its canonical form.

    :raises BackendRejectedError: what came is no address of the network, or there may be no more addresses.
    """
    name = unique_label(label)
    try:
        data = client.call("get_new_address", label=name, address_type=kind)
    except OutcomeUnknownError:
        data = _find(client, name) or client.call("get_new_address", label=name, address_type=kind)
    except ServiceRefusal:
        # An earlier attempt of the same call may have made it.
        found = _find(client, name)
        if found is None:
            raise
        data = found
    address = answers.text(data.get("address"), "get_new_address.address")
    try:
        return canonical_address(address, rules)
    except BadAddress as error:
        raise BackendRejectedError(f"block.io made an address that cannot be used: {error}") from None


def _find(client: BlockIoClient, label: str) -> answers.Row | None:
    try:
        return client.call("get_address_by_label", label=label)
    except ServiceRefusal:
        return None
