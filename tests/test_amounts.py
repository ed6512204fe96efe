"""Amounts are exact or refused: hostile values, round trips, fixed notation."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptoassets_core.amounts import (
    MAX_MINOR_UNITS,
    check_amount,
    format_amount,
    from_minor_units,
    to_minor_units,
)
from cryptoassets_core.errors import CryptoAssetsError, InvalidAmountError, InvalidAmountTypeError

HOSTILE = [
    *("-1", "-0.00000001", "0", "-0.0", "0E-30", "0E+30"),
    *("NaN", "-NaN", "sNaN", "NaN123", "Infinity", "-Infinity"),
    *("1E-9", "0.123456789", "0.000000010000000000000000000000000000001"),
    *("92233720368.54775808", "1E+30", "1E+41", "1E-41", "1E+999999", "1E-999999", "-1E+999999"),
    # More digits than any arithmetic here carries.
    *("1." + "1" * 100, "1." + "0" * 100 + "1", "9" * 100, "0." + "1" * 1_000_000, "1" + "0" * 1_000_000),
    "NaN" + "1" * 1_000_000,
]

EXACT = {
    "0.00000001": 1,
    "0.1": 10_000_000,
    "0.30000000": 30_000_000,
    "1": 100_000_000,
    "1.000000000000": 100_000_000,
    "1E+3": 100_000_000_000,
    "1E-8": 1,
    "20999999.97690000": 2_099_999_997_690_000,
    "92233720368.54775807": MAX_MINOR_UNITS,
    "1." + "0" * 100: 100_000_000,
}

minor_units = st.integers(1, MAX_MINOR_UNITS)
decimals_of_coins = st.integers(0, 18)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
def test_amount_that_must_not_move_money_is_refused_in_one_short_sentence(text: str) -> None:
    with pytest.raises(InvalidAmountError) as refusal:
        check_amount(Decimal(text), 8)

    assert not isinstance(refusal.value, InvalidAmountTypeError)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("value", [0, -1, 92_233_720_369, 10**30, 10**100_000, -(10**100_000)], ids=range(6))
def test_whole_numbers_are_checked_alike(value: int) -> None:
    with pytest.raises(InvalidAmountError) as refusal:
        check_amount(value, 8)

    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("function", [check_amount, to_minor_units])
@pytest.mark.parametrize("value", [1.0, 0.1, float("nan"), True, False, "1", b"1", None, 1 + 0j, Fraction(1, 2), [1]])
def test_type_that_is_not_exact_is_refused(function: Callable[[object, int], object], value: object) -> None:
    with pytest.raises(InvalidAmountTypeError, match=type(value).__name__) as refusal:
        function(value, 8)

    # Applications may catch the built-in classes too.
    assert isinstance(refusal.value, TypeError)
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, CryptoAssetsError)


@pytest.mark.parametrize(("text", "minor"), EXACT.items(), ids=lambda value: str(value)[:20])
def test_amount_is_converted_exactly(text: str, minor: int) -> None:
    assert to_minor_units(Decimal(text), 8) == minor
    assert check_amount(Decimal(text), 8) == Decimal(minor) / 10**8


def test_tenths_add_up() -> None:
    assert to_minor_units(Decimal("0.1") + Decimal("0.2"), 8) == to_minor_units(Decimal("0.3"), 8)


def test_balances_may_be_negative_and_zero() -> None:
    assert to_minor_units(Decimal("-0.00000001"), 8) == -1
    assert to_minor_units(Decimal("-0.0"), 8) == 0


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-8"), "0.00000000"),
        (Decimal("92233720368.54775807"), "92233720368.54775807"),
    ],
)
def test_amounts_are_written_in_fixed_notation(amount: Decimal, written: str) -> None:
    assert format_amount(amount) == written


@given(minor=minor_units, decimals=decimals_of_coins)
def test_minor_units_come_back_over_coins_and_text(minor: int, decimals: int) -> None:
    coins = from_minor_units(minor, decimals)
    text = format_amount(coins)

    assert to_minor_units(Decimal(text), decimals) == minor
    assert check_amount(coins, decimals) == coins
    assert "E" not in text
    assert len(text.partition(".")[2]) == decimals


@given(minor=minor_units, precision=st.integers(1, 30))
def test_the_applications_decimal_context_changes_nothing(minor: int, precision: int) -> None:
    coins = from_minor_units(minor, 8)

    with localcontext(Context(prec=precision)):
        assert to_minor_units(coins, 8) == minor
        assert from_minor_units(minor, 8) == coins
        assert format_amount(check_amount(coins, 8)) == format_amount(coins)


@given(minor=st.integers(-(10**38) + 1, 10**38 - 1), decimals=decimals_of_coins)
def test_sums_that_fill_a_numeric_column_are_exact(minor: int, decimals: int) -> None:
    assert to_minor_units(from_minor_units(minor, decimals), decimals) == minor


@given(
    minor=minor_units, further=st.integers(1, 10**12 - 1).filter(lambda digits: digits % 10), decimals=decimals_of_coins
)
def test_further_decimals_are_refused_and_never_rounded(minor: int, further: int, decimals: int) -> None:
    with localcontext(Context(prec=60)):
        too_precise = from_minor_units(minor, decimals) + from_minor_units(further, decimals + 12)
    with pytest.raises(InvalidAmountError, match="never rounded"):
        check_amount(too_precise, decimals)


@given(value=st.one_of(st.decimals(), st.integers(), st.floats(), st.text(), st.none(), st.booleans()))
def test_whatever_is_given_the_verdict_is_an_exact_amount_or_invalid_amount(value: object) -> None:
    try:
        amount = check_amount(value, 8)  # type: ignore[arg-type]
    except InvalidAmountError:
        return

    assert amount == value
    assert 0 < to_minor_units(amount, 8) <= MAX_MINOR_UNITS
