"""The life of a deposit: seen, told, credited once and exactly at the threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Books, Observed, World, outside

from cryptoassets_core.amounts import MAX_MINOR_UNITS, from_minor_units
from cryptoassets_core.backend.base import ChainChanges, ReceivedOutput, Txid
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.tools.receivescan import scan


def through(world: Books, change: Callable[[Any], Any]) -> TransactionUpdater:
    """Return an updater that hears of every wallet transaction as a test changes it."""

    def changed(_name: str, answer: Any) -> Any:
        if isinstance(answer, ChainChanges):
            return replace(answer, transactions=[change(transaction) for transaction in answer.transactions])
        if isinstance(answer, dict):
            return {txid: change(transaction) for txid, transaction in answer.items()}
        return answer

    return TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=changed), world.coin)


def test_deposit_is_told_at_each_confirmation_and_credited_at_the_third(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal("1.5"))
    assert world.updater.handle_wallet_notify(txid) == 1
    seen = [world.balance()]
    for _ in range(4):
        world.step()
        seen.append(world.balance())
    (deposit,) = world.rows()
    assert seen == [0, 0, 0, Decimal("1.5"), Decimal("1.5")]
    assert world.confirmations_told(deposit.id) == [(0, False), (1, False), (2, False), (3, True), (4, True)]
    assert world.events()[3] == {
        "coin_name": "btc",
        "transaction": deposit.id,
        "network_transaction": deposit.network_transaction_id,
        "transaction_type": "deposit",
        "txid": txid,
        "account": world.account(),
        "address": world.events()[0]["address"],
        "amount": "1.50000000",
        "credited": True,
        "confirmations": 3,
        "state": "incoming",
    }
    world.check()


@pytest.mark.parametrize("threshold", [1, 2, 6, 20])
def test_threshold_is_configurable_also_above_what_is_followed(
    make_world: Callable[..., World], threshold: int
) -> None:
    world = make_world(confirmation_count=threshold)
    world.net.pay(world.address(), Decimal(1))
    world.step(threshold - 1)
    assert world.balance() == 0
    world.step()
    assert world.balance() == 1


def test_confirmations_are_told_up_to_the_maximum_and_no_further(make_world: Callable[..., World]) -> None:
    world = make_world(max_confirmation_count=5)
    world.net.pay(world.address(), Decimal(1))
    world.step(9)
    (deposit,) = world.rows()
    assert [confirmations for confirmations, _ in world.confirmations_told(deposit.id)] == [1, 2, 3, 4, 5]
    assert not world.network_rows()[0].tracked


def test_notifying_twice_tells_once(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    told = [world.updater.handle_wallet_notify(txid) for _ in range(2)]
    told.append(world.updater.handle_wallet_notifies([txid, txid]))
    assert told == [1, 0, 0]


def test_outputs_to_one_address_are_one_deposit(world: World) -> None:
    address, other = world.address(), world.address()
    world.net.pay_many([(address, Decimal("0.1")), (other, Decimal("5")), (address, Decimal("0.02"))])
    world.step(3)
    assert sorted(row.amount for row in world.rows()) == [Decimal("0.12"), Decimal(5)]
    assert world.balance() == Decimal("5.12")
    world.check()


def test_one_transaction_pays_accounts_of_several_wallets(world: World) -> None:
    alice, bob, carol = world.account("alice"), world.account("bob"), world.account("alice", "other shop")
    world.net.pay_many([(world.address(account), Decimal(amount)) for amount, account in enumerate([alice, bob], 1)])
    world.net.pay_many([(world.address(account), Decimal(7)) for account in (carol, bob)])
    world.step(3)
    assert [world.balance(account) for account in (alice, bob, carol)] == [1, 9, 7]
    world.check()


def test_same_address_paid_by_many_transactions_is_many_deposits(world: World) -> None:
    address = world.address()
    for _ in range(10):
        world.net.pay(address, Decimal("0.1"))
    world.step(3)
    assert len(world.rows()) == 10
    assert world.balance() == 1


def test_archived_address_is_still_credited(world: World) -> None:
    address = world.address()

    def archive(session: Any) -> None:
        session.query(world.coin.address_model).filter_by(address=address).one().archive()

    world.run(archive)
    world.net.pay(address, Decimal(2))
    world.step(3)
    assert world.balance() == 2


def test_addresses_of_nobody_are_ignored(world: World) -> None:
    stray = world.net.pay(world.net.create_address("stray"), Decimal(3))
    assert world.updater.handle_wallet_notify(stray) == 0
    assert world.updater.handle_wallet_notify(Txid("ab" * 32)) == 0
    assert world.step(3) == 0
    assert world.rows() == world.network_rows() == []


def test_address_that_was_a_payee_before_is_credited(world: World) -> None:
    alice = world.funded("5")
    address = world.net.create_address("later ours")
    world.withdraw(address, "1")
    bob = world.account("bob")

    def enter(session: Any) -> None:
        owner = session.get_one(world.coin.account_model, bob)
        owner.wallet.add_address(owner, "bob's", address)

    world.run(enter)
    world.net.pay(address, Decimal(2))
    world.step(3)
    assert (world.balance(alice), world.balance(bob)) == (4, 2)
    world.check()


def test_address_entered_late_is_credited_and_told_by_a_rescan(world: World) -> None:
    late = world.net.create_address("entered late")
    world.net.pay_many([(world.address(), Decimal(1)), (late, Decimal(2))])
    world.step(20)
    bob = world.account("bob")

    def enter(session: Any) -> None:
        owner = session.get_one(world.coin.account_model, bob)
        owner.wallet.add_address(owner, "bob's", late)

    world.run(enter)
    told_before = len(world.events())
    assert scan(world.updater) == 1
    assert world.balance(bob) == 2
    (told,) = world.events()[told_before:]
    assert (told["account"], told["credited"], told["confirmations"]) == (bob, True, 15)
    assert scan(world.updater) == 0
    world.check()


def test_block_reward_is_credited_when_mature(world: World) -> None:
    world.net.reward(world.address(), Decimal(50))
    world.updater.follow()
    world.net.mine(98)
    world.updater.poll()
    assert (world.balance(), world.network_rows()[0].confirmations) == (0, 99)
    world.step()
    assert world.balance() == 50
    world.check()


def test_orphaned_block_reward_is_reversed(world: World) -> None:
    world.net.reward(world.address(), Decimal(50))
    world.step(2)
    world.net.reorg(3)
    world.updater.poll()
    world.step(120)
    (deposit,) = world.rows()
    assert (deposit.state, world.balance()) == ("reversed", 0)
    world.check()


def test_paying_ourselves_over_the_network_debits_and_credits_once(world: World) -> None:
    alice, bob = world.funded("5"), world.account("bob")
    address = world.address(bob)
    withdrawal = world.withdraw(address, "2", alice, force_external=True)
    assert world.broadcast().count == 1
    world.updater.handle_wallet_notify(world.network_rows("broadcast")[0].txid)
    assert (world.balance(alice), world.balance(bob)) == (3, 0)
    world.step(5)
    (broadcast,) = world.network_rows("broadcast")
    carriers = [row for row in world.network_rows("deposit") if row.txid == broadcast.txid]
    assert len(carriers) == 1
    assert (world.balance(alice), world.balance(bob), world.balance(world.fee_account())) == (3, 2, -FEE)
    assert world.confirmations_told(withdrawal)[-1] == (5, True)
    assert world.total() == world.net.balance()
    world.check()


def test_paying_ourselves_is_not_counted_twice_when_seen_before_it_is_settled(world: World) -> None:
    alice, bob = world.funded("5"), world.account("bob")
    world.withdraw(world.address(bob), "2", alice, force_external=True)
    world.net.fault("submit", "timeout-after")
    assert world.broadcast().count == 0
    (prepared,) = world.network_rows("broadcast")
    world.updater.handle_wallet_notify(prepared.txid)
    world.step(4)
    assert world.broadcast().count == 1
    world.step()
    assert (world.balance(alice), world.balance(bob)) == (3, 2)
    assert world.total() == world.net.balance()
    world.check()


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_acknowledging_early_does_not_stop_crediting(world: World, blocks: int) -> None:
    world.updater.handle_wallet_notify(world.net.pay(world.address(), Decimal(1)))
    world.step(blocks)
    (deposit,) = world.rows()
    world.acknowledge(deposit.id)
    world.step(6 - blocks)
    assert world.balance() == 1
    assert [told for told, _ in world.confirmations_told(deposit.id)] == list(range(7))
    assert world.row(deposit.id).state == "processed"
    world.check()


def test_acknowledged_deposit_is_reversed_all_the_same(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(3)
    (deposit,) = world.rows()
    world.acknowledge(deposit.id)
    world.net.double_spend(txid)
    world.updater.poll()
    assert (world.balance(), world.row(deposit.id).state) == (0, "reversed")
    world.check()


@pytest.mark.parametrize("reported", ["5", "0.5", None])
def test_amount_that_changes_between_reports_is_not_credited(
    world: World, caplog: pytest.LogCaptureFixture, reported: str | None
) -> None:
    address = world.address()
    world.updater.handle_wallet_notify(world.net.pay(address, Decimal(1)))

    def change(transaction: Any) -> Any:
        outputs = () if reported is None else (ReceivedOutput(address, Decimal(reported), 0),)
        return replace(transaction, received=outputs)

    lying = through(world, change)
    with caplog.at_level("ERROR", logger="cryptoassets_core"):
        for _ in range(4):
            world.net.mine()
            lying.poll()
    (deposit,) = world.rows()
    assert (world.balance(), deposit.amount, deposit.credited_at) == (0, 1, None)
    # At the third confirmation, and not again at each block.
    assert caplog.text.count("is not credited, look at it") == 1
    now = "nothing" if reported is None else f"{Decimal(reported):f}"
    assert [(told["transaction"], told["reason"]) for told in world.events("deposit_disputed")] == [
        (deposit.id, f"it was first reported as 1.00000000 and now as {now}")
    ]
    world.check()


def test_deposit_that_is_wrong_in_another_way_is_told_again(world: World) -> None:
    address = world.address()
    world.updater.handle_wallet_notify(world.net.pay(address, Decimal(1)))
    world.net.mine(3)
    for amount in ("5", "7", None, "5"):
        outputs = (ReceivedOutput(address, Decimal(amount or 1), 0),)
        through(world, lambda seen, outputs=outputs: replace(seen, received=outputs)).follow()  # type: ignore[misc]
        world.net.mine()
    told = [each["reason"].rsplit(" ", 1)[1] for each in world.events("deposit_disputed")]
    assert told == [f"{Decimal(each):f}" for each in ("5", "7")]
    assert world.balance() == 1  # it was right then, and stays credited
    world.check()


def test_deposit_that_its_account_cannot_hold_stops_nobody_else(world: World) -> None:
    """The most that the database holds, twice: the second one waits for a person, and everybody else is credited."""
    most = from_minor_units(MAX_MINOR_UNITS, 8)
    rich, poor = world.account("rich"), world.account("poor")
    addresses = {world.address(rich): most, world.address(rich): most, world.address(poor): Decimal(1)}
    for address in addresses:
        world.net.pay(address, Decimal(1))

    def change(transaction: Any) -> Any:
        outputs = [replace(output, amount=addresses[output.address]) for output in transaction.received]
        return replace(transaction, received=tuple(outputs))

    lying = through(world, change)
    world.net.mine(3)
    lying.poll()
    assert (world.balance(rich), world.balance(poor)) == (most, 1)
    (alarm,) = world.events("deposit_disputed")
    assert (alarm["account"], "would hold more than the database can" in alarm["reason"]) == (rich, True)
    world.net.mine()
    assert lying.poll() == 3  # three updates, and no alarm again
    world.check()


def test_deposit_is_credited_when_the_first_amount_is_reported_again(world: World) -> None:
    address = world.address()
    world.updater.handle_wallet_notify(world.net.pay(address, Decimal(1)))
    lying = through(world, lambda seen: replace(seen, received=(ReceivedOutput(address, Decimal(9), 0),)))
    world.net.mine(3)
    lying.poll()
    assert world.balance() == 0
    world.step()
    assert world.balance() == 1


@pytest.mark.parametrize("amount", ["0", "-1", "92233720368.54775808", "0.000000001"])
def test_impossible_amount_stops_nobody_else(world: World, amount: str) -> None:
    """Anybody can have an output of nothing mined to an address of ours."""
    strange, good = world.address(), world.address()
    world.net.pay(strange, Decimal(1))
    world.net.pay(good, Decimal(2))

    def change(transaction: Any) -> Any:
        outputs = [
            replace(output, amount=Decimal(amount)) if output.address == strange else output
            for output in transaction.received
        ]
        return replace(transaction, received=tuple(outputs))

    lying = through(world, change)
    world.net.mine(3)
    lying.poll()
    assert world.balance() == 2
    world.check()


def test_output_of_nothing_beside_a_real_one_changes_nothing(world: World) -> None:
    address = world.address()
    world.net.pay(address, Decimal(1))
    lying = through(
        world, lambda seen: replace(seen, received=(*seen.received, ReceivedOutput(address, Decimal(0), 7)))
    )
    world.net.mine(3)
    lying.poll()
    assert world.balance() == 1


def test_withdrawal_is_told_with_its_confirmations(world: World) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.broadcast()
    world.step(4)
    assert world.confirmations_told(withdrawal) == [(0, False), (1, False), (2, False), (3, True), (4, True)]
