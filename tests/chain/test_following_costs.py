"""What a look at the chain costs: calls and statements that do not grow with what is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from chain_world import Books, Observed, World

from cryptoassets_core.backend.transactionupdater import CHUNK, TransactionUpdater


def watched(world: Books) -> tuple[TransactionUpdater, Counter[str]]:
    """Return an updater and the counts of its calls to the backend."""
    backend = Observed(world.backend)
    return TransactionUpdater(world.app.conflict_resolver, backend, world.coin), backend.calls  # type: ignore[arg-type]


def test_look_without_a_new_block_is_one_call(world: World) -> None:
    for _ in range(20):
        world.net.pay(world.address(), Decimal(1))
    world.step()
    updater, calls = watched(world)
    with world.counting_statements() as statements:
        updater.poll()
    assert calls == {"get_tip": 1}
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


def cost_of_a_block(world: World, *, deposits: int, block: Callable[[], object]) -> tuple[Counter[str], int]:
    """Return the calls and the number of statements that a block costs with so many open deposits."""
    address = world.address()
    world.net.pay_many([(address, Decimal(1))])
    for _ in range(deposits - 1):
        world.net.pay(address, Decimal("0.001"))
    world.step()
    block()
    updater, calls = watched(world)
    with world.counting_statements() as statements:
        updater.poll()
    return calls, len(statements)


@pytest.mark.parametrize("blocks", [1, 2, 15])
def test_new_block_costs_the_same_with_ten_and_with_a_thousand_open_deposits(
    make_world: Callable[..., World], blocks: int
) -> None:
    world = make_world()
    few = cost_of_a_block(world, deposits=10, block=lambda: world.net.mine(blocks))
    world.step(20)
    many = cost_of_a_block(world, deposits=1000, block=lambda: world.net.mine(blocks))
    assert few == many
    assert few[1] <= 12 * CHUNK / 1000  # at most 12 statements for each 1000 deposits
    assert few[0] == {"get_tip": 1, "list_since": 1}
    assert world.balance() == (1 + Decimal("0.009")) * (blocks >= 0) + (1 + Decimal("0.999")) * (blocks >= 2)
    world.check()


def test_thousand_vanished_deposits_are_looked_up_together(sqlite_world: World) -> None:
    world = sqlite_world
    address = world.address()
    txids = [world.net.pay(address, Decimal("0.001")) for _ in range(300)]
    world.step(2)
    world.net.double_spend(txids[7])
    updater, calls = watched(world)
    updater.poll()
    assert calls == {"get_tip": 1, "list_since": 1, "get_transactions": 1}
    assert len([row for row in world.rows() if row.state == "reversed"]) == 1


def test_number_of_statements_does_not_grow_with_the_deposits_that_are_taken_back(world: World) -> None:
    counts = []
    for number in (2, 30):
        paid = [world.net.pay(world.address(world.account(f"owner {each % 7}")), Decimal(1)) for each in range(number)]
        world.step(3)
        for txid in paid:
            world.net.double_spend(txid)
        with world.counting_statements() as statements:
            world.updater.follow()
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert len(world.events("deposit_reversed")) == 32
    assert world.total() == 0
    world.check()
