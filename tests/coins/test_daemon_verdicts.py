"""Litecoin's addresses, judged by us and by Litecoin Core on each of its networks.

The two differ on purpose where the daemon is too kind: it forgives white space around Base58 addresses, and takes
witness programs that anybody could spend, and addresses of extension blocks, which no backend here pays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import pytest
import requests

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.coin.validate import encode_base58check
from cryptoassets_core.errors import BadAddress
from cryptoassets_core.testing.addresses import BECH32, BECH32M, hostile_spellings, random_texts, segwit_text
from cryptoassets_core.testing.coinsuite import MWEB, WELL_KNOWN
from cryptoassets_core.testing.requirements import require
from cryptoassets_ltc import LITECOIN
from cryptoassets_ltc.models import coin_description

pytestmark = pytest.mark.regtest

#: Options that make our node one of another network; without peers it needs no connection to any.
OPTIONS: dict[Network, tuple[str, ...]] = {
    "regtest": (),
    "test": ("-regtest=0", "-testnet=1", "-connect=0"),
    "main": ("-regtest=0", "-connect=0"),
}

#: For each network; enough to meet every way in which a text can be wrong.
MADE_UP = 3000


def texts(network: Network) -> Iterator[str]:
    """Make right, nearly right and wrong addresses for a network."""
    rules = LITECOIN.networks[network]
    hrp = str(rules.bech32_hrp)
    right = [encode_base58check(version, bytes([seed]) * 20) for version in range(256) for seed in (0, 1, 255)]
    right += [
        encode_base58check(version, bytes(range(length))) for version in rules.p2pkh for length in (0, 19, 21, 32)
    ]
    for version in range(32):
        for length in (0, 1, 2, 20, 21, 32, 33, 40, 41):
            for checksum in (BECH32, BECH32M):
                right.append(segwit_text(hrp, version, bytes(range(length)), checksum=checksum))
    right += [*WELL_KNOWN, *MWEB]
    good = [text for text in right if _ours(network, text) is not None]
    yield from right
    yield from (text.upper() for text in right)
    for text in good[:: max(1, len(good) // 12)]:
        yield from hostile_spellings(text)
    yield from islice(random_texts(good, seed=8), MADE_UP)


def _ours(network: Network, text: str) -> str | None:
    try:
        return Coin(coin_description, network=network).canonical_address(text)
    except BadAddress:
        return None


def _theirs(node: RegtestNode, asked: Sequence[str]) -> list[dict[str, object]]:
    """Ask for all verdicts in one batch."""
    calls = [{"id": at, "method": "validateaddress", "params": [text]} for at, text in enumerate(asked)]
    answer = requests.post(node.url(), data=json.dumps(calls), timeout=60)
    return [one["result"] for one in sorted(answer.json(), key=lambda one: one["id"])]


def _forgiven(text: str, verdict: dict[str, object]) -> bool:
    """Tell whether the daemon takes what we refuse on purpose."""
    stranger = verdict.get("iswitness") and not (
        verdict["witness_version"] == 0 or (verdict["witness_version"], len(str(verdict["witness_program"]))) == (1, 64)
    )
    return bool(stranger) or text != text.strip() or verdict.get("ismweb") is True or "mweb1" in text.lower()


@pytest.mark.parametrize("network", OPTIONS)
def test_verdicts_are_those_of_the_daemon(network: Network) -> None:
    require("litecoind", "litecoind")
    node = RegtestNode(options=OPTIONS[network])
    try:
        node.start()
        # JSON cannot carry lone surrogates and the daemon's C strings end at a NUL; both are refused here in any case.
        asked = [text for text in dict.fromkeys(texts(network)) if "\0" not in text]
        verdicts = _theirs(node, asked)
    finally:
        node.close()
    taken = 0
    for text, verdict in zip(asked, verdicts, strict=True):
        ours = _ours(network, text)
        if verdict["isvalid"] and _forgiven(text, verdict):
            assert ours is None, f"{text!a}"
        else:
            # What the daemon calls the address is what it reports deposits under.
            assert ours == (verdict["address"] if verdict["isvalid"] else None), f"{text!a}: {verdict}"
            taken += ours is not None
    assert taken > 15
