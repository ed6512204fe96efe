"""What a backend answers is looked at before anything of it is stored: a plugin can be wrong like everybody else."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from cryptoassets_core.amounts import max_minor_units, to_minor_units
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, SentTransaction, Txid
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import BackendError, InvalidAmountError
from cryptoassets_core.names import is_txid

logger = logging.getLogger(__name__)

_RAW: Final = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever else a backend raises into a BackendError: its outcome is not known.

    :param what: the method that is called.
    :raises BackendError: in place of any other exception.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        logger.exception("the backend raised an unexpected error in %s", what)
        raise BackendError(
            f"the backend failed in {what} with {type(error).__name__}; the log has the details"
        ) from error


def checked_prepared(answer: Any, coin: Coin) -> PreparedTransaction:
    """Return a prepared transaction that can be stored and published.

    :raises BackendError: it is none.
    """
    if not isinstance(answer, PreparedTransaction):
        raise _nonsense("prepare", f"a {type(answer).__name__} in place of a transaction")
    if answer.txid is not None and not is_txid(answer.txid):
        raise _nonsense("prepare", "something that is no txid")
    if not _is_raw(answer.raw):
        raise _nonsense("prepare", "a transaction without its bytes")
    if not _are_outpoints(answer.inputs):
        raise _nonsense("prepare", "a transaction without inputs")
    if not is_fee(answer.fee, coin):
        raise _nonsense("prepare", "an impossible fee")
    return answer


def checked_submitted(answer: Any) -> Txid:
    """Return the txid of a submitted transaction.

    :raises BackendError: it is none.
    """
    if not is_txid(answer):
        raise _nonsense("submit", "something that is no txid")
    return Txid(answer)


def checked_sent(answer: Any, coin: Coin) -> SentTransaction:
    """Return a sent transaction that can be stored.

    :raises BackendError: it is none.
    """
    if not isinstance(answer, SentTransaction):
        raise _nonsense("send", f"a {type(answer).__name__} in place of a transaction")
    if not is_txid(answer.txid):
        raise _nonsense("send", "something that is no txid")
    if answer.fee is not None and not is_fee(answer.fee, coin):
        raise _nonsense("send", f"the txid {answer.txid} and an impossible fee")
    return answer


def _is_raw(value: object) -> bool:
    return isinstance(value, str) and _RAW.fullmatch(value) is not None


def is_fee(fee: object, coin: Coin) -> bool:
    """Tell whether it is what a network transaction can cost."""
    if not isinstance(fee, Decimal):
        return False
    try:
        return 0 <= to_minor_units(fee, coin.description.decimals) <= max_minor_units(coin.description.decimals)
    except InvalidAmountError:
        return False


def _are_outpoints(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(_is_outpoint(each) for each in value)


def _is_outpoint(value: object) -> bool:
    return isinstance(value, Outpoint) and is_txid(value.txid) and type(value.vout) is int and value.vout >= 0


def _nonsense(method: str, what: str) -> BackendError:
    return BackendError(f"the backend answered {method} with {what}; nothing of it is used, look at the backend's log")
