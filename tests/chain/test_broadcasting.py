"""Withdrawals leave once: bundling, refusals, faults of the node, cancelling, and death on the chain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside
from sqlalchemy import event

from cryptoassets_core.errors import BackendRejectedError, LedgerError, RecipientRejectedError
from cryptoassets_core.tools.broadcastagain import submit_again
from cryptoassets_core.tools.teller import Teller


def locked(world: World) -> set[tuple[str, int]]:
    """Return the coins that the node keeps for somebody."""
    with world.net.file.read() as db:
        return {(row["txid"], row["vout"]) for row in db.execute("SELECT txid, vout FROM lock")}


def states(world: World) -> list[str]:
    return [str(row.state) for row in world.rows("withdrawal")]


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
    assert (states(world), world.balance(alice)) == (["broadcasted"], Decimal("3.75"))
    assert world.total() == world.net.balance()
    world.check()


def test_payments_to_one_address_are_merged(world: World) -> None:
    world.funded("5")
    for amount in ("0.5", "0.25", "1"):
        world.withdraw(outside(1), amount)
    world.withdraw(outside(2), "1")
    assert world.broadcast().count == 1
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([Decimal("1.75")], [1])
    assert states(world) == ["broadcasted"] * 4
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


# --- Faults of the node -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["prepare", "submit", "hold", "release"])
@pytest.mark.parametrize("kind", ["refuse", "timeout-before", "timeout-after"])
def test_fault_of_the_node_pays_nobody_twice_and_nobody_never(world: World, method: str, kind: str) -> None:
    world.funded("1", coins=12)
    world.withdraw(outside(1), "1")
    world.net.fault("submit", "refuse")  # so that hold is called too
    world.net.fault(method, kind, count=2)
    for number in range(2, 6):
        world.broadcast()
        world.withdraw(outside(number), "1")
    world.broadcast()
    assert [world.paid(outside(number)) for number in range(1, 6)] == [[1]] * 5
    assert states(world) == ["broadcasted"] * 5
    carried = [broadcast.fee for broadcast in world.network_rows("broadcast")]
    assert [row.amount for row in world.rows("network_fee")] == carried
    assert world.total() == world.net.balance()
    world.check()


def test_node_that_is_down_is_asked_again_after_a_pause(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    assert world.broadcast().count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.attempts, waiting.next_attempt_at > world.now) == (1, True)
    world.net.set_down(False)
    assert world.broadcaster().do_broadcasts().count == 0  # not before the pause is over
    assert world.paid(outside(1)) == []
    world.now += timedelta(seconds=6)
    assert world.broadcaster().do_broadcasts().count == 1
    (sent,) = world.network_rows("broadcast")
    assert (sent.attempts, sent.next_attempt_at, sent.reason) == (0, None, None)


def test_application_sees_why_a_withdrawal_waits_and_until_when(world: World) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.net.set_down(True)
    world.broadcast()
    with world.app.open_readonly_session() as session:
        waiting = session.get_one(world.coin.transaction_model, withdrawal)
        assert waiting.state == "pending"
        assert "is down" in waiting.reason
        assert waiting.next_attempt_at > world.now
    world.net.set_down(False)
    world.broadcast()
    with world.app.open_readonly_session() as session:
        sent = session.get_one(world.coin.transaction_model, withdrawal)
        assert (sent.state, sent.reason, sent.next_attempt_at) == ("broadcasted", None, None)


@pytest.mark.parametrize("days", [-1, 365])
def test_clock_that_jumps_neither_delays_a_withdrawal_nor_pays_it_twice(world: World, days: int) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.fault("submit", "timeout-after")
    world.broadcast()
    world.now += timedelta(days=days)
    assert world.broadcaster().do_broadcasts().count == 1
    world.now -= timedelta(days=days)
    world.broadcast()
    submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
    assert world.paid(outside(1)) == [1]
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    world.check()


def test_pauses_grow_up_to_a_limit(sqlite_world: World) -> None:
    world = sqlite_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    pauses = []
    for _ in range(10):
        world.broadcast()
        pauses.append((world.network_rows("broadcast")[0].next_attempt_at - world.now).total_seconds())
    assert 2.5 <= pauses[0] <= 5
    assert all(300 <= pause <= 600 for pause in pauses[-2:])


def test_inputs_are_held_again_before_a_stored_transaction_is_submitted(world: World) -> None:
    world.funded("1", coins=3)
    world.withdraw(outside(1), "0.9")
    world.net.fault("submit", "refuse")
    world.broadcast()
    world.net.forget_locks()  # the node was restarted
    rivals: list[Any] = []

    def other_user(name: str) -> None:
        if name == "submit":  # of the same hot wallet, at the worst moment
            rivals.append(world.backend.prepare({outside(9): Decimal("1.5")}))
            world.backend.submit(rivals[0])

    world.broadcast(backend=Observed(world.backend, before=other_user))
    assert len(rivals) == 1
    assert (world.paid(outside(1)), world.paid(outside(9))) == ([Decimal("0.9")], [Decimal("1.5")])


# --- What cannot be paid ----------------------------------------------------------------------------------------


class Refusing:
    """Refuses some recipients for good, whatever else a batch holds."""

    def __init__(self, world: World, *bad: str) -> None:
        self.backend = Observed(world.backend)
        self.bad = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def prepare(self, recipients: dict[str, Decimal]) -> Any:
        for address in recipients:
            if address in self.bad:
                raise RecipientRejectedError(f"the network does not carry payments to {address}", address=address)
        return self.backend.prepare(recipients)


def test_bad_recipients_fail_alone_and_are_refunded_and_the_others_go_at_once(world: World) -> None:
    alice = world.funded("20")
    for number in range(6):
        world.withdraw(outside(number), "1")
    world.withdraw(outside(1), "2")
    assert world.broadcast(backend=Refusing(world, outside(1), outside(4))).count == 1
    assert states(world) == ["broadcasted", "failed", "broadcasted", "broadcasted", "failed", "broadcasted", "failed"]
    assert sorted(row.amount for row in world.rows("refund")) == [1, 1, 2]
    assert world.balance(alice) == 16
    assert [world.paid(outside(number)) for number in range(6)] == [[1], [], [1], [1], [], [1]]
    assert world.total() == world.net.balance()
    world.check()


class Unhelpful(Refusing):
    """Refuses what it does not like without saying why, and takes so many recipients at most."""

    def __init__(self, world: World, *bad: str, most: int = 100) -> None:
        super().__init__(world, *bad)
        self.most = most
        self.asked = 0

    def prepare(self, recipients: dict[str, Decimal]) -> Any:
        self.asked += 1
        if len(recipients) > self.most or not recipients.keys().isdisjoint(self.bad):
            raise BackendRejectedError("no")
        return self.backend.prepare(recipients)


def test_bad_recipients_that_the_backend_does_not_name_fail_alone(world: World) -> None:
    alice = world.funded("40")
    for number in range(20):
        world.withdraw(outside(number), "1")
    unhelpful = Unhelpful(world, outside(3), outside(17))
    assert world.broadcast(backend=unhelpful).count == 1
    assert unhelpful.asked < 25
    assert [number for number, state in enumerate(states(world)) if state == "failed"] == [3, 17]
    assert world.balance(alice) == 22
    assert [world.paid(outside(number)) for number in range(20)] == [[] if n in (3, 17) else [1] for n in range(20)]
    world.check()


def test_bad_recipient_that_is_alone_in_its_batch_does_not_keep_others_waiting(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "1")
    unhelpful = Unhelpful(world, outside(1))
    assert world.broadcast(backend=unhelpful).count == 0
    assert states(world) == ["pending"]  # it may be that nobody can be paid
    world.withdraw(outside(2), "1")
    assert world.broadcast(backend=unhelpful).count == 1
    assert (states(world), world.paid(outside(2))) == (["failed", "broadcasted"], [1])
    assert world.balance(alice) == 4
    world.check()


def test_backend_that_pays_nobody_fails_nobody(world: World) -> None:
    world.funded("40")
    for number in range(30):
        world.withdraw(outside(number), "1")
    unhelpful = Unhelpful(world, *(outside(number) for number in range(30)))
    assert world.broadcast(backend=unhelpful).count == 0
    assert (set(states(world)), world.network_rows("broadcast")[0].attempts) == ({"pending"}, 1)
    assert unhelpful.asked < 20
    assert world.broadcast().count == 1


def test_batch_that_is_too_large_goes_in_parts(world: World) -> None:
    world.funded("5", coins=4)
    for number in range(10):
        world.withdraw(outside(number), "1")
    assert world.broadcast(backend=Unhelpful(world, most=3)).count == 4
    assert [world.paid(outside(number)) for number in range(10)] == [[1]] * 10
    assert world.total() == world.net.balance()
    world.check()


def test_withdrawal_that_would_cost_more_than_it_pays_is_refunded(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "0.00009999")
    assert world.broadcast().count == 0
    assert (states(world), world.balance(alice)) == (["failed"], 5)
    (told,) = world.events("withdrawal_failed")
    assert "a fee of 0.00010000" in told["reason"]
    world.withdraw(outside(1), "0.0001")
    assert world.broadcast().count == 1
    world.check()


def test_batch_of_only_bad_recipients_is_given_up_and_the_next_one_goes(world: World) -> None:
    world.funded("20")
    world.withdraw(outside(1), "1")
    refusing = Refusing(world, outside(1))
    assert world.broadcast(backend=refusing).count == 0
    world.withdraw(outside(2), "1")
    assert world.broadcast(backend=refusing).count == 1
    assert states(world) == ["failed", "broadcasted"]
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]


def test_recipient_that_two_broadcasters_find_bad_is_refunded_once(world: World) -> None:
    alice = world.funded("20")
    world.withdraw(outside(1), "1")
    world.withdraw(outside(2), "1")
    refusing = Refusing(world, outside(1))
    second = world.broadcaster(backend=refusing)

    class Slow(Refusing):
        def prepare(self, recipients: dict[str, Decimal]) -> Any:
            if outside(1) in recipients:
                second.do_broadcasts()  # the other process is quicker
            return super().prepare(recipients)

    world.broadcast(backend=Slow(world, outside(1)))
    assert (states(world), world.balance(alice)) == (["failed", "broadcasted"], 19)
    assert world.paid(outside(2)) == [1]
    world.check()


def test_recipient_refused_after_signing_is_not_refunded(world: World) -> None:
    alice = world.funded("20")
    world.withdraw(outside(1), "1")

    def refuse(name: str) -> None:
        if name == "submit":
            raise RecipientRejectedError("changed its mind", address=outside(1))

    world.broadcast(backend=Observed(world.backend, before=refuse))
    assert (states(world), world.balance(alice)) == (["pending"], 19)
    world.broadcast()
    assert world.paid(outside(1)) == [1]


def test_insufficient_hot_wallet_keeps_the_queue_in_order(world: World) -> None:
    alice = world.funded("10")
    # Somebody emptied the hot wallet behind our back.
    world.backend.submit(world.backend.prepare({outside(99): Decimal("9.5")}))
    world.net.mine()
    world.withdraw(outside(1), "5")
    assert world.broadcast().count == 0
    world.withdraw(outside(2), "0.1")
    assert world.broadcast().count == 0
    assert states(world) == ["pending", "pending"]
    assert "fund it" in world.network_rows("broadcast")[0].reason
    world.net.fund(Decimal(6))
    assert world.broadcast().count == 2
    first, second = world.rows("withdrawal")
    assert first.network_transaction_id < second.network_transaction_id
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([5], [Decimal("0.1")])
    assert world.balance(alice) == Decimal("4.9")
    world.check()


# --- Cancelling -------------------------------------------------------------------------------------------------


def cancel(world: World, withdrawal: int) -> int:
    return Teller(world.coin, world.app.conflict_resolver).cancel_withdrawal(
        world.row(withdrawal).wallet_id, withdrawal
    )


def test_withdrawal_cancelled_while_it_is_signed_is_never_paid(world: World) -> None:
    alice = world.funded("5", coins=2)
    first, second = world.withdraw(outside(1), "1"), world.withdraw(outside(2), "1")

    def meanwhile(name: str, answer: Any) -> Any:
        if name == "prepare" and world.row(first).state == "pending":
            cancel(world, first)
        return answer

    assert world.broadcast(backend=Observed(world.backend, after=meanwhile)).count == 1
    world.broadcast()
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([], [1])
    assert (world.row(first).state, world.row(second).state) == ("cancelled", "broadcasted")
    assert world.balance(alice) == 9
    assert world.total() == world.net.balance()
    # What was signed in vain keeps no coins.
    assert locked(world) == set()
    world.check()


@pytest.mark.parametrize("moment", ["hold", "submit"])
def test_withdrawal_that_is_signed_cannot_be_cancelled(world: World, moment: str) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    world.net.fault("submit", "refuse")
    refused = []

    def meanwhile(name: str) -> None:
        if name == moment:
            with pytest.raises(LedgerError, match="signed"):
                cancel(world, withdrawal)
            refused.append(name)

    for _ in range(2):
        world.broadcast(backend=Observed(world.backend, before=meanwhile))
    assert refused
    assert world.paid(outside(1)) == [1]
    world.check()


@pytest.mark.postgres
def test_withdrawal_signed_between_the_looks_of_a_cancellation_is_not_refunded(postgres_world: World) -> None:
    world = postgres_world
    alice = world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    other = world.reopened()
    other.net.fault("submit", "refuse")

    def sign_meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE btc_transaction SET state") and not other.network_rows("broadcast"):
            other.broadcast()

    event.listen(world.app.engine, "before_cursor_execute", sign_meanwhile)
    with pytest.raises(LedgerError):
        cancel(world, withdrawal)
    event.remove(world.app.engine, "before_cursor_execute", sign_meanwhile)
    other.broadcast()
    other.close()
    assert world.paid(outside(1)) == [1]
    assert (world.row(withdrawal).state, world.balance(alice)) == ("broadcasted", 4)
    world.check()


# --- Death on the chain -----------------------------------------------------------------------------------------


def test_broadcast_whose_input_is_stolen_is_rebuilt_and_paid_once(world: World) -> None:
    world.funded("5")
    world.net.fund(Decimal(3))
    world.withdraw(outside(1), "2")
    world.net.fault("submit", "refuse")
    world.broadcast()
    (dead,) = world.network_rows("broadcast")
    world.net.forget_locks()
    world.backend.submit(world.backend.prepare({outside(9): Decimal("4.9")}))  # somebody with the same keys
    # Unconfirmed, it proves nothing yet, and what is not deep could be reorganised away.
    for blocks in (0, 1, 13):
        if blocks:
            world.net.mine(blocks)
        assert world.broadcast().count == 0
        assert [row.state for row in world.network_rows("broadcast")] == ["prepared"]
    assert "14 blocks deep, and it is built anew at 15" in world.network_rows("broadcast")[0].reason
    world.net.mine()
    world.broadcast()
    world.broadcast()
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]
    assert world.paid(outside(1)) == [2]
    assert not world.is_carried(dead.txid)
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    assert states(world) == ["broadcasted"]
    world.check()
