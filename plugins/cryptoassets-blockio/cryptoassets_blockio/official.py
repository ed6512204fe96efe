"""The official client ``block-io``, imported and made to sign in the one way that is safe.

It asks for its own version through ``pkg_resources``, which today's installations lack and which warns where they have
it. It signs in a library whose network is a variable of the whole process, and keeps keys in itself. All of that is met
here and nowhere else; of the client only signing and the way in which it writes a request are used.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Mapping
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from cryptoassets_core.errors import BackendAuthenticationError, BackendError, BackendRejectedError

_PKG_RESOURCES: Final = "pkg_resources"

#: One signature at a time in this process: the network that it signs for is a global variable of the client's library.
_SIGNING: Final = threading.Lock()


def _import_client() -> Any:
    stand_in = ModuleType(_PKG_RESOURCES)
    vars(stand_in)["get_distribution"] = lambda name: SimpleNamespace(version=version(name))
    there = sys.modules.get(_PKG_RESOURCES)
    sys.modules[_PKG_RESOURCES] = stand_in
    try:
        return importlib.import_module("block_io")
    finally:
        if there is None:
            del sys.modules[_PKG_RESOURCES]
        else:
            sys.modules[_PKG_RESOURCES] = there


#: The client's module.
_block_io: Final = _import_client()

#: Rounds of key derivation that are believed; the service asks for 102,400, and more only keeps us busy.
_MOST_ROUNDS: Final = 2_000_000

#: What a request says about its sender.
USER_AGENT: Final = f"python:block_io:{_block_io.VERSION}"


def call_url(base: str, method: str, api_key: str) -> str:
    """Return where the client posts a call; it holds the key, so it must never be logged.

    :param base: scheme and host of the service.
    """
    client = _block_io.BlockIo(api_key, None)
    path: str = client.base_url.removeprefix("https://block.io")
    return base.rstrip("/") + path.replace("API_CALL", method, 1)


def sign(prepared: Mapping[str, Any], pin: str) -> dict[str, Any]:
    """Sign what the service prepared, with the key that the PIN unlocks; the result is always the same bytes.

    :param prepared: the ``data`` of ``prepare_transaction``, amounts as text; checked by the caller.
    :raises BackendAuthenticationError: the PIN is wrong.
    :raises BackendError: it cannot be signed.
    """
    secret = _unlock(prepared["user_key"], pin)
    client = _block_io.BlockIo("", None)
    try:
        with _SIGNING:
            payload: dict[str, Any] = client.create_and_sign_transaction({"data": dict(prepared)}, [secret])
    except Exception as error:
        # Its errors are of every type, and may quote what they were given.
        raise BackendRejectedError(
            f"the client cannot sign what block.io prepared ({type(error).__name__}); nothing was sent"
        ) from None
    finally:
        # After an error the client keeps the keys.
        client.private_keys.clear()
    if payload.get("signatures") is None:
        raise BackendError("the client made a whole transaction where only our signatures belong; nothing was sent")
    return payload


def check_pin(user_key: Mapping[str, Any], pin: str) -> None:
    """See that the PIN unlocks the user's key.

    :raises BackendAuthenticationError: it does not.
    """
    _unlock(user_key, pin)


def _unlock(user_key: Mapping[str, Any], pin: str) -> str:
    """Return the user's private key, hexadecimal."""
    algorithm = user_key.get("algorithm", {"pbkdf2_iterations": 0})
    rounds = algorithm.get("pbkdf2_iterations") if isinstance(algorithm, dict) else None
    if not isinstance(rounds, int) or not 0 <= rounds <= _MOST_ROUNDS:
        raise BackendError("block.io's answer makes no sense: the user's key is locked in an impossible way")
    try:
        key = _block_io.BlockIo.Helper.dynamicExtractKey(dict(user_key), pin)
        public, private = key.pubkey_hex().decode(), key.privkey_hex().decode()
    except Exception:
        # A wrong PIN shows as wrong padding, as a failed seal, or as text that is not hexadecimal.
        raise _wrong_pin() from None
    if public != user_key["public_key"]:
        raise _wrong_pin()
    return str(private)


def _wrong_pin() -> BackendAuthenticationError:
    return BackendAuthenticationError("the PIN does not unlock the account's key; correct the option pin")


def lock_key(passphrase: str, pin: str) -> str:
    """Lock a key as the service stores it in the oldest of its ways; for the stand-in of tests."""
    helper = _block_io.BlockIo.Helper
    return str(helper.encrypt(passphrase, helper.pinToAesKey(pin))["aes_cipher_text"].decode())
