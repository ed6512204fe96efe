"""The answers of daemons that cannot run here, each in its own dialect, mean the same to the kernel (F22)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_core.backend.base import BlockHash, Outpoint, ReceivedOutput, Txid
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
)

ANSWERS = sorted((Path(__file__).parent / "answers").glob("*.json"))

#: What the daemon answers in place of a result.
Refusal = tuple[int, str]

NOT_FOUND: Refusal = (-5, "Block not found")


#: What the calls take, by place; of daemons that take something else their file says so. Amounts travel as text.
ARGUMENTS = {
    "createrawtransaction": ["list", "object"],
    "decoderawtransaction": ["text"],
    "fundrawtransaction": ["text", "object", "boolean"],
    "getmempoolentry": ["text"],
    "gettransaction": ["text"],
    "listsinceblock": ["text", "number"],
    "listunspent": ["number", "number", "list", "boolean"],
    "lockunspent": ["boolean", "list"],
    "sendrawtransaction": ["text", "text"],
    "signrawtransaction": ["text"],
    "signrawtransactionwithwallet": ["text"],
    "testmempoolaccept": ["list", "text"],
    "validateaddress": ["text"],
}

KINDS = {bool: "boolean", dict: "object", int: "number", list: "list", str: "text"}


class Daemon:
    """Answers JSON-RPC calls, single ones and batches, from a file, and refuses what the daemon would refuse."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        self.expected: dict[str, Any] = document["expected"]
        self.answers: dict[str, Any] = document["answers"]
        self.answers["help"] = "\n".join(self.answers["help"])
        self.asked: list[str] = []
        self._arguments = ARGUMENTS | document.get("arguments", {})
        self._known = {line.partition(" ")[0] for line in self.answers["help"].splitlines()}
        self._speaks_json_rpc_2 = document.get("speaks_json_rpc_2", False)

    def __call__(self, request: bytes) -> bytes:
        calls = json.loads(request.partition(b"\r\n\r\n")[2])
        replies = [self._reply(call) for call in (calls if isinstance(calls, list) else [calls])]
        failed = not isinstance(calls, list) and replies[0].get("error") is not None
        body = exact_json(replies if isinstance(calls, list) else replies[0])
        status = "500 Internal Server Error" if failed else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _reply(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = self._answer(call["method"], call["params"])
        reply: dict[str, Any] = {"result": answer, "error": None, "id": call["id"]}
        if isinstance(answer, tuple):
            reply |= {"result": None, "error": {"code": answer[0], "message": answer[1]}}
        if self._speaks_json_rpc_2 and call.get("jsonrpc") == "2.0":
            del reply["error" if reply["error"] is None else "result"]
        return reply

    def _answer(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        if method not in self._known:
            return -32601, "Method not found"
        if len(params) > len(kinds := self._arguments.get(method, [])):
            return -1, f"{method} takes {len(kinds)} arguments"
        if wrong := [kind for kind, value in zip(kinds, params, strict=False) if KINDS[type(value)] != kind]:
            return -3, f"JSON value is not a {wrong[0]} as expected"
        return self.answers.get(method, (-1, f"no answer to {method} is recorded"))


def exact_json(value: object) -> bytes:
    """Write amounts as daemons do, with eight decimals and no exponent."""
    return re.sub(r'"amount:([^"]*)"', r"\1", json.dumps(value, default=lambda amount: f"amount:{amount:f}")).encode()


@pytest.fixture(params=ANSWERS, ids=lambda path: path.stem)
def daemon(request: pytest.FixtureRequest) -> Daemon:
    return Daemon(request.param)


@pytest.fixture
def backend(
    daemon: Daemon, serve: Callable[..., Any], connect: Callable[..., BitcoindBackend]
) -> Iterator[BitcoindBackend]:
    with closing(connect(serve(daemon, keep_alive=True).url, network="main")) as made:
        yield made


def test_daemon_is_taken(daemon: Daemon, backend: BitcoindBackend) -> None:
    backend.check()
    assert backend.capabilities.is_modern == daemon.expected["is_modern"]


def test_restart_of_an_up_to_date_daemon_takes_few_calls(daemon: Daemon, backend: BitcoindBackend) -> None:
    daemon.answers["listsinceblock"] |= {"transactions": [], "removed": []}
    backend.check()
    backend.list_since(BlockHash("ab" * 32), depth=15)
    assert len(daemon.asked) <= 10


def test_listing_means_the_same(daemon: Daemon, backend: BitcoindBackend) -> None:
    changes = backend.list_since(BlockHash("ab" * 32), depth=15)
    assert changes.tip == daemon.answers["getblockchaininfo"]["bestblockhash"]
    assert changes.checkpoint == daemon.answers["listsinceblock"]["lastblock"]
    found = {transaction.txid: transaction for transaction in changes.transactions}
    assert found.keys() == daemon.expected["transactions"].keys()
    for txid, expected in daemon.expected["transactions"].items():
        now = found[Txid(txid)]
        assert (now.confirmations, now.coinbase, now.forgotten) == (
            expected["confirmations"],
            expected["coinbase"],
            False,
        )
        assert now.fee == (None if expected["fee"] is None else Decimal(expected["fee"]))
        assert now.sent == Decimal(expected["sent"])
        assert now.received == tuple(
            ReceivedOutput(address, Decimal(amount), vout) for address, amount, vout in expected["received"]
        )


def test_daemon_that_is_behind_lists_nothing(daemon: Daemon, backend: BitcoindBackend) -> None:
    """Also where nobody asked for its tip before: what it lists is only as good as its chain."""
    daemon.answers["getblockchaininfo"] |= {"initialblockdownload": True}
    with pytest.raises(BackendUnavailableError, match="still downloading"):
        backend.list_since(None, depth=15)


def test_newest_block_on_a_main_network_is_six_hours_old_at_most(daemon: Daemon, backend: BitcoindBackend) -> None:
    now = int(time.time())
    daemon.answers["getblockchaininfo"] |= {"mediantime": now - 5 * 3600, "time": now - 5 * 3600}
    backend.get_tip()
    daemon.answers["getblockchaininfo"] |= {"mediantime": now - 7 * 3600, "time": now - 7 * 3600}
    with pytest.raises(BackendUnavailableError, match="hours old; nothing is credited"):
        backend.get_tip()


def test_option_that_a_daemon_is_too_old_for_is_named(
    daemon: Daemon, serve: Callable[..., Any], connect: Callable[..., BitcoindBackend]
) -> None:
    backend = connect(serve(daemon, keep_alive=True).url, network="main", confirmation_target=6)
    if daemon.expected["is_modern"]:
        backend.check()
    else:
        with pytest.raises(BackendRejectedError, match="too old for the option confirmation_target"):
            backend.check()


def test_look_up_that_is_refused_does_not_say_that_a_transaction_is_unknown(
    daemon: Daemon, backend: BitcoindBackend
) -> None:
    daemon.answers["gettransaction"] = (-18, "Requested wallet does not exist or is not loaded")
    with pytest.raises(BackendRejectedError, match="loadwallet"):
        backend.get_transactions([Txid("1".rjust(64, "0"))])


def test_transaction_in_conflict_pays_nothing_whatever_its_net_amount(daemon: Daemon, backend: BitcoindBackend) -> None:
    """The amount beside the details is what the wallet won by it, and was never delivered to anybody (F23)."""
    (found,) = backend.get_transactions([Txid("6".rjust(64, "0"))]).values()
    assert (found.confirmations, found.received, found.is_dead) == (-2, (), True)


def test_unknown_checkpoint_is_answered_by_everything(daemon: Daemon, backend: BitcoindBackend) -> None:
    listing, asked = daemon.answers["listsinceblock"], daemon.asked
    daemon.answers = dict(daemon.answers)

    class FirstUnknown(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            if name == "listsinceblock" and asked.count(name) == 1:
                return NOT_FOUND
            return listing if name == "listsinceblock" else super().get(name, default)

    daemon.answers = FirstUnknown(daemon.answers)
    changes = backend.list_since(BlockHash("cd" * 32), depth=15)
    assert len(list(changes.transactions)) == len(daemon.expected["transactions"])
    assert asked.count("listsinceblock") == 2


def test_balance_is_told_by_what_the_daemon_has(daemon: Daemon, backend: BitcoindBackend) -> None:
    assert backend.get_backend_balance() == Decimal(daemon.expected["balance"])


@pytest.mark.parametrize("method", ["listsinceblock", "fundrawtransaction", "lockunspent"])
def test_missing_capability_is_one_sentence(daemon: Daemon, backend: BitcoindBackend, method: str) -> None:
    daemon.answers["help"] = daemon.answers["help"].replace(f"\n{method} ", "\nanothercall ")
    with pytest.raises(BackendRejectedError, match=f"cannot serve as a backend, it lacks {method}: is it too old"):
        backend.check()


def test_replaced_deposit_is_told_where_the_mempool_can_be_known(daemon: Daemon, backend: BitcoindBackend) -> None:
    daemon.answers |= {"listunspent": [], "getmempoolentry": (-5, "Transaction not in mempool")}
    txid = Txid("1".rjust(64, "0"))
    daemon.answers["gettransaction"] = {"confirmations": 0, "txid": txid, "details": []}
    found = {each.txid: each for each in backend.list_since(None, depth=15).transactions}
    assert found[txid].forgotten == daemon.expected["is_modern"]


def test_mempool_that_is_still_loading_proves_nothing(daemon: Daemon, backend: BitcoindBackend) -> None:
    daemon.answers |= {"listunspent": [], "getmempoolentry": (-5, "Transaction not in mempool")}
    daemon.answers["gettransaction"] = {"confirmations": 0, "txid": "1".rjust(64, "0"), "details": []}
    daemon.answers["getmempoolinfo"] = {"loaded": False}
    assert not any(each.forgotten for each in backend.list_since(None, depth=15).transactions)


@pytest.mark.parametrize("options", [{}, {"fee_rate": "0.0003"}], ids=["estimated", "rate"])
def test_withdrawal_is_made_held_and_published(
    daemon: Daemon, serve: Callable[..., Any], connect: Callable[..., BitcoindBackend], options: dict[str, object]
) -> None:
    backend = connect(serve(daemon, keep_alive=True).url, network="main", **options)
    prepared = backend.prepare({"OUTSIDE-1": Decimal("0.5")})
    assert prepared.txid == daemon.answers["sendrawtransaction"]
    assert (prepared.fee, prepared.inputs) == (Decimal("0.00005"), (Outpoint(Txid("2".rjust(64, "0")), 1),))
    backend.hold(prepared)
    assert "lockunspent" in daemon.asked
    assert backend.submit(prepared) == prepared.txid


def test_fee_is_judged_by_the_bytes_that_the_daemon_counts(
    daemon: Daemon, serve: Callable[..., Any], connect: Callable[..., BitcoindBackend]
) -> None:
    size = daemon.expected["size"]
    backend = connect(serve(daemon, keep_alive=True).url, network="main", max_fee_rate="0.0001")
    with pytest.raises(BackendUnavailableError, match=rf"0\.00005000 for {size} bytes, above max_fee_rate"):
        backend.prepare({"OUTSIDE-1": Decimal("0.5")})


@pytest.mark.parametrize("daemon", ANSWERS[:1], indirect=True, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "refusal",
    [
        (-4, "Insufficient funds"),
        (-6, "Insufficient funds"),
        (-4, "Transaction has too long of a mempool chain"),
        (
            -4,
            "Unconfirmed UTXOs are available, but spending them creates a chain of transactions that will be rejected "
            "by the mempool",
        ),
        (-4, "too many unconfirmed ancestors [limit: 25]"),
        (-4, "too many descendants for tx 00 [limit: 25]"),
        (-4, "exceeds ancestor size limit [limit: 101000]"),
        (-4, "too many unconfirmed transactions in cluster"),
    ],
    ids=lambda refusal: refusal[1][:30],
)
def test_wallet_without_coins_that_can_be_spent_now_waits_for_them(
    daemon: Daemon, backend: BitcoindBackend, refusal: Refusal
) -> None:
    """In the words of all versions; a withdrawal must not be refunded for them."""
    daemon.answers["fundrawtransaction"] = refusal
    with pytest.raises(InsufficientHotWalletFunds, match="wait until its unconfirmed coins confirm"):
        backend.prepare({"OUTSIDE-1": Decimal("0.5")})


@pytest.mark.parametrize("daemon", ANSWERS[:1], indirect=True, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "text",
    [
        "Transaction needs a change address, but we can't generate it. Please call keypoolrefill first.",
        "Transaction needs a change address, but we can't generate it. Error: This wallet has no available keys",
        "Keypool ran out, please call keypoolrefill first",
    ],
    ids=["core-0.21", "core-28", "dogecoin"],
)
def test_wallet_without_addresses_for_change_waits(daemon: Daemon, backend: BitcoindBackend, text: str) -> None:
    daemon.answers["fundrawtransaction"] = (-4, text)
    with pytest.raises(BackendUnavailableError, match="walletpassphrase"):
        backend.prepare({"OUTSIDE-1": Decimal("0.5")})


@pytest.mark.parametrize("words", ["transaction already in block chain", "Transaction outputs already in utxo set"])
def test_published_transaction_is_known_by_the_code(daemon: Daemon, backend: BitcoindBackend, words: str) -> None:
    """Core 28 says it in other words."""
    prepared = backend.prepare({"OUTSIDE-1": Decimal("0.5")})
    daemon.answers["sendrawtransaction"] = (-27, words)
    assert backend.submit(prepared) == prepared.txid


def test_mined_refusals_of_older_daemons_prove_nothing(daemon: Daemon, backend: BitcoindBackend) -> None:
    prepared = backend.prepare({"OUTSIDE-1": Decimal("0.5")})
    daemon.answers |= {
        "sendrawtransaction": (-25, "Missing inputs"),
        "gettransaction": (-5, "Invalid or non-wallet transaction id"),
    }
    with pytest.raises(OutcomeUnknownError, match="Missing inputs"):
        backend.submit(prepared)


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((-28, "Loading block index..."), BackendUnavailableError, "is starting"),
        ((-18, "Requested wallet does not exist or is not loaded"), BackendRejectedError, "loadwallet"),
        ((-18, "No wallet is loaded. Load a wallet using loadwallet"), BackendRejectedError, "createwallet"),
        ((-19, "Wallet file not specified"), BackendRejectedError, "/wallet/name"),
        ((-13, "Please enter the wallet passphrase"), BackendRejectedError, "walletpassphrase"),
        ((-32601, "Method not found"), BackendRejectedError, "code -32601"),
        ((-1, "misuse"), BackendRejectedError, "code -1"),
    ],
)
def test_refused_listing_is_named(
    daemon: Daemon, backend: BitcoindBackend, refusal: Refusal, kind: type[BackendError], words: str
) -> None:
    daemon.answers["listsinceblock"] = refusal
    with pytest.raises(kind, match=words):
        backend.list_since(None, depth=15)


@pytest.mark.parametrize(
    "wrong",
    [
        {"listsinceblock": None},
        {"listsinceblock": []},
        {"listsinceblock": {}},
        {"listsinceblock": {"transactions": {}, "lastblock": "ab" * 32}},
        {"listsinceblock": {"transactions": [], "lastblock": 5}},
        {"listsinceblock": {"transactions": [5], "lastblock": "ab" * 32}},
        {"listsinceblock": {"transactions": [], "removed": "x", "lastblock": "ab" * 32}},
        {"getblockchaininfo": None},
        {"getblockchaininfo": {}},
        {"getblockchaininfo": {"chain": "main"}},
    ],
)
def test_nonsense_is_refused_as_a_whole(daemon: Daemon, backend: BitcoindBackend, wrong: dict[str, Any]) -> None:
    daemon.answers |= wrong
    with pytest.raises(BackendError, match="makes no sense"):
        backend.list_since(None, depth=15)
