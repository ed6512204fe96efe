"""The two ways in which addresses are written, base58check and bech32: the vectors of BIP173 and BIP350, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptoassets_btc import BITCOIN
from cryptoassets_core.coin import bech32
from cryptoassets_core.coin.base58 import Base58Data, decode_base58check, encode_base58check
from cryptoassets_core.coin.bech32 import WitnessProgram, decode_segwit, encode_segwit
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import BadAddress

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
    rules = BITCOIN.networks["test" if address.lower().startswith("tb1") else "main"]

    with pytest.raises(BadAddress) as refusal:
        canonical_address(address, rules)

    assert fact in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("RLTC1QFYSR9ZE8UZR4K6VFYT2CHLJRM687NVMDYH7GP\u212a", "not ASCII"),
        ("rltc1" + "q" * 10_000_000, "too long"),
        (encode_base58check(0x80, bytes(range(1, 33)) + b"\1"), "'[52 characters, not shown]' does not begin with"),
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


def test_long_base58_is_refused_before_any_arithmetic() -> None:
    with pytest.raises(BadAddress, match="too long"):
        decode_base58check("z" * 10_000_000)


# --- Properties -------------------------------------------------------------------------------------------


@given(version=st.integers(0, 255), payload=st.binary(max_size=60))
def test_base58check_comes_back(version: int, payload: bytes) -> None:
    assert decode_base58check(encode_base58check(version, payload)) == Base58Data(version, payload)


@given(version=st.integers(1, 16), program=st.binary(min_size=2, max_size=40))
def test_segwit_comes_back(version: int, program: bytes) -> None:
    assert decode_segwit("bc", encode_segwit("bc", version, program)) == WitnessProgram(version, program)
