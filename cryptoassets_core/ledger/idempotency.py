"""Idempotency keys: a call that is repeated with its key moves nothing again.

A caller that lost the answer can simply ask again. The key belongs to the wallet; a unique constraint stands behind it,
and a race for one key ends as a conflict that the conflict resolver replays, whereupon the row is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cryptoassets_core.errors import IdempotencyConflictError
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.names import check_name


def earlier_transaction(
    session: Session, books: Books, *, wallet_id: int, key: str | None, **arguments: object
) -> Any | None:
    """Return the transaction that was made with the key, None if there is none or no key.

    :param arguments: what the call would write, by column.
    :raises IdempotencyConflictError: the key was used with other arguments.
    """
    if key is None:
        return None
    check_name(key, "an idempotency key")
    model = books.models["transaction"]
    earlier = session.scalar(select(model).where(model.wallet_id == wallet_id, model.idempotency_key == key))
    if earlier is not None:
        check_same(key, {name: (getattr(earlier, name), value) for name, value in arguments.items()})
    return earlier


def check_same(key: str, values: Mapping[str, tuple[object, object]]) -> None:
    """See that a key is used again for the same.

    :param values: what was given before and what is given now, by column.
    :raises IdempotencyConflictError: something differs.
    """
    for name, (before, now) in values.items():
        if before != now:
            raise IdempotencyConflictError(
                f"the idempotency key {key!r} was used before with another {name} ({before}, now {now}); "
                "use a new key for a new movement"
            )
