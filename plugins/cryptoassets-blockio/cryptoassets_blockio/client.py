"""Calls to the service: a whitelist of methods, a time limit on every call, and one tree of errors.

A call posts what the official client posts. What that one lacks is here: it waits for ever, follows redirects with the
key, takes HTTP 200 with an error inside for success, and raises whatever its parts raise. No error and no log line of
ours names an address, because the key is part of it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from cryptoassets_blockio import answers
from cryptoassets_blockio.official import USER_AGENT, call_url
from cryptoassets_blockio.redaction import hide_keys
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    OutcomeUnknownError,
)

logger = logging.getLogger(__name__)

#: What may be called, and whether a call that went astray may simply be repeated.
METHODS: Final[Mapping[str, bool]] = {
    "archive_addresses": True,
    "create_notification": False,
    "delete_notification": True,
    "enable_notification": True,
    "get_address_by_label": True,
    "get_balance": True,
    "get_my_addresses": True,
    "get_new_address": False,
    "get_raw_transaction": True,
    "get_transactions": True,
    "is_valid_address": True,
    "list_notifications": True,
    "prepare_transaction": True,
    "submit_transaction": False,
}

#: Calls for which the service does more than to look something up.
SLOW: Final = frozenset({"prepare_transaction", "submit_transaction"})
SLOW_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 10.0

#: Pauses before a harmless call that failed is repeated; after the last one its caller is told.
RETRY_PAUSES: Final = (0.25, 1.0)

#: Far more than a page of transactions has.
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024

_THROTTLED: Final = frozenset({419, 420, 429})


class ServiceRefusal(BackendRejectedError):
    """The service's definite no.

    :ivar data: what it said beside its message.
    """

    def __init__(self, message: str, *, data: Mapping[str, object], code: int | None = None) -> None:
        super().__init__(message, code=code)
        self.data = data


class _Trouble(Exception):
    """A call without a proper answer. Its text is for people and names no address.

    :ivar not_sent: the service never saw the call.
    """

    def __init__(self, text: str, *, not_sent: bool = False) -> None:
        super().__init__(text)
        self.not_sent = not_sent


class BlockIoClient:
    """The account of one API key; safe to use from several threads.

    :ivar stats: counts of ``calls``, of ``retries`` and of each method.
    """

    def __init__(self, api_key: str, *, base: str, timeout: float) -> None:
        """
        :param base: scheme and host of the service.
        :param timeout: seconds for the whole of an ordinary call.
        """
        hide_keys()
        self._api_key = api_key
        self._base = base
        self._timeout = timeout
        self._closing = threading.Event()
        self.stats: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<BlockIoClient of {self._base}>"

    def call(self, method: str, **parameters: object) -> answers.Row:
        """Call a method and return the ``data`` of its answer, fractions as Decimal.

        :param parameters: as the service wants them; lists are text with commas.
        :raises BackendUnavailableError: nothing happened, or nothing that matters.
        :raises BackendAuthenticationError: the key is refused, or this machine is.
        :raises ServiceRefusal: the service's definite no.
        :raises OutcomeUnknownError: the method changes something, and its answer was lost.
        """
        data = self.call_for(method, **parameters)
        return answers.mapping(data, method)

    def call_for(self, method: str, **parameters: object) -> object:
        """Call a method whose ``data`` may be other than an object; see :py:meth:`call`."""
        harmless = METHODS[method]
        pauses = iter(RETRY_PAUSES if harmless else ())
        while True:
            self.stats["calls"] += 1
            self.stats[method] += 1
            try:
                return self._exchange(method, parameters)
            except _Trouble as trouble:
                pause = next(pauses, None)
                if pause is None:
                    raise self._named(method, trouble, harmless=harmless) from None
                logger.info("block.io %s: %s; asking again", method, trouble)
            self.stats["retries"] += 1
            if self._closing.wait(pause):
                raise BackendUnavailableError(f"block.io {method} was not asked again: the backend is closed")

    def close(self) -> None:
        """Repeat nothing any more."""
        self._closing.set()

    def _named(self, method: str, trouble: _Trouble, *, harmless: bool) -> BackendError:
        if harmless or trouble.not_sent:
            return BackendUnavailableError(f"block.io does not answer {method} now: {trouble}")
        return OutcomeUnknownError(f"block.io did not answer {method}, which may have been carried out: {trouble}")

    def _exchange(self, method: str, parameters: Mapping[str, object]) -> object:
        status, body = self._post(method, parameters)
        try:
            answer = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise _Trouble(f"what came is not JSON, with HTTP status {status}{_hint(status)}") from None
        if not isinstance(answer, dict) or answer.get("status") not in ("success", "fail"):
            raise _Trouble(f"what came is no answer of its API, with HTTP status {status}{_hint(status)}")
        if answer["status"] == "fail":
            raise self._refusal(method, answer.get("data"), status)
        if not 200 <= status <= 299:
            raise _Trouble(f"HTTP status {status}{_hint(status)}")
        return answer.get("data")

    def _refusal(self, method: str, data: object, status: int) -> Exception:
        message = data.get("error_message") if isinstance(data, dict) else None
        if status in _THROTTLED or status >= 500 or not isinstance(data, dict) or not isinstance(message, str):
            return _Trouble(f"it failed with HTTP status {status}{_hint(status)}")
        words = self._without_key(" ".join(message.split()))[:400]
        # Of its texts only this one is branched on, and only together with the field that goes with it.
        if status in (401, 403) or "connecting_ip" in data or message.startswith("API Key invalid"):
            return BackendAuthenticationError(f"block.io refuses the API key, or calls from this machine: {words}")
        return ServiceRefusal(f"block.io refused {method}: {words}", data=data, code=status)

    def _without_key(self, words: str) -> str:
        return words.replace(self._api_key, "***")

    def _post(self, method: str, parameters: Mapping[str, object]) -> tuple[int, bytes]:
        limit = self._timeout if method not in SLOW else max(self._timeout, SLOW_SECONDS)
        until = time.monotonic() + limit
        # No session outlives a call: after an idle connection was closed nobody could tell whether a call arrived.
        with requests.Session() as session:
            try:
                response = session.post(
                    call_url(self._base, method, self._api_key),
                    json={"api_key": self._api_key, **parameters},
                    headers={"Accept": "application/json", "User-Agent": USER_AGENT},
                    timeout=(min(CONNECT_SECONDS, limit), limit),
                    # A redirect would carry the key to somebody else, and make the call another one.
                    allow_redirects=False,
                    stream=True,
                )
                return response.status_code, _read(response, until)
            except requests.RequestException as error:
                raise _Trouble(_reason(error), not_sent=_was_not_sent(error)) from None
            except (TransportError, OSError) as error:
                raise _Trouble(_reason(error)) from None


def _read(response: requests.Response, until: float) -> bytes:
    """Read an answer within the time limit: that of the transport begins anew with every byte."""
    body = bytearray()
    while chunk := response.raw.read1(64 * 1024, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise _Trouble(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > until:
            raise _Trouble("the answer took too long")
    return bytes(body)


def _reason(error: Exception) -> str:
    """Say what happened without the address, which every such error quotes."""
    if isinstance(error, requests.ConnectTimeout):
        return "it cannot be reached in time"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the encrypted connection failed; see that the machine's certificates and clock are right"
    if _was_not_sent(error):
        return "it cannot be reached"
    return f"the connection broke ({type(error).__name__})"


def _was_not_sent(error: Exception) -> bool:
    """Tell whether no connection came about."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | NameResolutionError)


def _hint(status: int) -> str:
    return ", too many calls" if status in _THROTTLED else ""


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
