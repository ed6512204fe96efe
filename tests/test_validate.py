"""Verdicts on addresses: examples of every coin and network, what each refusal says, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptoassets_core.coin.base58 import ALPHABET, encode_base58check
from cryptoassets_core.coin.bech32 import CHARSET, encode_segwit
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


@pytest.mark.parametrize("length", [0, 1, 19, 21])
def test_base58_address_holds_twenty_bytes(length: int) -> None:
    """Version 0 with 21 bytes is as short as an address, and only the bytes tell."""
    with pytest.raises(BadAddress, match=f"holds {length} bytes"):
        canonical_address(encode_base58check(0, bytes(length)), RULES["btc"])


# --- Properties ---------------------------------------------------------------------------------------------

payloads = st.binary(min_size=20, max_size=20)
programs = st.one_of(
    st.tuples(st.just(0), payloads),
    st.tuples(st.sampled_from([0, 1]), st.binary(min_size=32, max_size=32)),
)


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
