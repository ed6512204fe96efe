"""Verdicts on addresses: examples of every coin and network, the vectors of BIP173 and BIP350, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptoassets_core.coin import bech32
from cryptoassets_core.coin.base58 import ALPHABET, Base58Data, decode_base58check, encode_base58check
from cryptoassets_core.coin.bech32 import CHARSET, WitnessProgram, decode_segwit, encode_segwit
from cryptoassets_core.coin.description import AddressRules
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BadAddress

RULES = {
    "btc": AddressRules(p2pkh=(0x00,), p2sh=(0x05,), bech32_hrp="bc"),
    "btc test": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="tb"),
    "btc regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt"),
    "ltc": AddressRules(p2pkh=(0x30,), p2sh=(0x32, 0x05), bech32_hrp="ltc"),
    "ltc test": AddressRules(p2pkh=(0x6F,), p2sh=(0x3A, 0xC4), bech32_hrp="tltc"),
    "ltc regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0x3A, 0xC4), bech32_hrp="rltc"),
    "doge": AddressRules(p2pkh=(0x1E,), p2sh=(0x16,)),
    "doge test": AddressRules(p2pkh=(0x71,), p2sh=(0xC4,)),
    "aby": AddressRules(p2pkh=(0x17,), p2sh=(0x05,)),
    "aby test": AddressRules(p2pkh=(0x41,), p2sh=(0xC4,)),
}

BITCOIN_LIKE_TESTS = "btc test, btc regtest, ltc test, ltc regtest"

#: Valid examples, and every network above that takes them. Those of Litecoin were made by its daemon.
VALID = {
    "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp": "btc",
    "1E2datG9WWgwjFJ4NLybXVZnLxP8iMVe82": "btc",
    "338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3": "btc, ltc, aby",
    "3EieWRkb4R1KpQzVVSeBx7viVUfrGfsX7u": "btc, ltc, aby",
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l": "btc",
    "bc1q3m5fwyfnpswv7wdzueddz2aa0h62fghw9uk0hs": "btc",
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqqhpap9": "btc",
    "bc1q3m5fwyfnpswv7wdzueddz2aa0h62fghws4l48dyz8uq0ajmm6ffqq0rkg2": "btc",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": "btc",
    "bc1pp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehq2qp5ee": "btc",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED": BITCOIN_LIKE_TESTS,
    "mtYaswM8KY8CWMmg5uwyMQn7CwyqfxBTCn": BITCOIN_LIKE_TESTS,
    "2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn": f"{BITCOIN_LIKE_TESTS}, doge test, aby test",
    "2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne": f"{BITCOIN_LIKE_TESTS}, doge test, aby test",
    "tb1qp77u49uaw20lrjw8fmwlwghte97xpcmq4vppuv": "btc test",
    "tb1q3m5fwyfnpswv7wdzueddz2aa0h62fghw06duvr": "btc test",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47zagq": "btc test",
    "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9": "btc regtest",
    "bcrt1q3m5fwyfnpswv7wdzueddz2aa0h62fghwdn53m2": "btc regtest",
    "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6": "btc regtest",
    "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe": "ltc",
    "LU7QLz5D2QfVrXscUw26gkxesMrRiHAKVP": "ltc",
    "ML88MLkmBfsG3PzW1qaSWBadVcQ7F2Pfev": "ltc",
    "M9gLDHdPsNZcs2J6D7pf5iapiUaAo13XC7": "ltc",
    "ltc1q8yh3ygw7pyn8fgwsykprvaqgzmqeyaxfjkzq48": "ltc",
    "ltc1q3kwrxny0xzpfnswegyetq3jj6qj9xpss2apete": "ltc",
    "ltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpj6zg2": "ltc",
    "ltc1pp77u49uaw20lrjw8fmwlwghte97xpcmqqvhwsks0s8axrzjlzehqfy0yru": "ltc",
    "QX5bXRudbU7gfZZdX2WFKrpZQb5AgBEXHU": "ltc test, ltc regtest",
    "QgzH1wdfrr31JKqdV1XVZoM5oJoQuzSeCS": "ltc test, ltc regtest",
    "tltc1qslg8a6580nl75swv3knpmmkzzflqj3tvc0d83m": "ltc test",
    "tltc1qsjt6gzuasqlnf0fv876myjr50lfympvc6zas7l": "ltc test",
    "mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx": BITCOIN_LIKE_TESTS,
    "QTBKEr4JEwrSnTQM66KixRAxBjtA8CBsot": "ltc test, ltc regtest",
    "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk": "ltc regtest",
    "rltc1qg36mru06d7pg87mznzmzdm632zznz8ffukv63n": "ltc regtest",
    "D6aL3584L7DQcHckJW9eE3ifADAguLSRBU": "doge",
    "DJAj89CnovbEGFUf6vyA5FjPE67RzUbzYy": "doge",
    "9ssWACjkefWQ4pW479V6M3YN8B79EVgRnY": "doge",
    "A5TuFGpV8UtDinMxuaJcCFZ6C43tKge9wE": "doge",
    "nVdPm5ryG5g8VGBwLKo6UTJxQ5Yyu9istP": "doge test",
    "nhDnr9whju3x9E3r8kccKfKgTxVj2fuiKk": "doge test",
    "AHD79K33MqyGtFe98ZpQqAp9kgN5wMyS7c": "aby",
    "AUoWEP7mqfM6YDW3vzdvgNpspZJq5hFmaE": "aby",
    "TBQSVsZ9BRS5ETVnABooCSFCBsBhmaR91Q": "aby test",
    "TNzqawdsfEottRMgxcdK3eFvFk8SyqVAEp": "aby test",
}

MWEB = (
    "ltcmweb1qqtlq6j87d2ay2yxy9yrc9ggwzmv6jerts5nmyayjstx9xv9kahl8jq53lkra0xvluwczzgzgwst6lmtgql92q667s9wc5377mtukkk8qvcfl7dfv",
    "tmweb1qqgmjt47vnmnxlarykxky48d8t8rh66unp7us2rmp0dg3huxqwdvtcqhvtknglq0s6cjn9grm9aypcthkn3rscpagt5rg53m7dqqpdnqa6ukyxphz",
)

#: Refused by Litecoin's regtest network, and the fact that the reason must name.
INVALID_ON_LITECOIN_REGTEST = {
    "rltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq9cjgh4": "version 1 needs bech32m",
    "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqu5jfee": "version 0 needs bech32 ",
    "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqqvpvjfwy": "program of 21 bytes",
    "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqfgz9uM": "upper and lower case",
    "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqfgz9uq": "wrong checksum",
    "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqfgz9u": "wrong checksum",
    "rltc1bp77u49uaw20lrjw8fmwlwghte97xpcmqfgz9um": "'b' at position 6",
    "rltc1qqq": "too short",
    "rltc1": "too short",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7ME2": "wrong checksum",
    "mgxBn0GPqikNrPumHV8TWCmP9536Ws7MED": "'0' at position 6",
    "2222": "too short",
    "1": "too short",
    "4QFLadSrwp3GTT27tTm9uytvticpEufD1JPA": "too long",
    # Segwit programs that daemons call valid and anybody could spend.
    "rltc1sw50qh57rqy": "witness version 16",
    "rltc1pfees06p8ul": "program of 2 bytes",
    # Right elsewhere.
    "12SEVpBR2hK85HS9ZvA5gHZ4H5SPZfUXrp": "version byte 0",
    "LU66MwmX9V2Ly9ZJMKochVZSGXhiBbh5pe": "version bytes 111, 58, 196",
    "bc1qp77u49uaw20lrjw8fmwlwghte97xpcmql26j8l": "begins with 'bc1'",
    "tltc1qslg8a6580nl75swv3knpmmkzzflqj3tvc0d83m": "begins with 'tltc1'",
    MWEB[0]: "MWEB",
    MWEB[1]: "MWEB",
    # Daemons forgive the white space; the same account must not be known under two names.
    " mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED": "white space",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED\n": "white space",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED\u00a0": "white space",
    "\u200bmgxBnsGPqikNrPumHV8TWCmP9536Ws7MED": "U+200B at position 1",
    "mgxBnsGPqikNrPumHV8TWCmP9536Ws7ME\0": "U+0000 at position 34",
    "mgxBnsGPqikNrPumHV8T CmP9536Ws7MED": "' ' at position 21",
    # Look-alikes: Cyrillic es for c, a full-width digit, the Kelvin sign that str.lower() turns into k.
    "mgxBnsGPqikNrPumHV8TW\u0421mP9536Ws7MED": "U+0421",
    "mgxBnsGPqikNrPumHV8TWCmP953\uff16Ws7MED": "U+FF16",
    "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gp\u212a": "U+212A",
    "RLTC1QFYSR9ZE8UZR4K6VFYT2CHLJRM687NVMDYH7GP\u212a": "U+212A",
    "": "is empty",
    "bitcoin:mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED": "too long",
    "m" * 91: "too long",
}


def _networks_that_take(address: str) -> str:
    """Name the networks whose rules accept it."""
    taken = []
    for name, rules in RULES.items():
        try:
            canonical_address(address, rules)
        except BadAddress:
            continue
        taken.append(name)
    return ", ".join(taken)


@pytest.mark.parametrize(("address", "networks"), VALID.items())
def test_address_is_taken_by_its_own_networks_and_no_other(address: str, networks: str) -> None:
    assert sorted(_networks_that_take(address).split(", ")) == sorted(networks.split(", "))


@pytest.mark.parametrize(("address", "fact"), INVALID_ON_LITECOIN_REGTEST.items(), ids=ascii)
def test_refusal_names_the_fault(address: str, fact: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        canonical_address(address, RULES["ltc regtest"])

    assert fact in str(refusal.value)


@pytest.mark.parametrize("address", MWEB)
def test_mweb_is_refused_on_every_network(address: str) -> None:
    assert _networks_that_take(address) == ""


def test_upper_case_segwit_is_stored_in_lower_case() -> None:
    lower = "rltc1qfysr9ze8uzr4k6vfyt2chljrm687nvmdyh7gpk"

    assert canonical_address(lower.upper(), RULES["ltc regtest"]) == lower


@pytest.mark.parametrize(
    ("older", "network", "today"),
    [
        ("338FRMfrabdWAT8ah1pg6uuzRbj79ZzUs3", "ltc", "M9LPjF5pXiUvxxQUntp1vZAPkJKZ8zrSSS"),
        ("3EieWRkb4R1KpQzVVSeBx7viVUfrGfsX7u", "ltc", "MLvnpKAZ1XrkcvGPbKdXmmB7pBGJGnbiDz"),
        ("2MtgTV6btC48rNEm8N9SYiruFdwwGvbhiXn", "ltc test", "QN3Dc7U8DABwWRXAzFUZoZLgnLP6nYY3eg"),
        ("2N6GraAgcfsWg2Cd3AaG4a4uyhpt26gYtne", "ltc regtest", "QZdchBYrgyZmAPP5ngJ5emMQrDKqz84KpN"),
    ],
)
def test_older_form_is_stored_as_the_form_that_the_daemon_reports(older: str, network: str, today: str) -> None:
    """The expected forms are answers of Litecoin Core 0.21.2."""
    assert canonical_address(older, RULES[network]) == today
    assert canonical_address(today, RULES[network]) == today


def test_base58_address_may_begin_like_a_segwit_address() -> None:
    address = _base58_address_beginning_with("LTC1")

    assert canonical_address(address, RULES["ltc"]) == address


def _base58_address_beginning_with(prefix: str) -> str:
    """Aim at the middle of the range of hashes whose address begins so: what follows is whatever comes out."""
    middle = prefix + "Z" * (34 - len(prefix))
    number = 0
    for character in middle:
        number = number * 58 + ALPHABET.index(character)
    return encode_base58check(0x30, number.to_bytes(25, "big")[1:21])


@pytest.mark.parametrize("given_address", [None, 7, 1.5, b"mgxBnsGPqikNrPumHV8TWCmP9536Ws7MED", [], object()])
def test_only_text_is_an_address(given_address: object) -> None:
    with pytest.raises(BadAddress, match="is not text"):
        canonical_address(given_address, RULES["btc"])  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["1", "z", "ltc1q", "1\0", "\U0001f4b8", " "])
def test_megabytes_are_refused_with_a_short_message(unit: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        canonical_address(unit * (10_000_000 // len(unit)), RULES["ltc"])

    assert "too long" in str(refusal.value)
    assert len(str(refusal.value)) < 200


PRIVATE_KEY = encode_base58check(0x80, bytes(range(1, 33)) + b"\1")


@pytest.mark.parametrize(
    "secret",
    [
        PRIVATE_KEY,
        PRIVATE_KEY[:-1],
        f" {PRIVATE_KEY}\n",
        f"{PRIVATE_KEY[:20]}\u0430{PRIVATE_KEY[21:]}",
        PRIVATE_KEY.encode(),
        bytes(range(1, 33)).hex(),
        encode_base58check(4, bytes(range(77))),
        encode_segwit("nsec", 0, bytes(range(1, 33))),
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
    ],
    ids=ascii,
)
def test_secret_pasted_as_an_address_is_not_repeated(secret: str | bytes) -> None:
    with pytest.raises(BadAddress) as refusal:
        canonical_address(secret, RULES["btc"])  # type: ignore[arg-type]

    text = secret if isinstance(secret, str) else secret.decode()
    for error in (str(refusal.value), repr(refusal.value), repr(refusal.value.address)):
        assert text.strip()[8:20] not in error


# --- Vectors of BIP173 and BIP350 ---------------------------------------------------------------------------

BIP173_CHECKED = {
    "A12UEL5L": "a",
    "a12uel5l": "a",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs": (
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio"
    ),
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw": "abcdef",
    "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j": "1",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w": "split",
    "?1ezyfcl": "?",
}

BIP350_CHECKED = {
    "A1LQFN3A": "a",
    "a1lqfn3a": "a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6": (
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1"
    ),
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx": "abcdef",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8": "1",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v": "split",
    "?1v759aa": "?",
}

BIP_NOT_CHECKED = [
    *(" 1nwldj5", "\x7f1axkwrx", "\x801eym55h", " 1xj0phk", "\x7f1g6xzxy", "\x801vctc34"),
    "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    *("pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "de1lg7wt\xff", "A1G7SGD8", "10a06t8", "1qzzfhee"),
    *("qyrz8wqd2c9m", "1qyrz8wqd2c9m", "y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i", "au1s5cgom", "M1VUXWEZ"),
    *("16plkw9", "1p2gdwpf"),
]

BIP350_ADDRESSES = {
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": (0, "751e76e8199196d454941c45d1b3a323f1433bd6"),
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7": (
        0,
        "1863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": (
        1,
        "751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
    "BC1SW50QGDZ25J": (16, "751e"),
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": (2, "751e76e8199196d454941c45d1b3a323"),
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": (
        0,
        "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        1,
        "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        1,
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
}

BIP_INVALID_ADDRESSES = {
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut": "begins with 'tc1'",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd": "needs bech32m",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf": "needs bech32m",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL": "needs bech32m",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh": "needs bech32 ",
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47": "needs bech32 ",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4": "'o' at position 60",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R": "witness version 17",
    "bc1pw5dgrnzv": "program of 1 bytes",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav": "program of 41 bytes",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P": "program of 16 bytes",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq": "upper and lower case",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf": "whole bytes",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j": "whole bytes",
    "bc1gmk9yu": "nothing between",
    # Valid when BIP173 was written, and forbidden since BIP350.
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx": "needs bech32m",
    "BC1SW50QA3JX3S": "needs bech32m",
    "bc1zw508d6qejxtdg4y5r3zarvaryvg6kdaj": "needs bech32m",
}


@pytest.mark.parametrize(("text", "hrp"), [*BIP173_CHECKED.items(), *BIP350_CHECKED.items()])
def test_bip_vectors_of_right_checksums(text: str, hrp: str) -> None:
    assert bech32.find_hrp(text) == hrp


@pytest.mark.parametrize("text", BIP_NOT_CHECKED, ids=ascii)
def test_bip_vectors_of_wrong_checksums(text: str) -> None:
    assert bech32.find_hrp(text) is None


@pytest.mark.parametrize(("address", "expected"), BIP350_ADDRESSES.items())
def test_bip_vectors_of_addresses(address: str, expected: tuple[int, str]) -> None:
    hrp, (version, program) = address[:2].lower(), expected

    assert decode_segwit(hrp, address) == WitnessProgram(version, bytes.fromhex(program))
    assert encode_segwit(hrp, version, bytes.fromhex(program)) == address.lower()


@pytest.mark.parametrize(("address", "fact"), BIP_INVALID_ADDRESSES.items())
def test_bip_vectors_of_invalid_addresses(address: str, fact: str) -> None:
    rules = RULES["btc test" if address.lower().startswith("tb1") else "btc"]

    with pytest.raises(BadAddress) as refusal:
        canonical_address(address, rules)

    assert fact in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("RLTC1QFYSR9ZE8UZR4K6VFYT2CHLJRM687NVMDYH7GP\u212a", "not ASCII"),
        ("rltc1" + "q" * 10_000_000, "too long"),
        (PRIVATE_KEY, "'[52 characters, not shown]' does not begin with"),
    ],
    ids=["kelvin", "megabytes", "key"],
)
def test_segwit_decoder_is_as_strict_alone(text: str, fact: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        decode_segwit("rltc", text)

    assert fact in str(refusal.value)


@pytest.mark.parametrize(
    ("hrp", "version", "length"),
    [
        *(("BC", 0, 20), ("", 0, 20), ("b c", 0, 20), ("b" * 60, 0, 32)),
        *(("bc", 0, 21), ("bc", 17, 32), ("bc", -1, 32), ("bc", 1, 1), ("bc", 16, 41)),
    ],
)
def test_segwit_address_that_cannot_exist_is_not_written(hrp: str, version: int, length: int) -> None:
    with pytest.raises(BadAddress):
        encode_segwit(hrp, version, bytes(length))


# --- Base58Check --------------------------------------------------------------------------------------------


def test_base58check_keeps_leading_zero_bytes() -> None:
    assert encode_base58check(0, b"") == "1Wh4bh"
    assert decode_base58check("1Wh4bh") == Base58Data(version=0, payload=b"")


@pytest.mark.parametrize("version", [-1, 256])
def test_version_is_one_byte(version: int) -> None:
    with pytest.raises(BadAddress, match="one byte"):
        encode_base58check(version, bytes(20))


@pytest.mark.parametrize("length", [0, 1, 19, 21])
def test_base58_address_holds_twenty_bytes(length: int) -> None:
    """Version 0 with 21 bytes is as short as an address, and only the bytes tell."""
    with pytest.raises(BadAddress, match=f"holds {length} bytes"):
        canonical_address(encode_base58check(0, bytes(length)), RULES["btc"])


def test_long_base58_is_refused_before_any_arithmetic() -> None:
    with pytest.raises(BadAddress, match="too long"):
        decode_base58check("z" * 10_000_000)


# --- Properties ---------------------------------------------------------------------------------------------

payloads = st.binary(min_size=20, max_size=20)
programs = st.one_of(
    st.tuples(st.just(0), payloads),
    st.tuples(st.sampled_from([0, 1]), st.binary(min_size=32, max_size=32)),
)


@given(version=st.integers(0, 255), payload=st.binary(max_size=60))
def test_base58check_comes_back(version: int, payload: bytes) -> None:
    assert decode_base58check(encode_base58check(version, payload)) == Base58Data(version, payload)


@given(version=st.integers(1, 16), program=st.binary(min_size=2, max_size=40))
def test_segwit_comes_back(version: int, program: bytes) -> None:
    assert decode_segwit("bc", encode_segwit("bc", version, program)) == WitnessProgram(version, program)


@given(
    address=st.one_of(
        st.builds(encode_base58check, st.sampled_from([0x30, 0x32]), payloads),
        st.builds(lambda pair: encode_segwit("ltc", *pair), programs),
    ),
    position=st.integers(0, 61),
    character=st.one_of(st.sampled_from(ALPHABET), st.sampled_from(CHARSET), st.characters()),
    change=st.sampled_from(["replace", "insert", "delete", "swap"]),
)
def test_any_single_mistake_is_refused(address: str, position: int, character: str, change: str) -> None:
    assert canonical_address(address, RULES["ltc"]) == address
    at = position % len(address)
    before, here, after = address[:at], address[at], address[at + 1 :]
    mistaken = {
        "replace": before + character + after,
        "insert": before + character + here + after,
        "delete": before + after,
        "swap": before + after[:1] + here + after[1:],
    }[change]

    if mistaken != address:
        with pytest.raises(BadAddress):
            canonical_address(mistaken, RULES["ltc"])


def test_inserting_q_before_a_final_p_is_refused() -> None:
    """The weakness of bech32's checksum (BIP350), stopped by the length of the program: only 20 or 32 bytes are right.

    Twenty insertions make 32 bytes of 20; no reader of addresses can tell that.
    """
    addresses = (encode_segwit("ltc", 0, number.to_bytes(20, "big")) for number in range(1000))
    weak = [address for address in addresses if address.endswith("p")]
    assert weak

    for address in weak:
        for count in range(1, 20):
            with pytest.raises(BadAddress):
                canonical_address(f"{address[:-1]}{'q' * count}p", RULES["ltc"])


@settings(max_examples=300)
@given(
    address=st.one_of(
        st.text(),
        st.text(ALPHABET, max_size=120),
        st.text(CHARSET + "1", max_size=100).map("ltc1".__add__),
        st.text(CHARSET.upper() + "1", max_size=100).map("LTC1".__add__),
        st.text(st.characters(codec="utf-16", exclude_categories=[])),
        st.binary(),
        st.floats(),
        st.none(),
    ),
    network=st.sampled_from(sorted(RULES)),
)
def test_whatever_is_given_the_verdict_is_an_address_or_bad_address(address: object, network: str) -> None:
    try:
        said = canonical_address(address, RULES[network])  # type: ignore[arg-type]
    except BadAddress as refusal:
        said = str(refusal)
    else:
        assert canonical_address(said, RULES[network]) == said

    # Fit for one line of a log, whatever was given.
    assert said.isprintable()
    assert len(said) < 400
