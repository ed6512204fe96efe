"""Two at once: locks and constraints that stand behind the code, each met on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Wire, WiredResolver, World, outside
from sqlalchemy import event
from test_shared_hot_wallet import two_wallets

from cryptoassets_core.backend.syncstate import take_turn
from cryptoassets_core.errors import LedgerError
from cryptoassets_core.ledger.deposit import SeenDeposit, credit_deposits, record_deposits
from cryptoassets_core.ledger.reversal import reverse_deposits
from cryptoassets_core.tools.broadcastrows import load_unsettled
from cryptoassets_core.tools.teller import Teller

#: Long enough for what is not kept waiting to be done; what is kept waiting is not measured by it.
A_WHILE_SECONDS = 1


def start(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Begin something and give it a while."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join(A_WHILE_SECONDS)
    return thread, results


#: Withdrawals are put into a broadcast, or taken out.
BUNDLING = "UPDATE btc_transaction SET network_transaction_id"


@contextmanager
def at_statement(
    world: World, beginning: str, meanwhile: Callable[[], object]
) -> Iterator[list[tuple[threading.Thread, list[object]]]]:
    """Begin something else right before the first statement that begins so, and see it end."""
    begun: list[tuple[threading.Thread, list[object]]] = []

    def begin(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning) and not begun:
            begun.append(start(meanwhile))

    event.listen(world.app.engine, "before_cursor_execute", begin)
    yield begun
    event.remove(world.app.engine, "before_cursor_execute", begin)
    begun[0][0].join()


@pytest.mark.postgres
def test_only_one_broadcast_of_a_wallet_is_under_way(postgres_world: World) -> None:
    world = postgres_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    other = world.reopened()
    rival: list[tuple[threading.Thread, list[object]]] = []

    class Pause(Wire):
        def step(self, name: str) -> None:
            if name == "before commit" and not rival:
                other.withdraw(outside(2), "1")
                rival.append(start(other.broadcaster().collect_for_broadcast))

    assert world.broadcaster(resolver=WiredResolver(world.app.conflict_resolver, Pause())).collect_for_broadcast() == 1
    ((thread, results),) = rival
    thread.join()
    assert results == [0]
    assert len(world.network_rows("broadcast")) == 1
    assert world.broadcast().count == 2
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([1], [1])
    other.close()


@pytest.mark.postgres
def test_cancellation_waits_while_a_signature_is_stored_and_then_comes_too_late(postgres_world: World) -> None:
    world = postgres_world
    alice = world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    other = world.reopened()
    wallet_id = world.row(withdrawal).wallet_id
    teller = Teller(other.coin, other.app.conflict_resolver)

    def cancel() -> str:
        try:
            return f"refunded by {teller.cancel_withdrawal(wallet_id, withdrawal)}"
        except LedgerError:
            return "too late"

    with at_statement(world, "UPDATE btc_network_transaction SET txid", cancel) as begun:
        world.broadcast()
    assert [results for _, results in begun] == [["too late"]]
    assert (world.paid(outside(1)), world.balance(alice)) == ([1], 4)
    other.close()


@pytest.mark.postgres
def test_withdrawal_cancelled_while_it_is_bundled_is_not_paid(postgres_world: World) -> None:
    world = postgres_world
    alice = world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    other = world.reopened()
    teller = Teller(other.coin, other.app.conflict_resolver)
    with at_statement(world, BUNDLING, lambda: teller.cancel_withdrawal(other.row(withdrawal).wallet_id, withdrawal)):
        world.broadcaster().collect_for_broadcast()
    world.broadcast()
    assert (world.row(withdrawal).state, world.paid(outside(1)), world.balance(alice)) == ("cancelled", [], 5)
    world.check()
    other.close()


@pytest.mark.postgres
@pytest.mark.parametrize("change", ["put back", "fill up"])
def test_broadcast_that_is_sent_while_it_is_sorted_out_pays_everybody_once(postgres_world: World, change: str) -> None:
    world = postgres_world
    world.funded("5", coins=2)
    first, second = world.withdraw(outside(1), "1"), world.withdraw(outside(2), "1")
    broadcaster = world.broadcaster()
    broadcaster.collect_for_broadcast()
    world.withdraw(outside(3), "1")
    desk, wallet = broadcaster._desk, world.row(first).wallet_id
    seen = world.run(lambda session: load_unsettled(session, world.tables, wallet))
    assert seen is not None
    other = world.reopened()
    with at_statement(world, BUNDLING, other.broadcaster().send_broadcasts):
        if change == "put back":
            desk.put_back(seen, [second])
        else:
            assert desk.fill_up(seen) == 1
    for _ in range(3):
        world.broadcast()
    assert [world.paid(outside(number)) for number in (1, 2, 3)] == [[1]] * 3
    world.check()
    other.close()


@pytest.mark.parametrize("change", ["put back", "fill up"])
def test_broadcast_that_is_signed_before_it_is_sorted_out_stays_as_it_is(world: World, change: str) -> None:
    world.funded("5", coins=2)
    first, second = world.withdraw(outside(1), "1"), world.withdraw(outside(2), "1")
    broadcaster = world.broadcaster()
    broadcaster.collect_for_broadcast()
    seen = world.run(lambda session: load_unsettled(session, world.tables, world.row(first).wallet_id))
    assert seen is not None
    world.net.fault("submit", "refuse")
    world.broadcaster().send_broadcasts()
    third = world.withdraw(outside(3), "1")
    if change == "put back":
        broadcaster._desk.put_back(seen, [second])
    else:
        assert broadcaster._desk.fill_up(seen) == 0
    carriers = [world.row(each).network_transaction_id for each in (first, second, third)]
    assert carriers == [seen.id, seen.id, None]
    world.broadcast()
    assert [world.paid(outside(number)) for number in (1, 2, 3)] == [[1]] * 3
    world.check()


@pytest.mark.postgres
def test_two_wallets_that_store_what_they_signed_at_once_spend_no_coin_both(postgres_world: World) -> None:
    world = postgres_world
    two_wallets(world)
    other = world.reopened()
    rivals: list[tuple[threading.Thread, list[object]]] = []

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE btc_network_transaction SET txid") and not rivals:
            rivals.append(start(lambda: other.broadcast("other shop").count))

    event.listen(world.app.engine, "before_cursor_execute", meanwhile)
    assert world.broadcast().count == 1
    event.remove(world.app.engine, "before_cursor_execute", meanwhile)
    ((thread, results),) = rivals
    thread.join()
    assert results == [0]
    sent, waiting = world.network_rows("broadcast")
    assert (sent.state, waiting.state, waiting.inputs) == ("live", "collected", None)
    other.close()


@pytest.mark.postgres
def test_followers_take_turns(postgres_world: World) -> None:
    world = postgres_world
    world.step()
    world.net.pay(world.address(), Decimal(1))
    world.net.mine(3)
    other = world.reopened()
    with world.app.conflict_resolver.transaction() as session:
        take_turn(session, world.tables)
        thread, results = start(other.updater.poll)
        assert thread.is_alive()
        assert results == []
    thread.join()
    assert results == [1]
    assert world.balance() == 1
    other.close()


def test_deposit_is_recorded_credited_and_reversed_once(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step()
    (row,) = world.rows()
    seen = SeenDeposit(row.network_transaction_id, row.address_id, row.receiving_account_id, row.wallet_id, row.amount)
    for _ in range(2):
        world.run(lambda session: record_deposits(session, world.tables, [seen]))
    assert len(world.rows()) == 1
    credited = [world.run(lambda session: credit_deposits(session, world.tables, [row.id]).ids) for _ in range(2)]
    assert (credited, world.balance()) == ([{row.id}, set()], 1)
    reversals = [
        world.run(lambda session: len(reverse_deposits(session, world.tables, [row.id, row.id]))) for _ in range(2)
    ]
    assert (reversals, world.balance()) == ([1, 0], 0)
    world.check()


def test_deposit_that_was_taken_back_uncredited_is_not_credited(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step()
    (row,) = world.rows()
    assert world.run(lambda session: reverse_deposits(session, world.tables, [row.id])) == []
    assert world.run(lambda session: credit_deposits(session, world.tables, [row.id]).ids) == set()
    assert world.balance() == 0
    world.check()
