"""How the tests compare the books with a backend, and how they disturb either."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from chain_world import Books, Observed

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.reconciliation import Cause, Reconciliation


def look(books: Books, backend: Any = None) -> Reconciliation:
    with books.app.open_readonly_session() as session:
        return reconcile(session, books.coin, backend or books.backend)


def named(found: Reconciliation) -> list[tuple[Cause, Txid, Decimal]]:
    return [(each.cause, each.txid, each.amount) for each in found.differences]


def assert_explained(found: Reconciliation, *expected: tuple[Cause, str, str]) -> None:
    """See that exactly these differences are named, and that they explain everything."""
    assert sorted(named(found)) == sorted((cause, Txid(txid), Decimal(amount)) for cause, txid, amount in expected)
    assert found.difference == sum(Decimal(amount) for *_, amount in expected)
    assert (found.unexplained, found.balanced, found.moved) == (Decimal(0), False, False)


def pay_by_hand(backend: Any, address: str, amount: str) -> Txid:
    """Spend from the wallet past the books."""
    prepared = backend.prepare({address: Decimal(amount)})
    backend.submit(prepared)
    return Txid(prepared.txid)


def broadcast_txid(world: Books) -> str:
    return str(world.network_rows("broadcast")[-1].txid)


def fails(method: str, error: Exception, *, before: bool = False) -> Callable[[Any], Any]:
    """Make a backend whose method fails, before it did its work or after."""

    def fail(name: str, answer: Any = None) -> Any:
        if name == method:
            raise error
        return answer

    return lambda backend: Observed(backend, before=fail) if before else Observed(backend, after=fail)
