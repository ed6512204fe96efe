"""Daemons are killed, nodes are down or hang: no coin is lost, and none is sent twice."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from litecoind_network import LitecoindNetwork
from network import SimulatedNetwork
from sqlalchemy import select
from stage import Stage

from cryptoassets_core.ledger.states import NetworkTransactionType

OpenStage = Callable[..., Stage]

#: Seconds that no test lasts: the daemon looks for withdrawals when it starts and not again.
NEVER = 3600

DEPOSIT = Decimal("2.00000003")
#: Each half of a deposit is enough for it: with one coin only, no withdrawal could be paid twice.
BILL = Decimal("0.70000001")


def fund(stage: Stage) -> None:
    """Give alice coins to spend, in two parts."""
    part = Decimal(1)
    txids = [stage.network.pay(stage.application.new_address("alice"), amount) for amount in (part, DEPOSIT - part)]
    stage.network.mine(3)
    for txid in txids:
        stage.wait_for_update(txid, confirmations=3)


def broadcasts(stage: Stage) -> list[int]:
    """Return how often publishing failed, for each broadcast in the books."""
    model = stage.application.coin.network_transaction_model
    with stage.application.app.open_readonly_session() as session:
        wanted = select(model.attempts).where(model.transaction_type == NetworkTransactionType.BROADCAST)
        return list(session.scalars(wanted.order_by(model.id)))


def check_paid_once(stage: Stage, transaction: int) -> None:
    """See that the network carries one payment, and that books and network agree when it is confirmed."""
    update = stage.wait_for(lambda update: update.transaction == transaction, "the withdrawal is broadcast")
    for confirmations in range(1, 4):
        stage.network.mine()
        stage.wait_for_update(update.txid, confirmations=confirmations, transaction_type="broadcast")
    told = [update for update in stage.application.updates.all() if update.transaction == transaction]
    assert {update.txid for update in told} == {update.txid}
    assert sorted(update.confirmations for update in told) == [0, 1, 2, 3]
    fees = stage.network.fees()
    assert list(fees) == [update.txid]
    assert stage.application.transaction_state(transaction) == "broadcasted"
    balances = stage.application.balances()
    assert balances == {"alice": DEPOSIT - BILL, "Network fees": -fees[update.txid]}
    assert stage.network.balance() == sum(balances.values())
    assert stage.daemon.stop() == 0


# --- The daemon is killed ---------------------------------------------------------------------------------------


def test_withdrawal_queued_before_a_kill_is_paid_once(any_stage: OpenStage) -> None:
    stage = any_stage(broadcast_period=NEVER)
    stage.start_daemon()
    fund(stage)
    transaction = stage.application.send("alice", stage.network.outside_address(), BILL)
    stage.daemon.kill()
    assert stage.application.transaction_state(transaction) == "pending"
    assert not stage.network.fees()
    stage.start_daemon()
    check_paid_once(stage, transaction)


@pytest.mark.parametrize(
    ("fault", "published"), [("timeout-before", False), ("timeout-after", True)], ids=["lost", "reached the network"]
)
def test_withdrawal_whose_publication_a_kill_leaves_in_doubt_is_paid_once(
    simnet_stage: OpenStage, fault: str, published: bool
) -> None:
    stage = simnet_stage()
    network = stage.network
    assert isinstance(network, SimulatedNetwork)
    stage.start_daemon()
    fund(stage)
    network.simnet.fault("submit", fault)
    transaction = stage.application.send("alice", network.outside_address(), BILL)
    stage.wait_until(lambda: broadcasts(stage) == [1], "the daemon notes that the network did not answer")
    stage.daemon.kill()
    assert stage.application.transaction_state(transaction) == "pending"
    assert len(network.fees()) == published
    # The machine went down, and the node with it.
    network.simnet.forget_locks()
    stage.start_daemon()
    check_paid_once(stage, transaction)


@pytest.mark.postgres
@pytest.mark.regtest
def test_withdrawal_that_a_hanging_node_was_asked_to_sign_is_paid_once_after_a_kill(litecoind_stage: OpenStage) -> None:
    stage = litecoind_stage()
    network = stage.network
    assert isinstance(network, LitecoindNetwork)
    stage.start_daemon()
    fund(stage)
    payee = network.outside_address()
    network.node.pause()
    try:
        transaction = stage.application.send("alice", payee, BILL)
        stage.wait_until(lambda: broadcasts(stage) == [0], "the daemon takes up the withdrawal")
        stage.daemon.kill()
    finally:
        network.node.resume()
    stage.start_daemon()
    check_paid_once(stage, transaction)


@pytest.mark.parametrize("blocks", [0, 3], ids=["unconfirmed", "confirmed"])
def test_deposit_made_while_the_daemon_is_down_is_found_at_its_restart(any_stage: OpenStage, blocks: int) -> None:
    stage = any_stage()
    stage.start_daemon()
    seen = stage.network.pay(stage.application.new_address("bob"), DEPOSIT)
    for confirmations in (1, 2):
        # No notification tells of the second one, so the daemon knows the newest block: it will be no reason to look.
        stage.network.mine()
        stage.wait_for_update(seen, confirmations=confirmations)
    address = stage.application.new_address("alice")
    assert stage.daemon.stop() == 0
    txid = stage.network.pay(address, DEPOSIT)
    if blocks:
        stage.network.mine(blocks)
    assert stage.application.balance("alice") == stage.application.unconfirmed_balance("alice") == 0
    stage.start_daemon()
    credited = stage.wait_for_update(txid, confirmations=blocks).credited
    assert credited == (blocks == 3)
    assert stage.application.balance("alice") == (DEPOSIT if credited else 0)
    assert stage.application.unconfirmed_balance("alice") == (0 if credited else DEPOSIT)
    assert [update.confirmations for update in stage.application.updates.of(txid)] == [blocks]


def test_deposit_seen_before_a_kill_is_credited_once_after_it(any_stage: OpenStage) -> None:
    stage = any_stage()
    stage.start_daemon()
    txid = stage.network.pay(stage.application.new_address("alice"), DEPOSIT)
    stage.wait_for_update(txid, confirmations=0)
    stage.daemon.kill()
    stage.network.mine(3)
    stage.start_daemon()
    stage.wait_for_update(txid, confirmations=3)
    stage.network.mine()
    stage.wait_for_update(txid, confirmations=4)
    assert stage.application.balance("alice") == stage.network.balance() == DEPOSIT
    assert [update.confirmations for update in stage.application.updates.of(txid)] == [0, 3, 4]


# --- The node is down -------------------------------------------------------------------------------------------


def has_problem(stage: Stage) -> bool:
    """Tell whether the status page shows that the node does not answer."""
    report = stage.daemon.report()
    return report is not None and report["coins"][0]["problem"] is not None


def is_well(stage: Stage) -> bool:
    """Tell whether the status page shows that all is well and that the node answered."""
    report = stage.daemon.report()
    return report is not None and report["healthy"] and report["coins"][0]["last_success_at"] is not None


@pytest.mark.postgres
@pytest.mark.regtest
def test_daemon_that_starts_before_its_node_works_when_the_node_is_up(litecoind_stage: OpenStage) -> None:
    stage = litecoind_stage()
    network = stage.network
    assert isinstance(network, LitecoindNetwork)
    address = stage.application.new_address("alice")
    network.node.stop()
    stage.start_daemon()
    stage.wait_until(lambda: has_problem(stage), "the status page shows that the node is down")
    network.node.start()
    stage.wait_until(lambda: is_well(stage), "the status page shows that the node is back")
    txid = network.pay(address, DEPOSIT)
    assert not stage.wait_for_update(txid, confirmations=0).credited
    network.mine(3)
    assert stage.wait_for_update(txid, confirmations=3).credited
    assert stage.application.balance("alice") == DEPOSIT
    assert stage.daemon.stop() == 0


@pytest.mark.postgres
@pytest.mark.regtest
def test_accounts_work_and_withdrawals_wait_while_the_node_is_down(litecoind_stage: OpenStage) -> None:
    stage = litecoind_stage()
    network = stage.network
    assert isinstance(network, LitecoindNetwork)
    stage.start_daemon()
    fund(stage)
    payee, gift = network.outside_address(), Decimal("0.1")
    stage.application.new_address("bob")
    network.node.stop()
    stage.wait_until(lambda: has_problem(stage), "the status page shows that the node is down")
    stage.application.move("alice", "bob", gift)
    stage.application.move("bob", "alice", gift)
    transaction = stage.application.send("alice", payee, BILL)
    assert stage.application.balances() == {"alice": DEPOSIT - BILL, "bob": Decimal(0)}
    network.node.start()
    update = stage.wait_for(lambda update: update.transaction == transaction, "the withdrawal is broadcast")
    assert network.received(payee) == BILL
    assert list(network.fees()) == [update.txid]
    assert stage.daemon.stop() == 0
