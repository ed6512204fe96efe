"""What the application hears beside txupdate, in the database transaction of the change itself."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal
from pathlib import Path

import pytest
from chain_world import World, outside

from cryptoassets_core.event import events

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"


@pytest.mark.parametrize(
    "name",
    [name for name, made in inspect.getmembers(events, inspect.isfunction) if made.__module__ == events.__name__],
)
def test_every_field_of_an_event_is_documented(name: str) -> None:
    if name.startswith("_") or name in ("tell", "txupdate"):
        return  # no event, or compared with a real one elsewhere
    section = CONCEPTS.read_text(encoding="utf-8").partition(f"### `{name}`\n")[2].partition("\n###")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(
        inspect.signature(getattr(events, name)).parameters
    )


def test_reversal_of_a_credited_deposit_is_told_with_what_is_left(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "3", alice)
    (deposit,) = world.rows("deposit")
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.step(3)
    (reversal,) = world.rows("reversal")
    assert world.events("deposit_reversed") == [
        {
            "coin_name": "btc",
            "transaction": deposit.id,
            "reversal": reversal.id,
            "network_transaction": deposit.network_transaction_id,
            "txid": world.network_rows("deposit")[0].txid,
            "account": alice,
            "amount": "5.00000000",
            "balance": "-3.00000000",
        }
    ]


def test_deposit_that_dies_uncredited_is_no_reversal(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step()
    world.net.double_spend(txid)
    world.step(3)
    assert world.events("deposit_reversed") == []
    assert world.events("txupdate")[-1]["state"] == "reversed"


def test_reorganisation_is_told_with_its_depth_and_once(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step()
    world.net.pay(world.address(), Decimal(1))
    world.step()
    deepest = world.network_rows("deposit")[0]
    world.net.reorg(2)
    world.updater.follow()
    assert world.events("reorganisation") == [
        {"coin_name": "btc", "depth": 2, "block": deepest.block_hash, "network_transactions": 2}
    ]
    world.step(5)
    assert len(world.events("reorganisation")) == 1


def test_chain_that_only_grows_is_no_reorganisation(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast()
    world.step(20)
    assert world.events("reorganisation") == []


def test_empty_hot_wallet_is_told_once_for_each_broadcast(world: World) -> None:
    world.funded("10")
    world.backend.submit(world.backend.prepare({outside(99): Decimal("9.5")}))
    world.net.mine()
    world.withdraw(outside(1), "5")
    for _ in range(2):
        world.broadcast()
    world.net.set_down(True)
    world.broadcast()
    world.net.set_down(False)
    world.broadcast()
    (waiting,) = world.network_rows("broadcast")
    assert world.events("withdrawal_waiting") == [
        {
            "coin_name": "btc",
            "network_transaction": waiting.id,
            "withdrawals": 1,
            "amount": "5.00000000",
            "reason": waiting.reason,
        }
    ]
    world.net.fund(Decimal(6))
    assert world.broadcast().count == 1
    world.withdraw(outside(2), "4")
    world.broadcast()
    assert len(world.events("withdrawal_waiting")) == 2


def test_node_that_is_down_is_no_lack_of_funds(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    world.broadcast()
    assert world.events("withdrawal_waiting") == []
