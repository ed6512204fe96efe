"""What is rare on a real daemon: 130 blocks taken back, thousands of outputs in one transaction, a late start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from litecoin_world import Litecoin, alone
from sqlalchemy import insert

from cryptoassets_bitcoind import nodestate
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.service.coinworker import CoinWorker

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture
def world(postgres_url: str) -> Iterator[Litecoin]:
    """Books on a daemon whose chain the test may cut short."""
    with alone(postgres_url, blocks=20) as made:
        yield made


def deposit(world: Litecoin, coin: Any) -> tuple[str, str, Decimal]:
    """Pay from a coin, and sign a rival over it; return both transactions, and what ours pays."""
    amount = coin["amount"] - Decimal("0.001")
    ours = world.spend(coin, {world.address(): amount})
    rival = world.spend(coin, {world.outside(): amount - Decimal("0.001")})
    world.node.rpc("sendrawtransaction", ours, 0)
    return ours, rival, amount


def txid_of(world: Litecoin, raw: str) -> str:
    told: Any = world.node.rpc("decoderawtransaction", raw)
    return str(told["txid"])


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("depth", [pytest.param(20, marks=pytest.mark.stress), 130])
def test_f04_deep_reorganisation_takes_what_died_and_nothing_else(world: Litecoin, depth: int, up: bool) -> None:
    """Of 130 blocks a daemon puts the last ten back into its mempool, and forgets the rest until somebody sends it."""
    node = world.node
    coins: Any = node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 10}, wallet="")
    old = [deposit(world, coin) for coin in coins[:2]]
    world.step(3)
    assert world.balance() == sum(amount for *_, amount in old)
    node.mine(depth - 6)
    young = [deposit(world, coin) for coin in coins[2:4]]
    world.step(3)
    assert world.balance() == sum(amount for *_, amount in [*old, *young])

    world.take_back(depth)
    if up:
        world.updater.poll()
    world.mine_exactly(old[0][1], young[0][1])
    if up:
        world.updater.poll()
    for raw, *_ in (old[1], young[1]):
        node.rpc("sendrawtransaction", raw, 0)
    node.mine(depth)
    node.sync()
    later = TransactionUpdater(world.app.conflict_resolver, world.backend, world.coin)
    later.poll()
    world.step(3)
    assert world.balance() == sum(amount for *_, amount in (old[1], young[1]))
    died = {txid_of(world, raw) for raw, *_ in (old[0], young[0])}
    states = {row.txid: row.state for row in world.network_rows("deposit")}
    assert {txid for txid, state in states.items() if state == "dead"} == died
    assert {told["txid"] for told in world.events("deposit_reversed")} >= died
    assert world.events("reorganisation")
    assert world.total() == world.balance_of_node()
    world.check()


def own_addresses(world: Litecoin, number: int, accounts: list[int]) -> list[str]:
    """Make addresses of the node's wallet and enter them in one statement, for accounts in turn."""
    made = [str(world.own("getnewaddress")) for _ in range(number)]
    rows = [{"address": each, "account_id": accounts[at % len(accounts)]} for at, each in enumerate(made)]
    world.run(lambda session: session.execute(insert(world.tables.address), rows))
    return made


def twice(raw: str, outputs: int) -> str:
    """Write a transaction's outputs a second time behind the first; daemons make none with an address twice."""
    count = "fd" + outputs.to_bytes(2, "little").hex()
    head, found, rest = raw.partition("ffffffff" + count)
    assert found, "the outputs follow the sequence number of the only input"
    body, lock_time = rest[:-8], rest[-8:]
    return f"{head}ffffffff" + "fd" + (2 * outputs).to_bytes(2, "little").hex() + 2 * body + lock_time


def payout(world: Litecoin, number: int, accounts: list[int]) -> tuple[str, str]:
    """Sign a transaction that pays so many own addresses twice each, and a rival over its coin."""
    coins: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 10}, wallet="")
    coin = max(coins, key=lambda each: each["confirmations"])  # mature in a shorter chain, too
    spent = [{key: coin[key] for key in ("txid", "vout")}]
    outputs = dict.fromkeys(own_addresses(world, number, accounts), Decimal("0.001"))
    raw = str(world.node.rpc("createrawtransaction", spent, outputs))
    signed: Any = world.node.rpc("signrawtransactionwithwallet", twice(raw, number), wallet="")
    return str(signed["hex"]), world.spend(coin, {world.outside(): coin["amount"] - 1})


@pytest.mark.parametrize("number", [300, pytest.param(1500, marks=pytest.mark.stress)])
def test_f19_transaction_with_thousands_of_outputs_is_credited_in_few_statements(world: Litecoin, number: int) -> None:
    node, accounts = world.node, [world.account(name) for name in ("alice", "bob", "carol")]
    many, _ = payout(world, number, accounts)
    node.rpc("sendrawtransaction", many, 0)
    node.sync()
    counts = []
    for _ in range(4):
        with world.counting_statements() as statements:
            told = world.updater.follow()
        counts.append((told, len(statements)))
        node.mine()
        node.sync()
    assert [told for told, _ in counts] == [number] * 4
    assert max(count for _, count in counts) < 40
    assert [world.balance(account) for account in accounts] == [number // 3 * Decimal("0.002")] * 3
    assert world.total() == world.balance_of_node()
    world.check()


@pytest.mark.parametrize("number", [300, pytest.param(1500, marks=pytest.mark.stress)])
def test_f19_thousands_of_outputs_die_and_come_back_in_few_statements(world: Litecoin, number: int) -> None:
    """Twenty blocks with the payout are replaced by others with a double spend, and these by others with the payout."""
    node, accounts = world.node, [world.account(name) for name in ("alice", "bob", "carol")]
    node.mine(30)
    many, rival = payout(world, number, accounts)
    full = [number // 3 * Decimal("0.002")] * 3

    def replace_blocks(blocks: int, first: str) -> list[Decimal]:
        """Replace blocks by one more, and return the balances that follow from it."""
        world.take_back(blocks)
        world.mine_exactly(first)
        node.mine(blocks)
        node.sync()
        with world.counting_statements() as statements:
            world.updater.poll()
        assert len(statements) < 60
        world.check()
        assert world.total() == world.balance_of_node()
        return [world.balance(account) for account in accounts]

    assert replace_blocks(20, many) == full
    assert replace_blocks(21, rival) == [Decimal(0)] * 3
    assert len(world.events("deposit_reversed")) == number
    assert len(world.events("reorganisation")) == 1
    assert replace_blocks(22, many) == full
    assert {row.state for row in world.rows("deposit")} == {"reversed", "incoming"}
    assert len(world.rows("deposit")) == 2 * number


def test_f21_daemon_that_is_still_downloading_credits_nothing(world: Litecoin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its newest block is more than a day old by its clock, so it says that it is behind, whatever it has."""
    # The one thing that is not real: on a private chain the backend waits for no blocks.
    monkeypatch.setattr(nodestate, "_CHAIN_NAMES", {"test": frozenset({"regtest"})})
    world.backend._node_state = replace(world.backend._node_state, network="test")
    address = world.address()
    txid = world.pay(address, "1")
    world.node.mine(3)
    world.node.stop()
    world.node.start(options=[f"-mocktime={int(time.time()) + 100_000}"])
    info: Any = world.node.rpc("getblockchaininfo")
    assert info["initialblockdownload"] is True

    worker = CoinWorker(
        world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None
    )
    worker.poll()
    assert not worker.look_at([txid])
    worker.poll()
    assert "still downloading the block chain" in (worker.health.problem or "")
    assert worker.health.failed_attempts == 3
    assert (world.rows(), world.network_rows(), world.events()) == ([], [], [])

    world.node.rpc("setmocktime", 0)
    worker.poll()
    assert (worker.health.problem, world.balance()) == (None, 1)
    assert world.total() == world.balance_of_node()
    world.check()
