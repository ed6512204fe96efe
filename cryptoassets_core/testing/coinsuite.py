"""The conformance suite of coins: inherit it, say what is true of your coin, and let pytest run it.

.. code-block:: python

    class TestMooncoin(CoinSuite):
        description = MOONCOIN
        examples = {"main": ["M…", "moon1q…"], "test": ["t…"]}
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import ClassVar

from sqlalchemy import create_engine, inspect
from sqlalchemy.orm import configure_mappers

from cryptoassets_core.amounts import check_amount, from_minor_units, to_minor_units
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.coin.registry import Coin, CoinModelDescription
from cryptoassets_core.errors import BadAddress
from cryptoassets_core.plugins import Plugins
from cryptoassets_core.testing.addresses import BECH32, BECH32M, hostile_spellings, random_texts, segwit_text

#: Addresses of several coins, and what tells whose they are: the Base58Check version byte, or the human-readable part
#: of a segwit address. Those of Litecoin were made by its daemon, the others by hand from the specifications.
WELL_KNOWN: Mapping[str, int | str] = {
    "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp": 0x00,
    "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3": 0x05,
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l": "bc",
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqqhpap9": "bc",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": "bc",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED": 0x6F,
    "2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn": 0xC4,
    "tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv": "tb",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47zagq": "tb",
    "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9": "bcrt",
    "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe": 0x30,
    "ML88MLkmBfsG3PzW1qaSWBadVcQ7F2Pfev": 0x32,
    "ltc1q8yh3ygw7pyn8fgwsykprvaqgzmqeyaxfjkzq48": "ltc",
    "ltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpj6zg2": "ltc",
    "QX5bXRudbU7gfZZdX2WFKrpZQb5AgBEXHU": 0x3A,
    "tltc1qslg8a6580nl75swv3knpmmkzzflqj3tvc0d83m": "tltc",
    "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk": "rltc",
    "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU": 0x1E,
    "9ssWACjkefWQ4pW479V6M3YN8B79EVgRnY": 0x16,
    "A5TuFGpV8UtDinMxuaJcCFZ6C43tKge9wE": 0x16,
    "nVdPm5ryG5g8VGBwLKo6UTJxQ5Yyu9istP": 0x71,
    "AHD79K33MqyGtFe98ZpQqAp9kgN5wMyS7c": 0x17,
    "TBQSVsZ9BRS5ETVnABooCSFCBsBhmaR91Q": 0x41,
}

#: Addresses of Litecoin's extension blocks, which no coin here pays.
MWEB = (
    "ltcmweb1qqtlq6j87d2ay2yxy9yrc9ggwzmv6jerts5nmyayjstx9xv9kahl8jq53lkra0xvluwczzgz"
    "gwst6lmtgql92q667s9wc5377mtukkk8qvcfl7dfv",
    "tmweb1qqgmjt47vnmnxlarykxky48d8t8rh66unp7us2rmp0dg3huxqwdvtcqhvtknglq0s6cjn9grm9"
    "aypcthkn3rscpagt5rg53m7dqqpdnqa6ukyxphz",
)

#: How many made-up texts each network is asked about; a benchmark asks about a million.
MADE_UP_TEXTS = 2000


class CoinSuite:
    """What a coin has to get right before money depends on it."""

    #: The coin.
    description: ClassVar[CoinDescription]
    #: Addresses of each network, as they are stored; best made by the coin's own software.
    examples: ClassVar[Mapping[Network, Sequence[str]]]
    #: What people may write as well: the text, the network, and the form that is stored.
    respelled: ClassVar[Sequence[tuple[str, Network, str]]] = ()
    #: Whether installing the distribution brings the coin; False for one that a configuration names by its models only.
    comes_with_a_plugin: ClassVar[bool] = True

    # --- What it says of itself -------------------------------------------------------------------------------------

    def test_symbol_can_name_tables_and_sections(self) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]{0,15}", self.description.symbol)

    def test_limits_are_amounts_of_the_coin(self) -> None:
        coin = self.description
        assert 0 <= coin.decimals <= 18
        assert isinstance(coin.dust, Decimal)
        assert check_amount(coin.dust, coin.decimals) == coin.dust
        assert coin.coinbase_maturity >= 0

    def test_amounts_survive_the_minor_unit(self) -> None:
        coin = self.description
        for amount in (coin.minor_unit, coin.dust, Decimal(1) + coin.minor_unit, Decimal("12345678") - coin.minor_unit):
            assert from_minor_units(to_minor_units(amount, coin.decimals), coin.decimals) == amount

    def test_payment_link_scheme_is_one(self) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9+.-]*", self.description.uri_scheme)

    def test_installed_plugin_brings_the_coin(self) -> None:
        if self.comes_with_a_plugin:
            assert Plugins().coin(self.description.symbol, where="coins") == self.description

    # --- Its models -------------------------------------------------------------------------------------------------

    def test_models_are_this_coins(self) -> None:
        models = self._models()
        assert models.coin_name == self.description.symbol
        for model in (models.Wallet, models.Account, models.Address, models.Transaction, models.NetworkTransaction):
            assert model.coin is self.description

    def test_database_gets_the_documented_tables(self) -> None:
        configure_mappers()
        engine = create_engine("sqlite://")
        self._models().Wallet.metadata.create_all(engine)
        symbol = self.description.symbol
        kinds = ("account", "address", "network_transaction", "sync_state", "transaction", "wallet")
        assert {f"{symbol}_{kind}" for kind in kinds} <= set(inspect(engine).get_table_names())
        engine.dispose()

    # --- Its addresses ----------------------------------------------------------------------------------------------

    def test_every_network_has_examples(self) -> None:
        assert self.examples.keys() == self.description.networks.keys()
        assert all(self.examples.values())

    def test_network_takes_its_own_addresses_as_they_are(self) -> None:
        for coin in self._coins():
            for address in self.examples[coin.network]:
                assert coin.canonical_address(address) == address
                assert coin.validate_address(address)

    def test_other_spellings_are_stored_in_one_form(self) -> None:
        for text, network, stored in self.respelled:
            assert self._coin(network).canonical_address(text) == stored

    def test_address_of_another_coin_or_network_is_refused(self) -> None:
        """An address is taken by whoever shares its version byte or its prefix, and by nobody else."""
        for coin in self._coins():
            if coin.coin_description.address_validator is not None:
                continue  # the rules say nothing then
            rules = coin.address_rules
            own = {*rules.p2pkh, *rules.p2sh, rules.bech32_hrp}
            for address, mark in WELL_KNOWN.items():
                assert coin.validate_address(address) == (mark in own), f"{address} on {coin!r}"

    def test_mweb_is_refused(self) -> None:
        for coin in self._coins():
            assert not any(map(coin.validate_address, MWEB))

    def test_main_network_shares_no_address_with_a_test_network(self) -> None:
        main = self._coin("main")
        for network, addresses in self.examples.items():
            for address in addresses if network != "main" else ():
                assert not main.validate_address(address), f"{address} of {network}"
                assert not any(self._coin(network).validate_address(own) for own in self.examples["main"])

    def test_hostile_spelling_is_refused(self) -> None:
        """White space, look-alikes, wrong letters, wrong case: never a second name for one address (F14)."""
        for coin in self._coins():
            for address in self.examples[coin.network]:
                for text in hostile_spellings(address):
                    taken = self._stored(coin, text)
                    # The upper-case form of a segwit address is good, and stored in lower case.
                    assert taken is None or (taken == address and text == address.upper()), f"{text!a} on {coin!r}"

    def test_upper_case_segwit_is_stored_in_lower_case(self) -> None:
        for coin, hrp in self._with_segwit():
            for address in self.examples[coin.network]:
                if address.startswith(f"{hrp}1"):
                    assert coin.canonical_address(address.upper()) == address

    def test_witness_rules(self) -> None:
        """BIP141, BIP173, BIP350, BIP341: what anybody could spend is no address to pay."""
        for coin, hrp in self._with_segwit():
            known = coin.address_rules.witness_versions
            for version in range(18):
                for length in (2, 19, 20, 21, 31, 32, 33, 40):
                    program = bytes(range(length))
                    for checksum in (BECH32, BECH32M):
                        right = checksum == (BECH32 if version == 0 else BECH32M)
                        lengths = {0: (20, 32), 1: (32,)}.get(version, range(2, 41))
                        good = right and version in known and length in lengths
                        text = segwit_text(hrp, version, program, checksum=checksum)
                        assert coin.validate_address(text) == good, f"{text} on {coin!r}"

    def test_segwit_of_nobody_is_refused_without_segwit(self) -> None:
        for coin in self._coins():
            if coin.address_rules.bech32_hrp is None and coin.coin_description.address_validator is None:
                for hrp in (coin.name, "bc", "tb", f"t{coin.name}"):
                    assert not coin.validate_address(segwit_text(hrp, 0, bytes(20), checksum=BECH32))

    def test_any_text_gets_a_verdict(self) -> None:
        """Its one stored form, which stays what it is, or BadAddress; nothing else, whatever is given."""
        for coin in self._coins():
            for text in islice(random_texts(self.examples[coin.network], seed=len(coin.network)), MADE_UP_TEXTS):
                stored = self._stored(coin, text)
                assert coin.validate_address(text) == (stored is not None)
                assert stored is None or coin.canonical_address(stored) == stored
            for nonsense in (None, 0, 1.5, b"bytes", [], object()):
                assert not coin.validate_address(nonsense)  # type: ignore[arg-type]

    def test_megabytes_are_refused(self) -> None:
        for coin in self._coins():
            assert not coin.validate_address(self.examples[coin.network][0] * 100_000)

    # --- Its payment links ------------------------------------------------------------------------------------------

    def test_payment_link_tells_what_it_was_made_of(self) -> None:
        for coin in self._coins():
            for address in self.examples[coin.network]:
                link = coin.uri(address, self.description.dust, label="Tea & cake", message="100 % — thanks?")
                assert link.startswith(f"{self.description.uri_scheme}:{address}?")
                request = coin.parse_uri(link)
                assert (request.address, request.amount) == (address, self.description.dust)
                assert (request.label, request.message) == ("Tea & cake", "100 % — thanks?")
                assert coin.uri(request.address, request.amount, request.label, request.message) == link

    # --- What the tests are made of ---------------------------------------------------------------------------------

    def _models(self) -> CoinModelDescription:
        description = importlib.import_module(self.description.models).coin_description
        assert isinstance(description, CoinModelDescription)
        return description

    def _coin(self, network: Network) -> Coin:
        return Coin(self._models(), network=network)

    def _coins(self) -> Iterator[Coin]:
        for network in self.description.networks:
            yield self._coin(network)

    def _with_segwit(self) -> Iterator[tuple[Coin, str]]:
        for coin in self._coins():
            if coin.address_rules.bech32_hrp is not None and coin.coin_description.address_validator is None:
                yield coin, coin.address_rules.bech32_hrp

    def _stored(self, coin: Coin, text: str) -> str | None:
        try:
            return coin.canonical_address(text)
        except BadAddress:
            return None
