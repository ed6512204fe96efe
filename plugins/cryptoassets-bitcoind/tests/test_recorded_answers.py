"""The recorded answers that can be compared with a real daemon have its keys and types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_core.errors import BackendRejectedError, BackendUnavailableError

ANSWERS = Path(__file__).parent / "answers"

#: What Litecoin Core 0.21 adds to Bitcoin Core 0.21, from which it is derived.
LITECOIN_ONLY = {"ismweb"}


def shape(value: object, *, without: set[str]) -> object:
    """Return what is left of an answer when values do not matter: its keys, and the types."""
    if isinstance(value, Mapping):
        return {key: shape(item, without=without) for key, item in value.items() if key not in without}
    if isinstance(value, list):
        return [shape(item, without=without) for item in value[:1]]
    return "number" if isinstance(value, int | Decimal) and not isinstance(value, bool) else type(value).__name__


def rows_by_kind(listing: Any) -> dict[tuple[str, bool], Any]:
    """Return one row of each kind that has the same keys; those of extension blocks have a test of their own."""
    return {
        (row["category"], row["confirmations"] > 0): row
        for row in listing["transactions"]
        if "mweb_out" not in row and (row["category"] != "immature" or "generated" in row)
    }


@pytest.mark.parametrize(
    ("file", "without"), [("litecoin-0.21.json", set()), ("bitcoin-0.21.json", LITECOIN_ONLY)], ids=lambda file: file
)
def test_recorded_answers_are_those_of_the_daemon(
    new_wallet: Callable[..., Any], outside: Callable[[], str], file: str, without: set[str]
) -> None:
    recorded = json.loads((ANSWERS / file).read_text(encoding="utf-8"), parse_float=Decimal)["answers"]
    wallet = new_wallet()
    node, rpc = wallet.node, wallet.rpc
    own = str(rpc("getnewaddress", "shop"))
    (orphan,) = node.mine(address=own)
    node.rpc("invalidateblock", orphan)
    node.mine()
    node.mine(address=own)
    node.rpc("sendtoaddress", own, Decimal(3), wallet="")
    node.mine()
    rpc("sendmany", "", {outside(): Decimal(1), outside(): Decimal("0.5")})
    node.mine()
    node.rpc("sendtoaddress", own, Decimal("1.5"), wallet="")
    node.sync()

    def agree(method: str, answer: object) -> None:
        assert shape(answer, without=without) == shape(recorded[method], without=without), method

    given = rows_by_kind(rpc("listsinceblock"))
    wanted = rows_by_kind(recorded["listsinceblock"])
    for kind in [("receive", False), ("receive", True), ("send", True), ("immature", True), ("orphan", False)]:
        assert shape(given[kind], without=without) == shape(wanted[kind], without=without), kind
    assert rpc("listsinceblock").keys() == recorded["listsinceblock"].keys()
    for method in ("getwalletinfo", "getmempoolinfo", "getbalances", "listlockunspent"):
        agree(method, rpc(method))
    agree("listunspent", [coin for coin in rpc("listunspent", 0, 0) if "label" in coin])
    chain = rpc("getblockchaininfo")
    agree("getblockchaininfo", chain | {"softforks": {"bip34": chain["softforks"]["bip34"]}})
    to = outside()
    agree("validateaddress", rpc("validateaddress", to))
    funded = rpc("fundrawtransaction", rpc("createrawtransaction", [], {to: Decimal("0.1")}), {}, False)
    agree("fundrawtransaction", funded)
    signed = rpc("signrawtransactionwithwallet", funded["hex"])
    agree("signrawtransactionwithwallet", signed)
    decoded = rpc("decoderawtransaction", signed["hex"])
    agree("decoderawtransaction", decoded | {"vin": [decoded["vin"][0] | {"txinwitness": ["44", "55"]}]})
    agree("testmempoolaccept", rpc("testmempoolaccept", [signed["hex"]], Decimal(0)))
    agree("sendrawtransaction", rpc("sendrawtransaction", signed["hex"], Decimal(0)))


def test_refusals_have_the_recorded_codes_and_words(new_wallet: Callable[..., Any], outside: Callable[[], str]) -> None:
    """Those that test_versions.py and the daemons' source know, and that are told apart by their words."""
    wallet = new_wallet()
    wallet.fund("3")
    unknown = "11" * 32

    def refused(method: str, *params: object) -> tuple[int | None, str]:
        with pytest.raises(BackendRejectedError) as raised:
            wallet.rpc(method, *params)
        return raised.value.code, str(raised.value).partition(f"{method}: ")[2].partition(" (code")[0]

    def paying(amount: str) -> object:
        return wallet.rpc("createrawtransaction", [], {outside(): Decimal(amount)})

    assert refused("gettransaction", unknown) == (-5, "Invalid or non-wallet transaction id")
    assert refused("getmempoolentry", unknown) == (-5, "Transaction not in mempool")
    assert refused("listsinceblock", unknown) == (-5, "Block not found")
    assert refused("fundrawtransaction", paying("9"), {}, False) == (-4, "Insufficient funds")
    assert refused("fundrawtransaction", paying("0.00000001"), {}, False) == (-4, "Transaction amount too small")
    assert refused("lockunspent", True, [{"txid": unknown, "vout": 0}])[0] == -8
    wallet.rpc("encryptwallet", "passphrase")
    for _ in range(int(wallet.rpc("getwalletinfo")["keypoolsize_hd_internal"])):
        wallet.rpc("getrawchangeaddress")
    words = "Transaction needs a change address, but we can't generate it. Please call keypoolrefill first."
    assert refused("fundrawtransaction", paying("1"), {}, False) == (-4, words)
    with pytest.raises(BackendUnavailableError, match="walletpassphrase"):
        wallet.backend.prepare({outside(): Decimal(1)})
