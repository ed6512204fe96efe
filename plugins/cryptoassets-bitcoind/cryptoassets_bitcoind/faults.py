"""What a failed call means for the caller: nothing happened, a definite no, or nobody knows."""

from __future__ import annotations

import http.client

from bitcoinrpc.authproxy import JSONRPCException

from cryptoassets_bitcoind.endpoint import Endpoint
from cryptoassets_bitcoind.transport import NotJsonError
from cryptoassets_core.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    OutcomeUnknownError,
)

#: Error codes of the daemon; see ``rpc/protocol.h`` of Bitcoin Core.
WALLET_ERROR = -4
NOT_FOUND = -5
INSUFFICIENT_FUNDS = -6
INVALID_PARAMETER = -8
WALLET_LOCKED = -13
WALLET_NOT_FOUND = -18
WALLET_NOT_SPECIFIED = -19
VERIFY_ERROR = -25
VERIFY_REJECTED = -26
ALREADY_IN_CHAIN = -27
WARMING_UP = -28
METHOD_NOT_FOUND = -32601

#: python-bitcoinrpc's own codes, for answers that are no JSON-RPC answers.
_LIBRARY_CODES = frozenset({-342, -343})

_REMEDIES = {
    WALLET_LOCKED: "unlock it with walletpassphrase",
    WALLET_NOT_FOUND: "create it with createwallet or load it with loadwallet",
    WALLET_NOT_SPECIFIED: "name the wallet in the backend's url: http://user:password@host:port/wallet/name",
}


class MalformedAnswerError(Exception):
    """JSON that is not a JSON-RPC answer."""


def is_answer(error: JSONRPCException) -> bool:
    """Tell the daemon's own errors, after which the connection is in order, from the library's."""
    return isinstance(error.code, int) and error.code not in _LIBRARY_CODES


def refusal(code: int, message: object, *, what: str, endpoint: Endpoint) -> BackendError:
    """Name the error that the daemon answered with."""
    text = _one_line(message)
    if code == WARMING_UP:
        return BackendUnavailableError(f"the daemon at {endpoint} is starting ({text}); it will be asked again")
    remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
    return BackendRejectedError(f"the daemon at {endpoint} refused {what}: {text} (code {code}){remedy}", code=code)


def cannot_connect(error: OSError, *, endpoint: Endpoint) -> BackendError:
    """Nothing was sent: the daemon is down, or the address is wrong."""
    return BackendUnavailableError(
        f"cannot connect to the daemon at {endpoint} ({_cause(error)}); start it, or correct the backend's url"
    )


def broken(error: Exception, *, what: str, harmless: bool, endpoint: Endpoint) -> BackendError:
    """Name a failure after the call was sent, or while it was.

    :param harmless: the call changes nothing, so that an unknown outcome is no concern.
    """
    if isinstance(error, NotJsonError):
        named = _not_json(error, what=what, endpoint=endpoint)
        if named is not None:
            return named
    if not harmless:
        return OutcomeUnknownError(
            f"no usable answer to {what} from the daemon at {endpoint} ({_cause(error)}); it may have been carried out"
        )
    if isinstance(error, OSError | http.client.HTTPException) or _is_gateway_error(error):
        return BackendUnavailableError(f"no answer to {what} from the daemon at {endpoint} ({_cause(error)})")
    return BackendError(
        f"what answers {what} at {endpoint} does not speak JSON-RPC ({_cause(error)}); "
        "check host, port and path of the backend's url"
    )


def _not_json(error: NotJsonError, *, what: str, endpoint: Endpoint) -> BackendError | None:
    """Name the answers without JSON that prove that the call was not carried out."""
    if error.status == 401:
        return BackendAuthenticationError(
            f"the daemon at {endpoint} refused our credentials; compare the url with its rpcuser and rpcpassword"
        )
    if error.status == 403:
        return BackendAuthenticationError(
            f"the daemon at {endpoint} forbids us {what}; see its settings rpcallowip and rpcwhitelist"
        )
    if error.status == 503 or error.work_queue_full:
        return BackendUnavailableError(f"the daemon at {endpoint} is too busy for {what}; it will be asked again")
    if 400 <= error.status < 500:
        return BackendRejectedError(
            f"{endpoint} answered {what} with HTTP status {error.status}; check host, port and path of the url"
        )
    return None


def _is_gateway_error(error: Exception) -> bool:
    return isinstance(error, NotJsonError) and error.status >= 500


def _cause(error: Exception) -> str:
    """Say what went wrong in a few words of our own: texts of others may quote what was sent."""
    if isinstance(error, TimeoutError):
        return "time limit reached"
    if isinstance(error, NotJsonError | MalformedAnswerError):
        return str(error)
    if isinstance(error, ConnectionError):
        return "connection refused" if isinstance(error, ConnectionRefusedError) else "connection lost"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, http.client.HTTPException):
        return "broken HTTP answer"
    return "malformed JSON" if isinstance(error, ValueError) else "malformed answer"


def _one_line(message: object, *, limit: int = 300) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= limit else f"{text[:limit]}…"
