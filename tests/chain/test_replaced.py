"""An unconfirmed deposit that is replaced tells nobody: it is noticed with the next block all the same (F07)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from litecoin_world import Litecoin

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Txid
from cryptoassets_core.testing.requirements import require

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]

#: What replaces a transaction has to pay more.
LOW, HIGH = Decimal("0.001"), Decimal("0.01")


@pytest.fixture(scope="module")
def replacing_node() -> Iterator[RegtestNode]:
    require("litecoind", "litecoind")
    with RegtestNode(options=["-mempoolreplacement=1"]) as running:
        running.mine_coins()
        running.mine(10)
        yield running


@pytest.fixture
def world(replacing_node: RegtestNode, postgres_url: str) -> Iterator[Litecoin]:
    made = Litecoin(postgres_url, replacing_node)
    made.updater.follow()
    yield made
    made.close()
    replacing_node.rpc("unloadwallet", made.wallet)


def coin_of(world: Litecoin) -> Any:
    """Return a coin of the customer's that can be spent replaceably."""
    coins: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 5}, wallet="")
    return coins[0] | {"sequence": 0}


def publish(world: Litecoin, raw: str) -> Txid:
    txid = Txid(str(world.node.rpc("sendrawtransaction", raw, "0")))
    world.node.sync()
    return txid


def deposit(world: Litecoin, coin: Any) -> Txid:
    """Pay an account with a whole coin and let the books see it."""
    txid = publish(world, world.spend(coin, {world.address(): coin["amount"] - LOW}))
    world.updater.handle_wallet_notify(txid)
    assert [row.state for row in world.rows()] == ["incoming"]
    return txid


def next_block(world: Litecoin) -> None:
    """A block of nothing comes, and nobody is notified of anything else."""
    world.mine_exactly()
    world.updater.poll()


def test_deposit_replaced_by_a_payment_to_its_sender_is_told_and_never_credited(world: Litecoin) -> None:
    coin = coin_of(world)
    txid = deposit(world, coin)
    publish(world, world.spend(coin, {world.outside(): coin["amount"] - HIGH}))
    next_block(world)
    (row,) = world.rows()
    assert row.state == "reversed"
    assert world.events("deposit_replaced") == [
        {
            "coin_name": "ltc",
            "transaction": row.id,
            "network_transaction": row.network_transaction_id,
            "txid": txid,
            "account": world.account(),
            "amount": f"{coin['amount'] - LOW:f}",
        }
    ]
    world.step(5)
    assert world.balance() == 0 == world.balance_of_node()
    assert len(world.events("deposit_replaced")) == 1
    world.check()


def test_deposit_replaced_by_a_smaller_one_is_credited_with_the_smaller(world: Litecoin) -> None:
    coin = coin_of(world)
    deposit(world, coin)
    publish(world, world.spend(coin, {world.address(): 1, world.outside(): coin["amount"] - 1 - HIGH}))
    next_block(world)
    assert sorted((row.amount, row.state) for row in world.rows()) == [
        (1, "incoming"),
        (coin["amount"] - LOW, "reversed"),
    ]
    world.step(3)
    assert world.balance() == 1 == world.balance_of_node()
    assert len(world.events("deposit_replaced")) == 1
    world.check()


def test_deposit_whose_unconfirmed_parent_is_replaced_goes_with_it(world: Litecoin) -> None:
    coin = coin_of(world)
    parent = publish(world, world.spend(coin, {world.outside(): coin["amount"] - LOW}))
    deposit(world, {"txid": parent, "vout": 0, "sequence": 0, "amount": coin["amount"] - LOW})
    publish(world, world.spend(coin, {world.outside(): coin["amount"] - HIGH}))
    next_block(world)
    assert [row.state for row in world.rows()] == ["reversed"]
    assert len(world.events("deposit_replaced")) == 1
    world.step(3)
    assert world.balance() == 0 == world.balance_of_node()


def test_notification_of_what_was_replaced_does_not_bring_it_back(world: Litecoin) -> None:
    coin = coin_of(world)
    txid = deposit(world, coin)
    publish(world, world.spend(coin, {world.outside(): coin["amount"] - HIGH}))
    for _ in range(2):
        world.updater.handle_wallet_notify(txid)
        assert [row.state for row in world.rows()] == ["reversed"]
    assert len(world.events("deposit_replaced")) == 1


def test_replaced_deposit_that_is_mined_after_all_is_credited_once(world: Litecoin) -> None:
    coin = coin_of(world)
    raw = world.spend(coin, {world.address(): coin["amount"] - LOW})
    world.updater.handle_wallet_notify(publish(world, raw))
    publish(world, world.spend(coin, {world.outside(): coin["amount"] - HIGH}))
    next_block(world)
    world.mine_exactly(raw)
    world.step(3)
    assert [row.state for row in world.rows()] == ["reversed", "incoming"]
    assert world.balance() == coin["amount"] - LOW == world.balance_of_node()
    world.check()


def test_deposit_that_only_waits_is_not_taken_for_replaced(world: Litecoin) -> None:
    deposit(world, coin_of(world))
    for _ in range(2):
        next_block(world)
    assert [row.state for row in world.rows()] == ["incoming"]
    assert world.events("deposit_replaced") == []
    world.step(3)
    assert world.balance() > 0
