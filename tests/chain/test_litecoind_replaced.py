"""F07 on a real daemon: a deposit without confirmations is replaced, and nothing but the mempool tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from litecoin_world import Litecoin, alone

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture
def world(postgres_url: str) -> Iterator[Litecoin]:
    with alone(postgres_url, options=["-mempoolreplacement=1"]) as made:
        yield made


def replaceable(world: Litecoin, outputs: Callable[[Decimal], dict[str, Decimal]]) -> tuple[Any, str]:
    """Publish a payment over a coin of somebody outside that can be replaced; return the coin and the txid."""
    coin: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 2}, wallet="")
    spent = coin[0] | {"sequence": 0}
    raw = world.spend(spent, outputs(spent["amount"]))
    return spent, str(world.node.rpc("sendrawtransaction", raw))


@pytest.mark.parametrize("kept", [None, "0.4"], ids=["all of it", "for a smaller one"])
def test_deposit_that_is_replaced_is_told_and_never_credited(world: Litecoin, kept: str | None) -> None:
    address, sender = world.address(), world.outside()
    fee = Decimal("0.001")
    coin, txid = replaceable(world, lambda amount: {address: Decimal(1), sender: amount - 1 - fee})
    world.node.sync()
    world.updater.handle_wallet_notify(txid)  # type: ignore[arg-type]
    assert [row.state for row in world.rows()] == ["incoming"]
    again = {} if kept is None else {address: Decimal(kept)}
    left = coin["amount"] - sum(again.values(), Decimal(0)) - 10 * fee
    world.node.rpc("sendrawtransaction", world.spend(coin, again | {sender: left}))
    world.mine_exactly()  # a block without either of them
    world.updater.poll()
    (told,) = world.events("deposit_replaced")
    assert (told["txid"], told["amount"]) == (txid, "1.00000000")
    assert world.rows("deposit")[0].state == "reversed"
    world.step(4)
    assert world.balance() == Decimal(kept or 0) == world.balance_of_node()
    world.check()
