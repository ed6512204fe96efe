"""A withdrawal is called back while it is signed: it is paid or refunded, never both."""

from __future__ import annotations

from typing import Any

import pytest
from chain_world import Observed, World, outside
from sqlalchemy import event

from cryptoassets_core.errors import LedgerError
from cryptoassets_core.tools.teller import Teller


def cancel(world: World, withdrawal: int) -> int:
    return Teller(world.coin, world.app.conflict_resolver).cancel_withdrawal(
        world.row(withdrawal).wallet_id, withdrawal
    )


def test_withdrawal_cancelled_while_it_is_signed_is_never_paid(world: World) -> None:
    alice = world.funded("5", coins=2)
    first, second = world.withdraw(outside(1), "1"), world.withdraw(outside(2), "1")

    def meanwhile(name: str, answer: Any) -> Any:
        if name == "prepare" and world.row(first).state == "pending":
            cancel(world, first)
        return answer

    assert world.broadcast(backend=Observed(world.backend, after=meanwhile)).count == 1
    world.broadcast()
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([], [1])
    assert (world.row(first).state, world.row(second).state) == ("cancelled", "broadcasted")
    assert world.balance(alice) == 9
    assert world.total() == world.net.balance()
    # What was signed in vain keeps no coins.
    assert world.locked() == set()
    world.check()


@pytest.mark.parametrize("moment", ["hold", "submit"])
def test_withdrawal_that_is_signed_cannot_be_cancelled(world: World, moment: str) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.net.fault("submit", "refuse")
    refused = []

    def meanwhile(name: str) -> None:
        if name == moment:
            with pytest.raises(LedgerError, match="signed"):
                cancel(world, withdrawal)
            refused.append(name)

    for _ in range(2):
        world.broadcast(backend=Observed(world.backend, before=meanwhile))
    assert refused
    assert world.paid(outside(1)) == [1]
    world.check()


@pytest.mark.postgres
def test_withdrawal_signed_between_the_looks_of_a_cancellation_is_not_refunded(postgres_world: World) -> None:
    world = postgres_world
    alice = world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    other = world.reopened()
    other.net.fault("submit", "refuse")

    def sign_meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE btc_transaction SET state") and not other.network_rows("broadcast"):
            other.broadcast()

    event.listen(world.app.engine, "before_cursor_execute", sign_meanwhile)
    with pytest.raises(LedgerError):
        cancel(world, withdrawal)
    event.remove(world.app.engine, "before_cursor_execute", sign_meanwhile)
    other.broadcast()
    other.close()
    assert world.paid(outside(1)) == [1]
    assert (world.row(withdrawal).state, world.balance(alice)) == ("broadcasted", 4)
    world.check()
