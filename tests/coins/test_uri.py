"""Payment links are made in one form, and read by the letter of BIP21."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptoassets_btc.models import coin_description
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.coin.uri import PaymentRequest
from cryptoassets_core.errors import BadAddress, InvalidAmountError, InvalidNameError, PaymentUriError

COIN = Coin(coin_description)
ADDRESS = "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp"
SEGWIT = "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l"


@pytest.mark.parametrize(
    ("amount", "label", "message", "query"),
    [
        (None, None, None, ""),
        (Decimal("20.3"), None, None, "?amount=20.3"),
        (Decimal("0.00000001"), None, None, "?amount=0.00000001"),
        (Decimal("1E+2"), None, None, "?amount=100"),
        (Decimal("50.00000000"), "Luke-Jr", None, "?amount=50&label=Luke-Jr"),
        (None, "Tea & cake=1", "50% #1 + ü", "?label=Tea%20%26%20cake%3D1&message=50%25%20%231%20%2B%20%C3%BC"),
    ],
)  # fmt: skip
def test_link_is_made(amount: Decimal | None, label: str | None, message: str | None, query: str) -> None:
    link = COIN.uri(ADDRESS, amount, label, message)
    assert link == f"bitcoin:{ADDRESS}{query}"
    assert COIN.parse_uri(link) == PaymentRequest(ADDRESS, amount, label, message)


def test_link_holds_the_canonical_address() -> None:
    assert COIN.uri(SEGWIT.upper()) == f"bitcoin:{SEGWIT}"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        (f"BITCOIN:{SEGWIT.upper()}?AMOUNT=1.50", PaymentRequest(SEGWIT, Decimal("1.5"))),
        (f"bitcoin:{ADDRESS}?", PaymentRequest(ADDRESS)),
        (f"bitcoin:{ADDRESS}?amount=.5", PaymentRequest(ADDRESS, Decimal("0.5"))),
        (f"bitcoin:{ADDRESS}?amount=5.", PaymentRequest(ADDRESS, Decimal(5))),
        (f"bitcoin:{ADDRESS}?label=a+b", PaymentRequest(ADDRESS, label="a+b")),
        (f"bitcoin:{ADDRESS}?label=&message=m", PaymentRequest(ADDRESS, message="m")),
        (f"bitcoin:{ADDRESS}?somethingyoudontunderstand=50&lightning=x", PaymentRequest(ADDRESS)),
        (f"bitcoin:{ADDRESS}?amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz",
         PaymentRequest(ADDRESS, Decimal(50), "Luke-Jr", "Donation for project xyz")),
    ],
)  # fmt: skip
def test_link_is_read(text: str, request_: PaymentRequest) -> None:
    assert COIN.parse_uri(text) == request_


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "does not begin with 'bitcoin:'"),
        (ADDRESS, "does not begin with 'bitcoin:'"),
        (f"litecoin:{ADDRESS}", "does not begin with 'bitcoin:'"),
        (f" bitcoin:{ADDRESS}", "does not begin with 'bitcoin:'"),
        ("bitcoin:", "is empty"),
        (f"bitcoin://{ADDRESS}", "cannot be paid"),
        (f"bitcoin:{ADDRESS}x", "cannot be paid"),
        ("bitcoin:tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv", "another network or coin"),
        (f"bitcoin:{ADDRESS}?req-somethingyoudontunderstand=50", "requires 'req-somethingyoudontunderstand'"),
        (f"bitcoin:{ADDRESS}?REQ-pop=", "requires 'req-pop'"),
        (f"bitcoin:{ADDRESS}?%72eq-x=1", "requires 'req-x'"),
        (f"bitcoin:{ADDRESS}?amount=1&amount=2", "says 'amount' twice"),
        (f"bitcoin:{ADDRESS}?amount=1&Amount=2", "says 'amount' twice"),
        (f"bitcoin:{ADDRESS}?amount", "without a value"),
        (f"bitcoin:{ADDRESS}?amount=", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=.", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=1,5", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=-1", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=+1", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=1e3", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=NaN", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=%D9%A1", "in whole coins with a point"),
        (f"bitcoin:{ADDRESS}?amount=0", "more than zero"),
        (f"bitcoin:{ADDRESS}?amount=0.000000001", "more than the 8 decimals"),
        (f"bitcoin:{ADDRESS}?amount={'9' * 30}", "more than the database can hold"),
        (f"bitcoin:{ADDRESS}?label=%zz", "two hex digits"),
        (f"bitcoin:{ADDRESS}?label=50%", "two hex digits"),
        (f"bitcoin:{ADDRESS}?label=a b", "two hex digits"),
        (f"bitcoin:{ADDRESS}?label=%ff", "not UTF-8"),
        (f"bitcoin:{ADDRESS}?label=%0d%0aSet", "control character"),
        (f"bitcoin:{ADDRESS}#fragment", "cannot be paid"),
        (f"bitcoin:{ADDRESS}?label={'a' * 5000}", "at most 4096"),
        (None, "is text, not NoneType"),
        (b"bitcoin:", "is text, not bytes"),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
def test_malformed_link_is_refused_with_a_reason(text: str, fact: str) -> None:
    with pytest.raises(PaymentUriError) as refused:
        COIN.parse_uri(text)
    assert fact in str(refused.value)
    assert len(str(refused.value)) < 400


def test_link_that_could_not_be_paid_is_not_made() -> None:
    with pytest.raises(BadAddress):
        COIN.uri("D6aL3584L7DQcHckJW9eE3ifADAguLSRBU")
    for amount in (Decimal(0), Decimal(-1), Decimal("NaN"), 0.5):
        with pytest.raises(InvalidAmountError):
            COIN.uri(ADDRESS, amount)  # type: ignore[arg-type]
    with pytest.raises(InvalidNameError):
        COIN.uri(ADDRESS, label="two\nlines")


@given(
    st.text() | st.from_regex(r"bitcoin:[13a-zA-Z0-9]{0,40}(\?([a-z%-]{0,9}=[\x20-\x7e]{0,9}&?){0,4})?", fullmatch=True)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        request = COIN.parse_uri(text)
    except PaymentUriError:
        return
    assert COIN.parse_uri(COIN.uri(request.address, request.amount, request.label, request.message)) == request


AMOUNTS = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(21_000_000), places=8)
LABELS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60).filter(str.strip)


@given(AMOUNTS | st.none(), LABELS | st.none())
def test_what_is_made_is_read(amount: Decimal | None, label: str | None) -> None:
    assert COIN.parse_uri(COIN.uri(SEGWIT, amount, label, label)) == PaymentRequest(SEGWIT, amount, label, label)
