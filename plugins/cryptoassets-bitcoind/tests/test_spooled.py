"""A long listing is checked to its end, and then read from its file a transaction at a time."""

from __future__ import annotations

import gc
import io
import json
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptoassets_bitcoind import answerfile, jsonreader
from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.jsonreader import JsonReader
from cryptoassets_core.errors import BackendError, BackendUnavailableError

DOCUMENT = '[{"a": [1, 2.50, -3e2, null, true], "\\u00e4ß€": "x\\"]}", "b": {}, "c": []}, 17, "text", [] , {} ]'

TIP, CHECKPOINT = "aa" * 32, "bb" * 32


# --- The reader -----------------------------------------------------------------------------------------------------


def read(reader: JsonReader, *, depth: int = 2) -> Any:
    """Read what comes next in steps of the reader down to a depth, and below it as a whole."""
    if depth and reader.is_at("["):
        return [read(reader, depth=depth - 1) for _ in reader.elements()]
    if depth and reader.is_at("{"):
        return {key: read(reader, depth=depth - 1) for key in reader.members()}
    return reader.value()


@pytest.fixture(params=[1, 2, 3, 7, 1000])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Read so many bytes at once."""
    monkeypatch.setattr(jsonreader, "_PIECE", request.param)
    return int(request.param)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("document", [DOCUMENT, f" \n{DOCUMENT}\t\n", "[]", "{}", "17", '"x"', "[1]", "[[[[1]]]]"])
def test_document_is_read_as_json_reads_it(document: str) -> None:
    reader = JsonReader(io.BytesIO(document.encode()))
    assert read(reader) == json.loads(document, parse_float=Decimal)
    reader.end()


@pytest.mark.usefixtures("piece")
def test_document_that_is_cut_anywhere_is_refused() -> None:
    whole = DOCUMENT.encode()
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"\w"):
            read(JsonReader(io.BytesIO(whole[:length])))


@pytest.mark.parametrize(
    "document",
    ["[1 2]", "[1,]", "[,1]", '{"a" 1}', '{"a": 1,}', "{1: 2}", '{"a": 1 "b": 2}', "[1}", '{"a": 1]', "\xff"],
)
def test_document_that_is_no_json_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(JsonReader(io.BytesIO(document.encode("latin-1"))))


def test_something_after_the_end_is_refused() -> None:
    reader = JsonReader(io.BytesIO(b"[1] 2"))
    read(reader)
    with pytest.raises(ValueError, match="after the end"):
        reader.end()


@pytest.mark.usefixtures("piece")
def test_two_readers_take_turns_from_where_each_is() -> None:
    file = io.BytesIO(DOCUMENT.encode())
    first = JsonReader(file)
    elements = first.elements()
    next(elements)
    second = JsonReader(file, position=first.position)
    assert first.value() == second.value()
    next(elements)
    assert JsonReader(file, position=first.position).value() == first.value() == 17


def test_value_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonreader, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(jsonreader, "_PIECE", 100)
    with pytest.raises(ValueError, match="does not end"):
        JsonReader(io.BytesIO(b'"' + b"x" * 100_000)).value()


# --- The listing ----------------------------------------------------------------------------------------------------


def row(number: int, **facts: object) -> dict[str, Any]:
    return {
        "address": f"address-{number}",
        "category": "receive",
        "amount": 0.5,
        "vout": 0,
        "confirmations": 20,
        "blockhash": "cc" * 32,
        "txid": f"{number:064x}",
        "walletconflicts": [],
        **facts,
    }


def served(transactions: object, removed: object = (), *, spoil: Callable[[str], str] = lambda body: body) -> Any:
    """Answer as a daemon of regtest whose wallet has these rows."""
    info = {
        "chain": "regtest", "blocks": 50, "headers": 50, "bestblockhash": TIP, "mediantime": 0,
        "initialblockdownload": False,
    }  # fmt: skip
    listing = {"transactions": transactions, "removed": list(removed), "lastblock": CHECKPOINT}  # type: ignore[call-overload]

    def script(request: bytes) -> bytes:
        replies = [
            {"result": info if call["method"] == "getblockchaininfo" else listing, "error": None, "id": call["id"]}
            for call in json.loads(request.partition(b"\r\n\r\n")[2])
        ]
        body = spoil(json.dumps(replies)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    return script


@pytest.fixture
def backend_of(serve: Callable[..., Any], connect: Callable[..., BitcoindBackend]) -> Callable[[Any], BitcoindBackend]:
    return lambda script: connect(serve(script, keep_alive=True).url)


def test_listing_in_a_file_is_the_same(
    backend_of: Callable[..., BitcoindBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number // 2, vout=number % 2) for number in range(60)]
    gone = [row(7), row(99, confirmations=-3), row(99, vout=1, confirmations=-3)]
    answers = []
    for in_memory in (1 << 22, 10):
        monkeypatch.setattr(answerfile, "_IN_MEMORY", in_memory)
        changes = backend_of(served(rows, gone)).list_since(None, depth=15)
        answers.append((changes.tip, changes.checkpoint, list(changes.transactions)))
    assert answers[0] == answers[1]
    tip, checkpoint, transactions = answers[0]
    assert (tip, checkpoint) == (TIP, CHECKPOINT)
    # Each once, the outputs of each together, and what left the chain at the end.
    assert [int(each.txid, 16) for each in transactions] == [*range(30), 99]
    assert [len(each.received) for each in transactions] == [2] * 30 + [0]


def test_rows_of_a_transaction_in_two_places_are_refused_as_an_output_would_be_lost(
    backend_of: Callable[..., BitcoindBackend],
) -> None:
    """No daemon answers so; one that does must not cost anybody a deposit."""
    rows = [row(1), row(2), row(1, vout=1)]
    with pytest.raises(BackendError, match=f"has rows of {1:064x} in two places"):
        backend_of(served(rows)).list_since(None, depth=15)
    with pytest.raises(BackendError, match=f"lists two outputs 0 of {1:064x}"):
        backend_of(served([row(1), row(1, address="another")])).list_since(None, depth=15)
    # What left the chain is listed beside, and may be there once more.
    changes = backend_of(served([row(1), row(1, vout=1), row(2)], [row(1), row(1, vout=1)])).list_since(None, depth=15)
    assert [len(each.received) for each in changes.transactions] == [2, 1]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body[:-40], id="cut"),
        pytest.param(lambda body: body + "x", id="more"),
        pytest.param(lambda body: body.replace('"lastblock"', '"first"'), id="no-checkpoint"),
        pytest.param(lambda body: body.replace('"confirmations": 21', '"confirmations": "21"'), id="last-row-is-wrong"),
        pytest.param(lambda body: body.replace('"removed": []', '"removed": [5]'), id="removed-is-wrong"),
        pytest.param(lambda body: body.replace('"transactions"', '"others"'), id="no-transactions"),
        pytest.param(lambda body: body.replace('"transactions": [', '"transactions": [[', 1), id="nested"),
    ],
)
def test_nothing_is_handed_out_before_all_is_checked(
    backend_of: Callable[..., BitcoindBackend], spoil: Callable[[str], str]
) -> None:
    """What is wrong at the end of a long answer counts as at its beginning."""
    rows = [*(row(number) for number in range(50)), row(50, confirmations=21)]
    assert list(backend_of(served(rows)).list_since(None, depth=15).transactions)
    with pytest.raises(BackendError):
        backend_of(served(rows, spoil=spoil)).list_since(None, depth=15)


def test_answer_that_ends_too_early_is_no_answer(serve: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """Not even where what arrived is JSON."""
    script = served([row(1)])

    def cut(request: bytes) -> bytes:
        head, _, body = script(request).partition(b"\r\n\r\n")
        longer = head.replace(str(len(body)).encode(), str(len(body) + 5).encode())
        return bytes(longer + b"\r\n\r\n" + body)

    with pytest.raises(BackendUnavailableError, match="no answer to"):
        connect(serve(cut).url).list_since(None, depth=15)


def peak_of(backend: BitcoindBackend, expected: int) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        count = sum(1 for _ in backend.list_since(None, depth=15).transactions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == expected
    return peak


def test_memory_does_not_grow_with_the_listing(
    serve: Callable[..., Any], connect: Callable[..., BitcoindBackend], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(answerfile, "_IN_MEMORY", 1 << 16)
    monkeypatch.setattr(jsonreader, "_PIECE", 1 << 14)
    peaks = []
    for number in (1000, 8000):
        rows = [row(each) for each in range(number)]
        answer = served(rows)(
            b'\r\n\r\n[{"method": "getblockchaininfo", "id": 0}, {"method": "listsinceblock", "id": 1}]'
        )
        with closing(connect(serve(lambda request, answer=answer: answer).url)) as backend:
            peaks.append(peak_of(backend, number))
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 1 << 20


def test_listing_that_nobody_reads_leaves_no_file_open(
    backend_of: Callable[..., BitcoindBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answerfile, "_IN_MEMORY", 10)
    changes = backend_of(served([row(1)])).list_since(None, depth=15)
    gc.collect()
    (file,) = [each._file for each in gc.get_objects() if type(each) is answerfile.AnswerFile]
    del changes
    gc.collect()
    assert file.closed
