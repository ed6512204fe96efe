"""Exact amounts: whole coins as Decimal for people and programs, whole minor units in the database.

A minor unit is the smallest part of a coin (satoshi, 10^-8, for Bitcoin). Nothing here rounds: what does not fit
exactly is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from cryptoassets_core.errors import InvalidAmountError, InvalidAmountTypeError

#: What a BIGINT column holds: of a coin with 8 decimals, some 92 thousand million.
MAX_MINOR_UNITS: Final = 2**63 - 1

#: Decimals up to which every amount that matters fits a BIGINT.
BIGINT_DECIMALS: Final = 8

#: What a NUMERIC(38, 0) holds, the column of coins with more decimals.
_MAX_NUMERIC: Final = 10**38 - 1

#: For sums of amounts, whatever the application has made of the default context: enough digits for a NUMERIC(38, 0),
#: and an error instead of a rounded result.
EXACT: Final = Context(prec=76, traps=[Inexact, InvalidOperation])

#: The same for whole functions, in which plugins may divide.
_ROOMY: Final = Context(prec=76, traps=[DivisionByZero, InvalidOperation, Overflow])

P = ParamSpec("P")
R = TypeVar("R")


def exactly(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function, and all that it calls, add up exactly, whatever the application counts with in this thread."""

    @wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(_ROOMY):
            return function(*args, **kwargs)

    return counted


def max_minor_units(decimals: int) -> int:
    """Return the most minor units that one amount, or the balance of one account, of a coin can have."""
    return MAX_MINOR_UNITS if decimals <= BIGINT_DECIMALS else _MAX_NUMERIC


def to_minor_units(value: Decimal | int, decimals: int) -> int:
    """Turn whole coins into minor units, of either sign.

    :param value: whole coins; a Decimal or an int.
    :param decimals: how many decimals the coin has, 8 for Bitcoin.
    :raises InvalidAmountTypeError: for float, bool, str and anything else that is not an exact number.
    :raises InvalidAmountError: for NaN, infinity, and for more decimals than the coin has.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise InvalidAmountTypeError(
            f"an amount must be a decimal.Decimal in whole coins, not {type(value).__name__}; "
            "a float cannot hold coins exactly"
        )
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidAmountError("an amount must be a finite number, not infinity or NaN")
    if number.adjusted() > 40 or number.adjusted() < -40:
        # Checked before any arithmetic: Decimal("1e999999999") must not become a billion digits.
        raise InvalidAmountError(f"the amount {_shown(number)} is out of range for a coin with {decimals} decimals")
    try:
        minor = number.scaleb(decimals, EXACT)
    except Inexact:
        minor = None  # more digits than a NUMERIC(38, 0) and a coin's decimals can make up
    if minor is None or minor != minor.to_integral_value():
        raise InvalidAmountError(
            f"the amount {_shown(number)} has more than the {decimals} decimals of this coin; it is never rounded"
        )
    return int(minor)


def from_minor_units(minor: int, decimals: int) -> Decimal:
    """Turn minor units into whole coins, always written with all the coin's decimals."""
    return Decimal(minor).scaleb(-decimals, EXACT)


def check_amount(value: Decimal | int, decimals: int) -> Decimal:
    """Let through only an amount that may move money.

    :returns: the amount as a Decimal with all the coin's decimals.
    :raises InvalidAmountError: as :py:func:`to_minor_units`, and for zero, negative or too large amounts.
    """
    return from_minor_units(check_minor_units(value, decimals), decimals)


def check_minor_units(value: Decimal | int, decimals: int) -> int:
    """Let through only an amount that may move money, and return it in minor units; see :py:func:`check_amount`."""
    minor = to_minor_units(value, decimals)
    if minor <= 0:
        raise InvalidAmountError(f"an amount must be more than zero, not {_shown(Decimal(value))}")
    if minor > max_minor_units(decimals):
        raise InvalidAmountError(f"the amount {_shown(Decimal(value))} is more than the database can hold")
    return minor


def format_amount(value: Decimal) -> str:
    """Write an amount for a wire or a person: fixed notation, never ``1E-8``."""
    return f"{value:f}"


def _shown(number: Decimal) -> str:
    """Write a number for an error: as it is, or shortened when somebody sent a million digits."""
    if abs(number.adjusted()) <= 40 and len(number.as_tuple().digits) <= 76:
        return f"{number:f}"
    return f"about {number:.3E}"
