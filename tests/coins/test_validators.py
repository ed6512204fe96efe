"""Validators that a coin of one's own may name in place of address rules."""

from __future__ import annotations

import pytest

from cryptoassets_btc import BITCOIN
from cryptoassets_core.coin.registry import Coin, CoinModelDescription
from cryptoassets_core.coin.validate import (
    AddressValidator,
    HashAddressValidator,
    NetworkCodeAddressValidator,
    NullAddressValidator,
)
from cryptoassets_core.errors import BadAddress

MAIN, TEST, DOGE = (
    "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED",
    "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU",
)
MISTYPED = MAIN[:-1] + "q"


def coin_with(validator: AddressValidator, *, testnet: bool) -> Coin:
    names = ("Wallet", "Address", "Account", "Transaction", "NetworkTransaction")
    models = CoinModelDescription("btc", *(f"cryptoassets_btc.models.Bitcoin{name}" for name in names), validator)
    return Coin(models, testnet=testnet)


@pytest.mark.parametrize(
    ("validator", "main", "test"),
    [
        (HashAddressValidator(), {MAIN, TEST, DOGE}, {MAIN, TEST, DOGE}),
        (NetworkCodeAddressValidator(BITCOIN.networks["main"], BITCOIN.networks["test"]), {MAIN}, {TEST}),
        (NullAddressValidator(), {MAIN, TEST, DOGE, MISTYPED, "x"}, {MAIN, TEST, DOGE, MISTYPED, "x"}),
    ],
    ids=["hash", "network code", "null"],
)
def test_coin_goes_by_its_validator(validator: AddressValidator, main: set[str], test: set[str]) -> None:
    for testnet, taken in ((False, main), (True, test)):
        coin = coin_with(validator, testnet=testnet)
        assert {address for address in (MAIN, TEST, DOGE, MISTYPED, "x") if coin.validate_address(address)} == taken


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\0b", "\ud800", "x" * 1_000_000, None, 7, b"x"], ids=ascii)
def test_what_cannot_be_stored_is_no_address_whatever_the_validator_says(text: object) -> None:
    coin = coin_with(NullAddressValidator(), testnet=False)
    with pytest.raises(BadAddress, match="is no btc address") as refusal:
        coin.canonical_address(text)  # type: ignore[arg-type]
    assert len(str(refusal.value)) < 200
