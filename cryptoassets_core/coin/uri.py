"""Payment links, ``bitcoin:<address>?amount=0.01``: made in one form, and read strictly.

Source: BIP21, and BIP321 where that is stricter: a key counts in any case, and may not stand twice. A link that asks
for something in a way that is not understood is refused as a whole: it must not be paid halfway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.errors import BadAddress, InvalidAmountError, InvalidNameError, PaymentUriError
from cryptoassets_core.names import check_name

#: Far more than any link needs, and little enough to fit a QR code.
MAX_LENGTH: Final = 4096

#: ``*digit [ "." *digit ]`` of BIP21 with at least one digit; ASCII digits, no sign, no exponent, no comma.
_AMOUNT: Final = re.compile(r"(?=\.?[0-9])[0-9]*(?:\.[0-9]*)?")

#: What may stand in a query: RFC 3986, as BIP21 takes it over.
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")

#: What need not be written as %XX in a value (BIP21: ``qchar``, without the separators).
_UNQUOTED: Final = "-._~!$'()*,;:@/?"


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What a payment link asks for."""

    #: Whom to pay, in the form that is stored.
    address: str
    #: Whole coins; None leaves it to the payer.
    amount: Decimal | None = None
    #: The receiver's name for the address.
    label: str | None = None
    #: What the payment is for.
    message: str | None = None


def build_uri(coin: CoinDescription, request: PaymentRequest) -> str:
    """Write a payment link; the same request always makes the same link.

    :param request: its address is taken as it is.
    :raises InvalidAmountError: the amount could not move money.
    :raises InvalidNameError: label or message cannot be shown on a line.
    """
    parts = []
    if request.amount is not None:
        amount = f"{check_amount(request.amount, coin.decimals):f}"
        parts.append(f"amount={amount.rstrip('0').rstrip('.') if '.' in amount else amount}")
    for key, text in (("label", request.label), ("message", request.message)):
        if text is not None:
            parts.append(f"{key}={quote(check_name(text, f'the {key} of a payment link'), safe=_UNQUOTED)}")
    return f"{coin.uri_scheme}:{request.address}" + (f"?{'&'.join(parts)}" if parts else "")


def parse_uri(coin: CoinDescription, text: str, canonical_address: Callable[[str], str]) -> PaymentRequest:
    """Read a payment link.

    :param canonical_address: judges the address, as :py:meth:`Coin.canonical_address` does.
    :raises PaymentUriError: it is malformed, of another coin, or requires what is not understood.
    """
    if not isinstance(text, str):
        raise PaymentUriError(f"a payment link is text, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise PaymentUriError(f"the payment link has {len(text)} characters, at most {MAX_LENGTH} are read")
    scheme, colon, rest = text.partition(":")
    if not colon or not scheme.isascii() or scheme.lower() != coin.uri_scheme:
        raise PaymentUriError(f"the payment link does not begin with '{coin.uri_scheme}:'")
    address, _, query = rest.partition("?")
    options = _options(query)
    try:
        return PaymentRequest(
            address=canonical_address(address),
            amount=_amount(options["amount"], coin) if "amount" in options else None,
            label=_shown_text(options.get("label"), "label"),
            message=_shown_text(options.get("message"), "message"),
        )
    except (BadAddress, InvalidAmountError, InvalidNameError) as error:
        raise PaymentUriError(f"the payment link cannot be paid: {error}") from error


def _options(query: str) -> dict[str, str]:
    """Split the query; what is not required and not known may be ignored (BIP21)."""
    if not _QUERY.fullmatch(query):
        raise PaymentUriError("the payment link has a character after '?' that must be written as % and two hex digits")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        quoted_key, equals, value = part.partition("=")
        key = _unquoted(quoted_key).lower()
        if key.startswith("req-"):
            raise PaymentUriError(f"the payment link requires {key[:40]!r}, which is not understood here")
        if key in options:
            raise PaymentUriError(f"the payment link says {key[:40]!r} twice")
        if key in {"amount", "label", "message"} and not equals:
            raise PaymentUriError(f"the payment link names {key!r} without a value")
        options[key] = _unquoted(value)
    return options


def _unquoted(text: str) -> str:
    """Undo the percent-encoding; a plus sign is a plus sign (RFC 3986), not a space as in web forms."""
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise PaymentUriError("the payment link holds text that is not UTF-8") from None


def _amount(text: str, coin: CoinDescription) -> Decimal:
    if not _AMOUNT.fullmatch(text):
        raise PaymentUriError("the amount of a payment link is written in whole coins with a point, such as 0.0125")
    return check_amount(Decimal(text), coin.decimals)


def _shown_text(text: str | None, what: str) -> str | None:
    return check_name(text, f"its {what}") if text else None
