"""Calls to a daemon over python-bitcoinrpc, with its faults kept away from the caller.

The library's proxy is not thread safe, is dead for ever after any transport error, has one time limit for all calls,
sends amounts as floats, and loses the answers of a batch when one item fails. Here every thread has a connection of its
own, which is dropped after anything but a proper answer; every call has its time limit; amounts travel as strings.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TypeVar

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

from cryptoassets_bitcoind.answerfile import AnswerFile
from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.faults import MalformedAnswerError, broken, cannot_connect, is_answer, refusal
from cryptoassets_bitcoind.methods import READ_ONLY, SLOW, SLOW_SECONDS
from cryptoassets_bitcoind.transport import Connection
from cryptoassets_core.amounts import format_amount
from cryptoassets_core.errors import BackendError, BackendRejectedError

#: Calls in one HTTP request: an answer stays below a few MB, and the daemon's work queue sees a single item.
BATCH_SIZE = 100

Call = tuple[str, Sequence[object]]
_T = TypeVar("_T")


def read_json(file: AnswerFile) -> object:
    """Read a whole document; fractions are Decimal."""
    return json.load(file, parse_float=Decimal)


class RpcClient:
    """The daemon behind one URL, for any number of threads."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        self.endpoint = endpoint
        self._timeout = timeout
        self._local = threading.local()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._connections_lock = threading.Lock()

    def call(self, method: str, *params: object) -> object:
        """Call one method; amounts in ``params`` are Decimal, fractions in the answer are too.

        :raises BackendUnavailableError: nothing happened.
        :raises BackendRejectedError: the daemon's definite no, with its error code.
        :raises OutcomeUnknownError: the method changes something, and the answer was lost.
        :raises BackendError: what answers is not a daemon.
        """
        arguments = [to_wire(value) for value in params]

        def send(connection: Connection, limit: float) -> object:
            url = self.endpoint.url_without_credentials
            proxy = AuthServiceProxy(url, service_name=method, timeout=limit, connection=connection)
            answer: object = proxy(*arguments)
            return answer

        return self._exchange(method, (method,), send)

    def batch(
        self, calls: Sequence[Call], *, read: Callable[[AnswerFile], object] = read_json
    ) -> list[object | BackendRejectedError]:
        """Make many calls in few requests; an item that was refused is its error, and harms no other.

        :param read: makes the replies of one request of the file that has them, as JSON tells them.
        :raises BackendError: as :py:meth:`call`, when a request failed as a whole.
        """
        answers: list[object | BackendRejectedError] = []
        for start in range(0, len(calls), BATCH_SIZE):
            chunk = calls[start : start + BATCH_SIZE]
            methods = tuple(dict.fromkeys(method for method, _ in chunk))
            what = f"{len(chunk)} calls of {', '.join(methods)}"
            replies = self._exchange(what, methods, partial(_post, chunk, path=self.endpoint.path, read=read))
            answers.extend(self._batch_answers(chunk, replies))
        return answers

    def close(self) -> None:
        """Hang up in every thread."""
        with self._connections_lock:
            for connection in list(self._connections):
                connection.close()

    def _batch_answers(self, chunk: Sequence[Call], replies: Sequence[Mapping[str, object]]) -> Iterator[object]:
        for (method, _), reply in zip(chunk, replies, strict=True):
            error = reply.get("error")
            if error is None:
                yield reply.get("result")
                continue
            code, message = _code_and_message(error)
            named = refusal(code, message, what=method, endpoint=self.endpoint)
            if not isinstance(named, BackendRejectedError):
                raise named
            yield named

    def _exchange(self, what: str, methods: Sequence[str], send: Callable[[Connection, float], _T]) -> _T:
        harmless = READ_ONLY.issuperset(methods)
        limit = self._timeout if SLOW.isdisjoint(methods) else max(self._timeout, SLOW_SECONDS)
        while True:
            connection = self._connection()
            connection.sock.settimeout(limit)
            reused, answered = connection.reused, False
            try:
                result = send(connection, limit)
                answered = True
                return result
            except JSONRPCException as error:
                answered = is_answer(error)
                if answered:
                    raise refusal(error.code, error.message, what=what, endpoint=self.endpoint) from None
                raise self._broken(MalformedAnswerError("no JSON-RPC answer"), what, harmless) from None
            except BackendError:
                raise
            except ConnectionError as error:
                # Most likely the daemon was restarted since the last call. A second try has a new connection.
                if not (reused and harmless):
                    raise self._broken(error, what, harmless) from None
            except (
                Exception
            ) as error:  # The library lets out whatever its parts raise, KeyError and TypeError included.
                raise self._broken(error, what, harmless) from None
            finally:
                if answered:
                    connection.mark_used()
                else:
                    self._drop(connection)

    def _broken(self, error: Exception, what: str, harmless: bool) -> BackendError:
        return broken(error, what=what, harmless=harmless, endpoint=self.endpoint)

    def _connection(self) -> Connection:
        """Return this thread's connection; a new one where the old one might fail a call that must not be repeated."""
        existing: Connection | None = getattr(self._local, "connection", None)
        if existing is not None:
            if existing.usable:
                return existing
            self._drop(existing)
        connection = Connection(self.endpoint, timeout=self._timeout)
        try:
            connection.open()
        except OSError as error:
            raise cannot_connect(error, endpoint=self.endpoint) from None
        self._local.connection = connection
        with self._connections_lock:
            self._connections.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._local.connection = None
        with self._connections_lock:
            self._connections.discard(connection)
        connection.close()


def to_wire(value: object) -> object:
    """Write amounts as strings, which daemons take exactly; JSON numbers would go through float.

    :raises TypeError: for a float.
    """
    if isinstance(value, Decimal):
        return format_amount(value)
    if isinstance(value, float):
        raise TypeError("a float must not be sent to a daemon; amounts are Decimal")
    if isinstance(value, Mapping):
        return {key: to_wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(item) for item in value]
    return value


def _post(
    chunk: Sequence[Call], connection: Connection, limit: float, *, path: str, read: Callable[[AnswerFile], object]
) -> list[Mapping[str, object]]:
    """Send one batch and return the replies in the order of the calls."""
    # No "jsonrpc": "2.0": newer daemons then leave out the key "error" and use other HTTP statuses.
    body = json.dumps(
        [
            {"id": number, "method": method, "params": [to_wire(value) for value in params]}
            for number, (method, params) in enumerate(chunk)
        ]
    )
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    connection.sock.settimeout(limit)
    file = AnswerFile()
    connection.receive(file)
    file.seek(0)
    replies = read(file)
    if isinstance(replies, dict) and replies.get("error") is not None:
        raise JSONRPCException(replies["error"])
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise MalformedAnswerError("no JSON-RPC batch answer")
    by_number = {reply.get("id"): reply for reply in replies}
    if len(replies) != len(chunk) or by_number.keys() != set(range(len(chunk))):
        raise MalformedAnswerError("answers of a batch are missing")
    ordered = [by_number[number] for number in range(len(chunk))]
    for reply in ordered:
        if reply.get("error") is not None:
            _code_and_message(reply["error"])
        elif "result" not in reply:
            raise MalformedAnswerError("no result in an answer")
    return ordered


def _code_and_message(error: object) -> tuple[int, object]:
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        raise MalformedAnswerError("an error without a code")
    return error["code"], error.get("message")
