"""An operator has the node pay a higher fee for a withdrawal that waits: another transaction, the same payment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from litecoin_world import Litecoin, alone

from cryptoassets_core.tools.broadcastagain import submit_again

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture
def world(postgres_url: str) -> Iterator[Litecoin]:
    """Books on a daemon whose wallet makes transactions that can be replaced, as Core does from 24 on."""
    with alone(postgres_url, options=["-walletrbf=1", "-mempoolreplacement=1"]) as made:
        yield made


def again(world: Litecoin) -> int:
    world.now += timedelta(minutes=11)
    return submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)


def bump(world: Litecoin) -> tuple[str, Any, str]:
    """Send a withdrawal and have its fee raised; return the payee, the broadcast, and the txid that replaces it."""
    payee = world.outside()
    world.withdraw(payee, "1", world.funded("3", "2"))
    world.broadcast()
    (sent,) = world.network_rows("broadcast")
    bumped: Any = world.own("bumpfee", sent.txid)
    world.node.sync()
    return payee, sent, str(bumped["txid"])


def see_paid_once_for_good(world: Litecoin, payee: str) -> None:
    """Go on until what is in conflict would have been built anew."""
    for _ in range(18):
        world.step()
        again(world)
        world.broadcast()
    world.step()
    assert world.paid(payee) == 1


def test_withdrawal_whose_fee_was_raised_is_not_paid_again(world: Litecoin) -> None:
    payee, sent, bumped = bump(world)
    see_paid_once_for_good(world, payee)
    (carried,) = world.network_rows("broadcast")
    assert (carried.id, carried.txid, carried.state) == (sent.id, bumped, "live")
    assert carried.fee > sent.fee
    assert world.total() == world.balance_of_node()
    world.check()


def test_first_one_may_confirm_after_all_when_the_other_is_taken_back(world: Litecoin) -> None:
    payee, sent, bumped = bump(world)
    world.step()
    again(world)
    world.step()
    (carried,) = world.network_rows("broadcast")
    assert (carried.txid, carried.confirmations) == (bumped, 2)
    world.take_back(2)
    world.mine_exactly(sent.raw)
    see_paid_once_for_good(world, payee)
    (carried,) = world.network_rows("broadcast")
    assert (carried.txid, carried.state, carried.fee) == (sent.txid, "live", sent.fee)
    assert world.total() == world.balance_of_node()
    world.check()
