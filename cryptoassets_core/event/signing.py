"""Signatures of events on their way: who posted them, when, and that nothing was changed.

As in the Standard Webhooks specification: the headers ``webhook-id``, ``webhook-timestamp`` (seconds since 1970) and
``webhook-signature``, one ``v1,`` and the base64 of an HMAC-SHA256 for each secret, with a space in between. What is
signed is ``id.timestamp.body``. While a secret is replaced by another one, both are signed with and both are accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptoassets_core.errors import CryptoAssetsError

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

#: A request is fresh for so long, and as far as clocks may differ; the specification's own figure.
TOLERANCE_SECONDS: Final = 300

_PREFIX: Final = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
_SECONDS = re.compile(r"[0-9]{1,12}")
#: More than one for each secret is nothing that a sender of ours makes.
_MOST_SIGNATURES: Final = 8


class SignatureError(CryptoAssetsError):
    """A request is not signed as it should be; the message never repeats what was sent."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request's signature vouches for."""

    event_id: str
    #: Seconds since 1970.
    timestamp: int


def parse_secret(text: str) -> bytes:
    """Return the key of a secret.

    :param text: ``whsec_`` and the base64 of 24 to 64 random bytes.
    :raises ValueError: it is none; the message does not repeat it.
    """
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(
            f"must be {_PREFIX} and the base64 of {_LEAST_BYTES} to {_MOST_BYTES} random bytes; make one with: "
            f"echo {_PREFIX}$(openssl rand -base64 32)"
        )
    return key


def sign(keys: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that vouch for a request."""
    signatures = (_signature(key, event_id, str(timestamp), body) for key in keys)
    return {
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(f"v1,{signature}" for signature in signatures),
    }


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now: float) -> Signed:
    """Return what a request's signature vouches for.

    :param headers: by name, in whatever case.
    :param now: seconds since 1970.
    :raises SignatureError: it is not signed, not by us, or not now.
    """
    found = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp, signatures = (found.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    if not event_id or not timestamp or not signatures:
        raise SignatureError("The request is not signed.")
    if not _SECONDS.fullmatch(timestamp):
        raise SignatureError("The time of the signature is not in seconds since 1970.")
    given = [each.removeprefix("v1,") for each in signatures.split(" ") if each.startswith("v1,")][:_MOST_SIGNATURES]
    expected = [_signature(key, event_id, timestamp, body) for key in keys]
    # Each is compared with each, in a time that tells nothing.
    matches = [
        hmac.compare_digest(one.encode(), other.encode("utf-8", "replace")) for one in expected for other in given
    ]
    if not any(matches):
        raise SignatureError("The signature is wrong.")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureError("The signature is too old, or from the future; are both clocks right?")
    return Signed(event_id, int(timestamp))


def _signature(key: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((event_id.encode("utf-8", "replace"), timestamp.encode("utf-8", "replace"), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
