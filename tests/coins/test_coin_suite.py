"""The conformance suite of coins finds what it is there to find: each planted fault fails the test that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_btc import BITCOIN
from cryptoassets_btc.models import coin_description
from cryptoassets_core.coin import bech32, registry, validate
from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_core.coin.registry import Coin, CoinModelDescription
from cryptoassets_core.coin.validate import HashAddressValidator, NullAddressValidator
from cryptoassets_core.testing.coinsuite import CoinSuite
from cryptoassets_doge.models import coin_description as dogecoin

_SEGWIT = "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l"
_MAIN_ONLY = replace(BITCOIN, networks={"main": BITCOIN.networks["main"]})


class Sound(CoinSuite):
    description = _MAIN_ONLY
    examples = {"main": ["12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp", "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3", _SEGWIT]}  # noqa: RUF012
    respelled = ((_SEGWIT.upper(), "main", _SEGWIT),)
    comes_with_a_plugin = False
    models = coin_description

    def _models(self) -> CoinModelDescription:
        return self.models


def fails(suite: CoinSuite, test: str) -> bool:
    """Tell whether one test of a suite fails."""
    try:
        getattr(suite, test)()
    except Exception:
        return True
    return False


def test_sound_coin_passes() -> None:
    tests = [name for name in dir(Sound) if name.startswith("test_")]
    # It is a copy of Bitcoin, and the models belong to the original.
    assert [name for name in tests if fails(Sound(), name)] == ["test_models_are_this_coins"]


def with_rules(**rules: object) -> CoinDescription:
    changed = replace(BITCOIN.networks["main"], **rules)  # type: ignore[arg-type]
    return replace(BITCOIN, networks={"main": changed})


DESCRIPTIONS = [
    (replace(_MAIN_ONLY, symbol="BTC"), "test_symbol_can_name_tables_and_sections"),
    (replace(_MAIN_ONLY, dust=0.00000546), "test_limits_are_amounts_of_the_coin"),  # type: ignore[arg-type]
    (replace(_MAIN_ONLY, dust=Decimal("0.000000001")), "test_limits_are_amounts_of_the_coin"),
    (replace(_MAIN_ONLY, decimals=0), "test_limits_are_amounts_of_the_coin"),
    (replace(_MAIN_ONLY, decimals=2), "test_amounts_survive_the_minor_unit"),
    (replace(_MAIN_ONLY, uri_scheme="Bitcoin:"), "test_payment_link_scheme_is_one"),
    (BITCOIN, "test_every_network_has_examples"),
]


@pytest.mark.parametrize(("description", "caught_by"), DESCRIPTIONS)
def test_fault_of_the_description_is_caught(description: CoinDescription, caught_by: str) -> None:
    suite = Sound()
    suite.description = description  # type: ignore[misc]
    assert fails(suite, caught_by)


RULES = [
    ({"p2pkh": (0x30,)}, "test_network_takes_its_own_addresses_as_they_are"),
    ({"bech32_hrp": "tb"}, "test_network_takes_its_own_addresses_as_they_are"),
    ({"bech32_hrp": None}, "test_network_takes_its_own_addresses_as_they_are"),
    ({"p2sh": (0x32, 0x05)}, "test_network_takes_its_own_addresses_as_they_are"),
]


@pytest.mark.parametrize(("rules", "caught_by"), RULES)
def test_fault_of_the_rules_is_caught(
    rules: dict[str, object], caught_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = with_rules(**rules)
    monkeypatch.setattr(Coin, "description", property(lambda self: changed))
    assert fails(Sound(), caught_by)


Judge = Callable[[str, AddressRules], str]
sound = validate.canonical_address


def _loose_witness(address: str, rules: AddressRules) -> str:
    return sound(address, replace(rules, witness_versions=tuple(range(17))))


def _capitals(address: str, rules: AddressRules) -> str:
    sound(address, rules)
    return address


def _any_network(address: str, rules: AddressRules) -> str:
    return address if HashAddressValidator().validate_address(address, False) else sound(address, rules)


def _noisy(address: str, rules: AddressRules) -> str:
    if not address.isalnum():
        raise ValueError("not even an address")
    return sound(address, rules)


VERDICTS: list[tuple[Judge, str]] = [
    (lambda address, rules: sound(address.strip(), rules), "test_hostile_spelling_is_refused"),
    (lambda address, rules: sound(address.replace("\u200b", ""), rules), "test_hostile_spelling_is_refused"),
    (lambda address, rules: str(address), "test_any_text_gets_a_verdict"),
    (_loose_witness, "test_witness_rules"),
    (_capitals, "test_upper_case_segwit_is_stored_in_lower_case"),
    (_any_network, "test_address_of_another_coin_or_network_is_refused"),
    (_noisy, "test_any_text_gets_a_verdict"),
    (lambda address, rules: sound(address.removeprefix("bitcoin:"), rules), "test_hostile_spelling_is_refused"),
    (_capitals, "test_other_spellings_are_stored_in_one_form"),
    (lambda address, rules: sound(address[:34], rules), "test_megabytes_are_refused"),
]


@pytest.mark.parametrize(("judge", "caught_by"), VERDICTS)
def test_fault_of_the_verdicts_is_caught(judge: Judge, caught_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "canonical_address", judge)
    assert fails(Sound(), caught_by)


def test_checksum_of_the_wrong_kind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = bech32._decode

    def forgiving(hrp: str, text: str) -> tuple[bytes, int]:
        values, checksum = decode(hrp, text)
        known = checksum in (bech32._BECH32, bech32._BECH32M) and values
        return values, (bech32._BECH32 if values[0] == 0 else bech32._BECH32M) if known else checksum

    monkeypatch.setattr(bech32, "_decode", forgiving)
    assert fails(Sound(), "test_witness_rules")


def test_validator_that_says_yes_to_everything_is_caught() -> None:
    suite = Sound()
    suite.models = CoinModelDescription(
        coin_name="btc",
        wallet_model_name=coin_description.wallet_model_name,
        address_model_name=coin_description.address_model_name,
        account_model_name=coin_description.account_model_name,
        transaction_model_name=coin_description.transaction_model_name,
        network_transaction_model_name=coin_description.network_transaction_model_name,
        address_validator=NullAddressValidator(),
    )
    assert fails(suite, "test_hostile_spelling_is_refused")
    assert fails(suite, "test_mweb_is_refused")


def test_models_of_another_coin_are_caught() -> None:
    suite = Sound()
    suite.models = dogecoin
    assert fails(suite, "test_models_are_this_coins")
    assert fails(suite, "test_database_gets_the_documented_tables")


def test_coin_that_no_plugin_brings_is_caught() -> None:
    suite = Sound()
    suite.comes_with_a_plugin = True  # type: ignore[misc]
    assert fails(suite, "test_installed_plugin_brings_the_coin"), "its networks differ from the plugin's"


def test_networks_that_share_addresses_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = BITCOIN.networks["main"]
    suite = Sound()
    suite.description = replace(BITCOIN, networks={"main": rules, "test": rules})  # type: ignore[misc]
    suite.examples = {"main": Sound.examples["main"], "test": Sound.examples["main"]}  # type: ignore[misc]
    monkeypatch.setattr(Coin, "description", property(lambda self: suite.description))
    assert fails(suite, "test_main_network_shares_no_address_with_a_test_network")


def test_segwit_that_nobody_could_spend_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Sound()
    without = with_rules(bech32_hrp=None)
    monkeypatch.setattr(Coin, "description", property(lambda self: without))
    monkeypatch.setattr(
        registry, "canonical_address", lambda address, rules: sound(address, replace(rules, bech32_hrp="bc"))
    )
    assert fails(suite, "test_segwit_of_nobody_is_refused_without_segwit")


def test_payment_link_that_loses_something_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = registry.parse_uri
    monkeypatch.setattr(registry, "parse_uri", lambda *given: replace(read(*given), message=None))
    assert fails(Sound(), "test_payment_link_tells_what_it_was_made_of")


def test_each_test_of_the_suite_catches_something() -> None:
    named = {caught_by for faults in (DESCRIPTIONS, RULES, VERDICTS) for _, caught_by in faults}
    named |= set(re.findall(r'fails\(\w+(?:\(\))?, "(\w+)"\)', Path(__file__).read_text(encoding="utf-8")))
    assert named == {name for name in dir(Sound) if name.startswith("test_")}
