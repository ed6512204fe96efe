"""Books and node that agree, at every moment of a coin's life; and what moves or stays unexplained."""

from __future__ import annotations

from decimal import Decimal

from chain_world import FEE, Observed, World, outside
from reconciling import broadcast_txid, fails, look, named

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import BackendUnavailableError, OutcomeUnknownError
from cryptoassets_core.tools.reconciliation import Cause


def test_coins_are_accounted_for_at_every_moment_of_their_life(world: World) -> None:
    moments = [look(world)]
    world.net.pay(world.address(), Decimal(2))
    world.updater.follow()
    moments.append(look(world))
    world.step(3)
    moments.append(look(world))
    world.withdraw(outside(1), "0.5")
    moments.append(look(world))
    down = BackendUnavailableError("the node went away")
    world.broadcast(backend=fails("submit", down, before=True)(world.backend))
    moments.append(look(world))
    world.broadcast(backend=fails("submit", OutcomeUnknownError("the answer was lost"))(world.backend))
    moments.append(look(world))
    world.broadcast()
    moments.append(look(world))

    assert [(each.balanced, named(each), each.unexplained) for each in moments] == [(True, [], Decimal(0))] * 7
    assert [each.balance for each in moments] == [0, 2, 2, 2, 2, Decimal("1.5") - FEE, Decimal("1.5") - FEE]
    in_flight = [{each.incoming, each.queued, each.prepared, each.fees_not_booked} - {0} for each in moments]
    assert in_flight == [set(), {2}, set(), {Decimal("0.5")}, {Decimal("0.5")}, {FEE}, set()]
    assert (moments[3].queued, moments[4].prepared) == (Decimal("0.5"), Decimal("0.5"))


def test_accounts_of_all_wallets_count(world: World) -> None:
    world.funded("1")
    world.funded("2", world.account("bob", "another shop"))
    found = look(world)
    assert (found.balanced, found.accounts) == (True, Decimal(3))


def test_block_reward_is_in_flight_until_the_node_lets_it_be_spent(world: World) -> None:
    world.net.reward(world.address())
    world.updater.follow()
    seen_at_1 = look(world)
    world.net.mine(99)
    world.updater.follow()
    credited_at_100 = look(world)
    world.step()
    mature = look(world)

    assert [each.balanced for each in (seen_at_1, credited_at_100, mature)] == [True] * 3
    assert [seen_at_1.incoming, seen_at_1.immature] == [50, 50]
    assert [credited_at_100.accounts, credited_at_100.immature, credited_at_100.balance] == [50, 50, 0]
    assert [mature.immature, mature.balance] == [0, 50]


def test_withdrawal_to_an_account_over_the_network_is_both_deposit_and_broadcast(world: World) -> None:
    world.funded("2")
    to_bob = world.address(world.account("bob"))
    world.withdraw(to_bob, "0.5", force_external=True)
    world.broadcast()
    world.updater.handle_wallet_notify(Txid(broadcast_txid(world)))
    before = look(world)
    world.step(3)
    assert before.balanced
    assert look(world).balanced


def test_reversed_deposit_makes_no_difference(world: World) -> None:
    world.funded("1")
    (deposit,) = world.network_rows("deposit")
    world.net.double_spend(deposit.txid)
    world.updater.follow()
    found = look(world)
    assert (found.balanced, found.accounts) == (True, Decimal(0))


def test_deposit_replaced_in_the_mempool_is_named_until_the_books_follow(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.updater.follow()
    world.net.double_spend(txid)
    found = look(world)
    assert (found.difference, named(found)) == (Decimal(-1), [(Cause.MISSING_DEPOSIT, txid, Decimal(-1))])
    world.updater.follow()
    assert look(world).balanced


def test_books_that_do_not_add_up_remain_unexplained(world: World) -> None:
    world.funded("1")
    with world.app.engine.begin() as connection:  # type: ignore[union-attr]
        connection.exec_driver_sql("UPDATE btc_account SET balance = balance + 1")
    found = look(world)
    assert (found.difference, found.differences, found.unexplained) == (Decimal("-0.00000001"), [], found.difference)


def test_backend_that_changes_meanwhile_is_noticed(world: World) -> None:
    def arrive(name: str) -> None:
        if name == "list_since":
            world.net.fund(Decimal(1))

    assert look(world, Observed(world.backend, before=arrive)).moved


def test_number_of_calls_and_statements_does_not_grow(world: World) -> None:
    counts = []
    for _ in range(2):
        world.funded("1", coins=20)
        observed = Observed(world.backend)
        with world.counting_statements() as statements:
            assert look(world, observed).balanced
        counts.append((sum(observed.calls.values()), len(statements)))
    assert counts[0] == counts[1]
