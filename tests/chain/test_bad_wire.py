"""Everything a daemon may answer and should not, on a real socket and through the daemon's own following.

Each time: a sentence on the status and in the log, a counted attempt, books as they were; and when the daemon answers
well again, the deposit is credited as if nothing had been.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bad_node import SECRET, TXID, Answer, BadNode, Refused
from chain_world import Books, make_app
from commands import ask, daemon, eventually, write
from sqlalchemy import insert

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.backend.syncstate import read_sync_state
from cryptoassets_core.service.coinworker import CoinWorker

ADDRESS = "rltc1qp77u49uaw20lrjw8fmwlwghte97xpcmqxfwk8q"


@pytest.fixture
def node() -> Iterator[BadNode]:
    with closing(BadNode()) as running:
        running.address = ADDRESS
        yield running


@pytest.fixture
def books(node: BadNode, sqlite_url: str) -> Iterator[Books]:
    made = Books(make_app(sqlite_url, "ltc", {"name": "bitcoind", "url": node.url, "timeout": 1}), "ltc")
    account = made.account()
    made.run(
        lambda session: session.execute(insert(made.tables.address), [{"address": ADDRESS, "account_id": account}])
    )
    yield made
    made.app.close()


def worker_of(books: Books) -> CoinWorker:
    return CoinWorker(books.coin, books.backend, books.app.conflict_resolver, walletnotify=None, on_events=lambda: None)


def assert_survived(
    books: Books, node: BadNode, words: str, caplog: pytest.LogCaptureFixture, *, notified: bool = True
) -> None:
    """See that neither a poll nor a notification gets anywhere, and that all is well once the daemon is."""
    worker = worker_of(books)
    with caplog.at_level(logging.DEBUG):
        worker.poll()
        attempts = 1
        if notified:
            worker.look_at([Txid(TXID)])
            attempts = 2
    assert words in (worker.health.problem or "")
    assert worker.health.failed_attempts == attempts
    assert any(words in record.getMessage() and record.levelno >= logging.WARNING for record in caplog.records)
    assert (books.rows(), books.network_rows(), books.events(), books.balance()) == ([], [], [], 0)
    state = books.run(lambda session: read_sync_state(session, books.tables))
    assert (state.checkpoint, state.tip) == (None, None)
    shown = f"{worker.health.problem} {caplog.text}"
    assert "Traceback" not in shown
    assert SECRET not in shown
    node.heal()
    worker.poll()
    assert not notified or worker.look_at([Txid(TXID)])  # which waits in the queue until it is looked at
    assert (worker.health.problem, books.balance()) == (None, books.rows()[0].amount)
    assert worker.health.failed_attempts == attempts
    books.check()


def page(status: int, text: str = "<html>nothing here</html>") -> Callable[[list[str], Answer], Answer]:
    return lambda methods, answer: (status, "text/html", text.encode())


def body(change: Callable[[bytes], bytes]) -> Callable[[list[str], Answer], Answer]:
    return lambda methods, answer: (answer[0], answer[1], change(answer[2]))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(page(200), "does not speak JSON-RPC", id="html"),
        pytest.param(page(401), "refused our credentials", id="401"),
        pytest.param(page(403), "forbids us", id="403"),
        pytest.param(page(404), "HTTP status 404; check host, port and path", id="404"),
        pytest.param(page(500), "HTTP status 500", id="500"),
        pytest.param(page(500, "Work queue depth exceeded"), "is too busy", id="work-queue-full"),
        pytest.param(page(503), "is too busy", id="503"),
        pytest.param(page(504), "HTTP status 504", id="504"),
        pytest.param(body(lambda raw: raw[: len(raw) // 2]), "does not speak JSON-RPC", id="half-json"),
        pytest.param(body(lambda raw: raw[:-1]), "does not speak JSON-RPC", id="json-without-its-end"),
        pytest.param(body(lambda raw: raw + b"]"), "does not speak JSON-RPC", id="json-with-more"),
        pytest.param(body(lambda raw: b"\xff" + raw), "does not speak JSON-RPC", id="not-utf8"),
        pytest.param(body(lambda raw: b"null"), "does not speak JSON-RPC", id="null"),
        pytest.param(body(lambda raw: b"17"), "does not speak JSON-RPC", id="number"),
        pytest.param(body(lambda raw: b"[" * 100_000), "does not speak JSON-RPC", id="deep"),
        pytest.param(body(lambda raw: b"{}"), "does not speak JSON-RPC", id="empty-object"),
        pytest.param(body(lambda raw: b"[]"), "does not speak JSON-RPC", id="empty-list"),
        pytest.param(body(lambda raw: b""), "no answer to", id="hangs-up"),
    ],
)
def test_answer_that_is_none(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, spoil: Any, words: str
) -> None:
    node.spoil_answer = spoil
    assert_survived(books, node, words, caplog)


@pytest.mark.parametrize("method", ["getblockchaininfo", "listsinceblock", "gettransaction"])
@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (-28, "Loading block index...", "is starting (Loading block index...); it will be asked again"),
        (-18, "Requested wallet does not exist or is not loaded", "create it with createwallet or load it"),
        (-19, "Wallet file not specified", "/wallet/name"),
        (-13, "Please enter the wallet passphrase", "unlock it with walletpassphrase"),
        (-4, "Wallet is currently rescanning", "code -4"),
        (-1, "JSON value is not a string as expected", "code -1"),
        (-32601, "Method not found", "code -32601"),
        (-32603, "Internal bug detected", "code -32603"),
    ],
)
def test_refusal(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, method: str, code: int, message: str, words: str
) -> None:
    def refuse(name: str, result: Any) -> Any:
        if name == method:
            raise Refused(code, message)
        return result

    if method == "gettransaction":
        # Only a notification asks for it; the poll before it must not have found the deposit already.
        def nothing_yet(name: str, result: Any) -> Any:
            return {**result, "transactions": []} if name == "listsinceblock" else refuse(name, result)

        node.spoil_result = nothing_yet
        worker = worker_of(books)
        worker.poll()
        worker.look_at([Txid(TXID)])
        assert words in (worker.health.problem or "")
        assert (books.rows(), worker.health.failed_attempts) == ([], 1)
        node.heal()
        assert worker.look_at([Txid(TXID)])
        assert (worker.health.problem, books.balance()) == (None, books.rows()[0].amount)
        return
    node.spoil_result = refuse
    assert_survived(books, node, words, caplog, notified=method == "getblockchaininfo")


NO_SENSE = "makes no sense"


@pytest.mark.parametrize(
    "facts",
    [
        {"confirmations": "3"},
        {"confirmations": 3.0},
        {"confirmations": None},
        {"confirmations": True},
        {"confirmations": ...},
        {"confirmations": 2**31},
        {"confirmations": -(10**30)},
        {"blockhash": ...},
        {"blockhash": 7},
        {"blockhash": "nonsense"},
        {"amount": "0.5"},
        {"amount": None},
        {"amount": True},
        {"amount": {}},
        {"amount": ...},
        {"amount": 0.1 + 0.2},
        {"amount": 1e-9},
        {"amount": 1e300},
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"category": ...},
        {"category": 7},
        {"address": 7},
        {"address": None},
        {"address": ""},
        {"address": "with\0zero"},
        {"address": "\ud800"},
        {"address": "x" * 100_000},
        {"vout": "0"},
        {"vout": 0.0},
        {"vout": -1},
        {"vout": ...},
    ],
    ids=str,
)
def test_deposit_told_in_a_way_that_makes_no_sense(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, facts: dict[str, object]
) -> None:
    node.spoil_row(**facts)
    assert_survived(books, node, NO_SENSE, caplog)


@pytest.mark.parametrize("txid", [7, None, "nonsense", TXID.upper().replace("1", "A"), ...], ids=str)
def test_listed_row_without_a_txid(books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, txid: object) -> None:
    node.spoil_row(txid=txid)
    assert_survived(books, node, NO_SENSE, caplog, notified=False)


def spoiled(method: str, **facts: object) -> Callable[[str, Any], Any]:
    def spoil(name: str, result: Any) -> Any:
        if name != method:
            return result
        return {key: value for key, value in {**result, **facts}.items() if value is not ...}

    return spoil


@pytest.mark.parametrize(
    "facts",
    [
        {"transactions": ...},
        {"transactions": None},
        {"transactions": {}},
        {"transactions": [5]},
        {"transactions": [[]]},
        {"transactions": [{}]},
        {"lastblock": ...},
        {"lastblock": None},
        {"lastblock": 5},
        {"lastblock": "nonsense"},
        {"removed": None},
        {"removed": {}},
        {"removed": [5]},
        {"removed": [{}]},
    ],
    ids=str,
)
def test_listing_that_makes_no_sense(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, facts: dict[str, object]
) -> None:
    node.spoil_result = spoiled("listsinceblock", **facts)
    assert_survived(books, node, NO_SENSE, caplog, notified=False)


@pytest.mark.parametrize(
    "facts",
    [
        {"chain": ...},
        {"chain": 7},
        {"bestblockhash": ...},
        {"bestblockhash": 7},
        {"bestblockhash": "nonsense"},
    ],
    ids=str,
)
def test_state_of_the_chain_that_makes_no_sense(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, facts: dict[str, object]
) -> None:
    node.spoil_result = spoiled("getblockchaininfo", **facts)
    assert_survived(books, node, NO_SENSE, caplog)


@pytest.mark.parametrize("result", [None, [], "text", 7], ids=str)
@pytest.mark.parametrize("method", ["getblockchaininfo", "listsinceblock"])
def test_result_of_another_type(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture, method: str, result: object
) -> None:
    node.spoil_result = lambda name, good: result if name == method else good
    assert_survived(books, node, NO_SENSE, caplog, notified=method == "getblockchaininfo")


def test_daemon_of_another_network_credits_nothing(
    books: Books, node: BadNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.spoil_result = spoiled("getblockchaininfo", chain="main")
    assert_survived(books, node, "is on the network 'main', but ltc is configured for 'regtest'", caplog)


@pytest.mark.parametrize("amount", [-0.5, -1e-8, 1e30, 92233720368.54775808])
def test_amount_that_the_books_cannot_take_stops_nobody_else(books: Books, node: BadNode, amount: float) -> None:
    """It can be written and means nothing: a person is called, the chain is followed on."""
    node.spoil_row(amount=amount)
    worker = worker_of(books)
    worker.poll()
    assert (worker.health.problem, books.rows(), books.balance()) == (None, [], 0)
    (told,) = books.events("deposit_refused")
    assert (told["txid"], told["address"]) == (TXID, ADDRESS)
    books.check()


def test_status_and_log_of_the_daemon_say_it(node: BadNode, sqlite_url: str, tmp_path: Path) -> None:
    """The same through the process that people run: it tells, tries again, counts, and recovers."""
    node.spoil_answer = page(200)
    config = {
        "database": {"url": sqlite_url},
        "coins": {"ltc": {"network": "regtest", "backend": {"name": "bitcoind", "url": node.url}}},
        "service": {"poll_period": 0.1, "broadcast_period": 0.2},
    }
    with daemon(config, tmp_path) as running:
        running.ready()
        eventually(lambda: running.status()["coins"][0]["failed_attempts"] >= 3)
        told = running.status()["coins"][0]
        assert "does not speak JSON-RPC" in told["problem"]
        assert running.log.count("does not speak JSON-RPC") == 1
        node.heal()
        eventually(lambda: running.status()["coins"][0]["problem"] is None)
        assert "works again" in running.log
        assert running.end() == 0
        assert "Traceback" not in running.log
        assert SECRET not in running.log + json.dumps(told)


IMPORT = "import-wallet", "ltc", "--wallet", "shop", "--account", "alice", "--yes"


@pytest.mark.parametrize(
    ("command", "spoil", "words"),
    [
        *(
            pytest.param(command, spoil, words, id=f"{name} at {command[0]}")
            for command in (("reconcile",), ("scan",), IMPORT)
            for name, spoil, words in (
                ("page", lambda node: setattr(node, "spoil_answer", page(200)), "does not speak JSON-RPC"),
                ("row", lambda node: node.spoil_row(address="\ud800"), "a listed address should be an address"),
            )
        ),
        *(
            pytest.param(command, spoil, NO_SENSE, id=f"balance at {command[0]}")
            for command in (("reconcile",), IMPORT)
            for spoil in (
                lambda node: setattr(node, "spoil_result", spoiled("getbalances", mine={"trusted": "1"})),
                lambda node: setattr(node, "spoil_result", spoiled("getbalances", mine=...)),
            )
        ),
    ],
)
def test_commands_say_it_in_one_sentence(
    node: BadNode,
    books: Books,
    tmp_path: Path,
    command: tuple[str, ...],
    spoil: Callable[[BadNode], None],
    words: str,
) -> None:
    spoil(node)
    coins = {"ltc": {"network": "regtest", "backend": {"name": "bitcoind", "url": node.url, "timeout": 1}}}
    config = write(tmp_path, {"database": {"url": str(books.app.engine.url)}, "coins": coins})  # type: ignore[union-attr]
    done = ask(f"cryptoassets {command[0]}", config, *command[1:])
    said = " ".join(done.stderr.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert words in said
    assert "Traceback" not in said
    assert SECRET not in said
    assert (books.rows(), books.balance()) == ([], 0)
