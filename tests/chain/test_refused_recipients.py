"""What cannot be paid fails alone and is refunded, and what could be paid later waits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from chain_world import Observed, World, outside

from cryptoassets_core.errors import BackendRejectedError, RecipientRejectedError


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
    assert world.withdrawal_states() == [
        "broadcasted",
        "failed",
        "broadcasted",
        "broadcasted",
        "failed",
        "broadcasted",
        "failed",
    ]
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
    assert [number for number, state in enumerate(world.withdrawal_states()) if state == "failed"] == [3, 17]
    assert world.balance(alice) == 22
    assert [world.paid(outside(number)) for number in range(20)] == [[] if n in (3, 17) else [1] for n in range(20)]
    world.check()


def test_bad_recipient_that_is_alone_in_its_batch_does_not_keep_others_waiting(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "1")
    unhelpful = Unhelpful(world, outside(1))
    assert world.broadcast(backend=unhelpful).count == 0
    assert world.withdrawal_states() == ["pending"]  # it may be that nobody can be paid
    world.withdraw(outside(2), "1")
    assert world.broadcast(backend=unhelpful).count == 1
    assert (world.withdrawal_states(), world.paid(outside(2))) == (["failed", "broadcasted"], [1])
    assert world.balance(alice) == 4
    world.check()


def test_backend_that_pays_nobody_fails_nobody(world: World) -> None:
    world.funded("40")
    for number in range(30):
        world.withdraw(outside(number), "1")
    unhelpful = Unhelpful(world, *(outside(number) for number in range(30)))
    assert world.broadcast(backend=unhelpful).count == 0
    assert (set(world.withdrawal_states()), world.network_rows("broadcast")[0].attempts) == ({"pending"}, 1)
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
    assert (world.withdrawal_states(), world.balance(alice)) == (["failed"], 5)
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
    assert world.withdrawal_states() == ["failed", "broadcasted"]
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
    assert (world.withdrawal_states(), world.balance(alice)) == (["failed", "broadcasted"], 19)
    assert world.paid(outside(2)) == [1]
    world.check()


def test_recipient_refused_after_signing_is_not_refunded(world: World) -> None:
    alice = world.funded("20")
    world.withdraw(outside(1), "1")

    def refuse(name: str) -> None:
        if name == "submit":
            raise RecipientRejectedError("changed its mind", address=outside(1))

    world.broadcast(backend=Observed(world.backend, before=refuse))
    assert (world.withdrawal_states(), world.balance(alice)) == (["pending"], 19)
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
    assert world.withdrawal_states() == ["pending", "pending"]
    assert "fund it" in world.network_rows("broadcast")[0].reason
    world.net.fund(Decimal(6))
    assert world.broadcast().count == 2
    first, second = world.rows("withdrawal")
    assert first.network_transaction_id < second.network_transaction_id
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([5], [Decimal("0.1")])
    assert world.balance(alice) == Decimal("4.9")
    world.check()
