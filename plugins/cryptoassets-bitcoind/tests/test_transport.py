"""What goes wrong on the wire: servers that misbehave as a healthy daemon cannot."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind import transport
from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.rpc import RpcClient, to_wire
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    ConfigurationError,
    OutcomeUnknownError,
)

READ = ("getbestblockhash",)
WRITE = ("getnewaddress", "label")


def http(body: str | bytes, *, status: str = "200 OK", content_type: str = "application/json", cut: int = 0) -> bytes:
    """An HTTP answer; ``cut`` bytes of what it announces are missing."""
    raw = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(raw) + cut}\r\n\r\n"
    return head.encode() + raw


def answer_of(result: object) -> bytes:
    return http(json.dumps({"result": result, "error": None, "id": 1}))


def page(status: str, text: str = "<html>") -> bytes:
    return http(text, status=status, content_type="text/html")


OK = answer_of("fine")
OK_AND_GOODBYE = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
HTML = page("200 OK")

# Errors as a read meets them and as a write does.
REJECTED = (BackendRejectedError, BackendRejectedError)
REFUSED = (BackendAuthenticationError, BackendAuthenticationError)
BUSY = (BackendUnavailableError, BackendUnavailableError)
LOST = (BackendUnavailableError, OutcomeUnknownError)
NONSENSE = (BackendError, OutcomeUnknownError)


@pytest.fixture
def client_of(serve: Callable[..., Any]) -> Any:
    """Make a client of a server that always gives the same answer."""
    clients: list[RpcClient] = []

    def client_of(answer: bytes | None, *, timeout: float = 5, **options: object) -> RpcClient:
        server = serve(lambda request: answer, **options)
        clients.append(RpcClient(Endpoint.parse(server.url), timeout=timeout))
        return clients[-1]

    yield client_of
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        pytest.param(HTML, NONSENSE, id="html"),
        pytest.param(page("404 Not Found"), REJECTED, id="404"),
        pytest.param(page("401 Unauthorized"), REFUSED, id="401"),
        pytest.param(page("403 Forbidden"), REFUSED, id="403"),
        pytest.param(page("500 Internal Server Error", "Work queue depth exceeded"), BUSY, id="work-queue-0.21"),
        pytest.param(page("503 Service Unavailable"), BUSY, id="503"),
        pytest.param(page("500 Internal Server Error"), LOST, id="500"),
        pytest.param(page("504 Gateway Timeout"), LOST, id="504"),
        pytest.param(http('{"result": "fi', cut=20), LOST, id="cut-short"),
        pytest.param(http('{"result": "fi'), NONSENSE, id="half-json"),
        pytest.param(http(b'{"result": "\xff"}'), NONSENSE, id="not-utf8"),
        pytest.param(http("[]"), NONSENSE, id="list"),
        pytest.param(http("5"), NONSENSE, id="number"),
        pytest.param(http("[" * 100_000), NONSENSE, id="deep"),
        pytest.param(http('{"error": null}'), NONSENSE, id="no-result"),
        pytest.param(http('{"error": "a code"}'), NONSENSE, id="error-is-text"),
        pytest.param(http('{"error": {"message": "no code"}}'), NONSENSE, id="error-without-code"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", LOST, id="not-http"),
        pytest.param(b"", LOST, id="hangs-up"),
    ],
)
def test_every_fault_has_a_name_and_the_next_call_works(
    serve: Callable[..., Any], answer: bytes, errors: tuple[type[BackendError], type[BackendError]]
) -> None:
    answers = {"next": answer}
    server = serve(lambda request: answers["next"])
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    for call, expected in zip((READ, WRITE), errors, strict=True):
        answers["next"] = answer
        with pytest.raises(BackendError) as caught:
            client.call(*call)
        assert type(caught.value) is expected
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        assert f"127.0.0.1:{client.endpoint.port}" in str(caught.value)
        answers["next"] = OK_AND_GOODBYE
        assert client.call(*call) == "fine"
    client.close()


def test_charset_of_the_content_type_is_no_fault(client_of: Callable[..., RpcClient]) -> None:
    answer = http('{"result": 1, "error": null, "id": 1}', content_type="application/json; charset=utf-8")
    assert client_of(answer).call(*READ) == 1


def test_rpc_error_in_an_http_error_is_the_daemons_own(client_of: Callable[..., RpcClient]) -> None:
    body = '{"result": null, "error": {"code": -5, "message": "Invalid\\n address"}, "id": 1}'
    with pytest.raises(BackendRejectedError, match=r"refused getbestblockhash: Invalid address \(code -5\)") as caught:
        client_of(http(body, status="500 Internal Server Error")).call(*READ)
    assert caught.value.code == -5


def test_warming_up_is_unavailable(client_of: Callable[..., RpcClient]) -> None:
    body = '{"result": null, "error": {"code": -28, "message": "Loading block index..."}, "id": 1}'
    with pytest.raises(BackendUnavailableError, match="is starting"):
        client_of(http(body, status="500 Internal Server Error")).call(*WRITE)


@pytest.mark.parametrize(("call", "expected"), [(READ, BackendUnavailableError), (WRITE, OutcomeUnknownError)])
def test_silence_ends_with_the_time_limit(
    client_of: Callable[..., RpcClient], call: tuple[str, ...], expected: type[BackendError]
) -> None:
    with pytest.raises(expected, match="time limit reached"):
        client_of(None, timeout=0.2).call(*call)


def test_refused_connection_is_unavailable_for_writes_too(serve: Callable[..., Any]) -> None:
    server = serve(lambda request: OK)
    server.close()
    with pytest.raises(BackendUnavailableError, match="connection refused"):
        RpcClient(Endpoint.parse(server.url), timeout=5).call(*WRITE)


def test_unknown_host_is_unavailable() -> None:
    with pytest.raises(BackendUnavailableError, match="cannot connect"):
        RpcClient(Endpoint.parse("http://u:p@host.invalid:9332/"), timeout=5).call(*WRITE)


def test_lost_read_on_a_kept_connection_is_repeated_once(serve: Callable[..., Any]) -> None:
    replies = iter([OK, b"", OK])
    server = serve(lambda request: next(replies), keep_alive=True)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    assert client.call(*READ) == "fine"
    assert client.call(*READ) == "fine"
    assert len(server.requests) == 3
    client.close()


def test_lost_write_on_a_kept_connection_is_never_repeated(serve: Callable[..., Any]) -> None:
    replies = iter([OK, b"", OK])
    server = serve(lambda request: next(replies), keep_alive=True)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    client.call(*WRITE)
    with pytest.raises(OutcomeUnknownError):
        client.call(*WRITE)
    assert len(server.requests) == 2
    client.close()


def test_write_does_not_use_a_connection_that_the_server_closed(serve: Callable[..., Any]) -> None:
    server = serve(lambda request: OK)  # announces a connection that is kept, and closes it
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    for _ in range(20):
        assert client.call(*WRITE) == "fine"
        wait_for_goodbye(client)
    client.close()


def wait_for_goodbye(client: RpcClient) -> None:
    connection = client._local.connection
    for _ in range(1000):
        if not connection.usable:
            return
        threading.Event().wait(0.005)
    pytest.fail("the server did not hang up")


def test_idle_connection_is_replaced_before_the_daemon_closes_it(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda request: OK, keep_alive=True)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    client.call(*WRITE)
    first = client._local.connection
    client.call(*WRITE)
    assert client._local.connection is first
    monkeypatch.setattr(transport, "IDLE_SECONDS", -1.0)
    client.call(*WRITE)
    assert client._local.connection is not first
    client.close()


def test_interrupted_call_does_not_leave_its_answer_to_the_next_one(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter([answer_of("old"), answer_of("new")])
    server = serve(lambda request: next(replies))
    client = RpcClient(Endpoint.parse(server.url), timeout=5)

    def interrupt(connection: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(transport.Connection, "getresponse", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.call(*WRITE)
    assert client.call(*READ) == "new"
    client.close()


# --- Batches ----------------------------------------------------------------------------------------------------


def echo_batch(request: bytes) -> bytes:
    calls = json.loads(request.partition(b"\r\n\r\n")[2])
    return http(json.dumps([{"id": call["id"], "result": call["params"], "error": None} for call in reversed(calls)]))


def test_batch_goes_out_in_chunks_and_comes_back_in_order(serve: Callable[..., Any]) -> None:
    server = serve(echo_batch, keep_alive=True)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    assert client.batch([("help", [number]) for number in range(250)]) == [[number] for number in range(250)]
    assert [len(json.loads(request.partition(b"\r\n\r\n")[2])) for request in server.requests] == [100, 100, 50]
    client.close()


def test_empty_batch_asks_nothing() -> None:
    assert RpcClient(Endpoint.parse("http://u:p@host.invalid/"), timeout=5).batch([]) == []


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([{"id": 0, "result": 1}], id="one-missing"),
        pytest.param([{"id": 0, "result": 1}, {"id": 0, "result": 1}], id="one-twice"),
        pytest.param([{"id": 0, "result": 1}, {"id": 1}], id="no-result"),
        pytest.param([{"id": 0, "result": 1}, {"id": 1, "error": "text"}], id="error-is-text"),
        pytest.param([{"id": 0, "result": 1}, 5], id="number"),
        pytest.param([{"id": 0, "result": 1}, {"id": [], "result": 1}], id="id-is-list"),
        pytest.param({"result": []}, id="object"),
    ],
)
def test_incomplete_batch_is_refused_as_a_whole(client_of: Callable[..., RpcClient], replies: object) -> None:
    with pytest.raises(BackendError, match="does not speak JSON-RPC"):
        client_of(http(json.dumps(replies))).batch([("help", []), ("help", [])])


def test_batch_that_is_refused_as_a_whole_names_the_refusal(client_of: Callable[..., RpcClient]) -> None:
    with pytest.raises(BackendRejectedError, match="code -32600"):
        client_of(http('{"result": null, "error": {"code": -32600, "message": "no"}, "id": null}')).batch(
            [("help", [])]
        )


# --- What is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["0.00000001", "1234567890.12345678", "1E-8", "0.1", "21000000"])
def test_amounts_travel_as_exact_strings(serve: Callable[..., Any], amount: str) -> None:
    server = serve(lambda request: OK)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    client.call("createrawtransaction", [], {"address": Decimal(amount)})
    sent = json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["params"][1]["address"]
    assert isinstance(sent, str)
    assert Decimal(sent) == Decimal(amount)
    assert re.fullmatch(r"[0-9.]+", sent)
    client.close()


def test_float_is_never_sent() -> None:
    with pytest.raises(TypeError, match="float"):
        to_wire([{"address": 0.1}])


def test_fractions_come_back_exact(client_of: Callable[..., RpcClient]) -> None:
    body = '{"result": [1234567890.12345678, 0.10000000, 5], "error": null, "id": 1}'
    answer = client_of(http(body)).call(*READ)
    assert answer == [Decimal("1234567890.12345678"), Decimal("0.1"), 5]
    assert isinstance(answer, list)
    assert [type(value) for value in answer] == [Decimal, Decimal, int]


def test_four_threads_do_not_mix_up_answers(serve: Callable[..., Any]) -> None:
    def echo(request: bytes) -> bytes:
        return answer_of(json.loads(request.partition(b"\r\n\r\n")[2])["params"][0])

    client = RpcClient(Endpoint.parse(serve(echo).url), timeout=5)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: client.call("help", number), range(200))) == list(range(200))
    client.close()


# --- Credentials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        ("p%40ss%2Fw%3Ard%25", "p@ss/w:rd%"),
        ("raw@and/and:and?and#", "raw@and/and:and?and#"),
        ("100%", "100%"),
        ("p%C3%A4ss", "päss"),
        ("", ""),
    ],
)
def test_password_arrives_as_it_is_meant(serve: Callable[..., Any], written: str, meant: str) -> None:
    server = serve(lambda request: OK)
    port = re.search(r":(\d+)/$", server.url)
    assert port
    client = RpcClient(Endpoint.parse(f"http://user:{written}@127.0.0.1:{port[1]}/wallet/x"), timeout=5)
    client.call(*READ)
    headers = re.findall(rb"Authorization: Basic (\S*)\r\n", server.requests[0])
    assert [base64.b64decode(header).decode() for header in headers] == [f"user:{meant}"]
    assert server.requests[0].startswith(b"POST /wallet/x HTTP/1.1\r\n")
    client.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9332/",
        "http://s3cret@127.0.0.1:9332/",
        "http://u:s3cret@127.0.0.1:s3cret/",
        "http://u:s3cret@127.0.0.1:99999/",
        "http://u:s3cret@",
        "http://u:s3cret@[::1/",
        "u:s3cret@127.0.0.1:9332",
        "ftp://u:s3cret@127.0.0.1/",
        "",
    ],
)
def test_bad_url_is_explained_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://user:password@") as caught:
        Endpoint.parse(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_password_is_in_no_repr_and_no_log(serve: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    server = serve(lambda request: HTML)
    client = RpcClient(Endpoint.parse(server.url), timeout=5)
    with caplog.at_level(logging.DEBUG), pytest.raises(BackendError):
        client.call(*READ)
    shown = f"{client.endpoint!r} {client.endpoint} {client!r} {client.endpoint.url_without_credentials} {caplog.text}"
    assert "s3cret" not in shown
    assert client.endpoint.authorization.removeprefix("Basic ") not in shown
