"""Withdrawals leave once, bundled into as few network transactions as may be."""

from __future__ import annotations

from decimal import Decimal

from chain_world import FEE, World, outside


def test_withdrawal_is_paid_and_its_fee_booked_once(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "1.25")
    result = world.broadcast()
    assert (result.count, result.fees) == (1, FEE)
    assert world.broadcast().count == 0
    (broadcast,) = world.network_rows("broadcast")
    carried = world.backend.get_transactions([broadcast.txid])[broadcast.txid]
    (fee,) = world.rows("network_fee")
    assert world.paid(outside(1)) == [Decimal("1.25")]
    assert carried.fee == broadcast.fee == fee.amount == FEE
    assert (world.withdrawal_states(), world.balance(alice)) == (["broadcasted"], Decimal("3.75"))
    assert world.total() == world.net.balance()
    world.check()


def test_payments_to_one_address_are_merged(world: World) -> None:
    world.funded("5")
    for amount in ("0.5", "0.25", "1"):
        world.withdraw(outside(1), amount)
    world.withdraw(outside(2), "1")
    assert world.broadcast().count == 1
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([Decimal("1.75")], [1])
    assert world.withdrawal_states() == ["broadcasted"] * 4
    assert world.total() == world.net.balance()


def test_hundred_withdrawals_are_one_network_transaction(world: World) -> None:
    world.funded("200")
    for number in range(100):
        world.withdraw(outside(number), "1")
    assert world.broadcast().count == 1
    assert len(world.network_rows("broadcast")) == 1
    assert all(world.paid(outside(number)) == [1] for number in range(100))


def test_many_withdrawals_go_in_bounded_batches(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("100", coins=4)
    ids = [world.withdraw(outside(number), "1") for number in range(250)]
    assert world.broadcast().count == 3
    carriers = [row.network_transaction_id for row in world.rows("withdrawal")]
    batches = [broadcast.id for broadcast in world.network_rows("broadcast")]
    assert carriers == [batches[0]] * 100 + [batches[1]] * 100 + [batches[2]] * 50
    assert len(ids) == 250
    assert all(world.paid(outside(number)) == [1] for number in range(250))
    world.check()


def test_a_batch_takes_a_constant_number_of_statements(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("100", coins=3)
    sent = []
    for size in (5, 90):
        for number in range(size):
            world.withdraw(outside(number), "1")
        broadcaster = world.broadcaster()
        with world.counting_statements() as statements:
            assert broadcaster.do_broadcasts().count == 1
        sent.append(len(statements))
    assert sent[0] >= sent[1]


def test_what_is_queued_waits_without_a_try_while_a_broadcast_is_under_way(sqlite_world: World) -> None:
    """The database would refuse a second one, and complain in its log each time."""
    world = sqlite_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    world.broadcast()
    world.withdraw(outside(2), "1")
    with world.counting_statements() as statements:
        assert world.broadcaster().collect_for_broadcast() == 0
    assert [statement for statement in statements if statement.startswith("INSERT INTO btc_network_transaction")] == []


def test_wallets_do_not_pay_for_each_other(world: World) -> None:
    world.funded("5")
    other = world.funded("5", world.account("alice", "other shop"))
    world.withdraw(outside(1), "1")
    world.withdraw(outside(2), "1", other)
    assert world.broadcast("shop").count == 1
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([1], [])
    assert world.broadcast("other shop").count == 1
    assert world.paid(outside(2)) == [1]
    assert (world.balance(world.fee_account()), world.balance(world.fee_account("other shop"))) == (-FEE, -FEE)
