"""The books against the node: whatever is planted is named, to the smallest unit, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from chain_world import FEE, Observed, World, outside
from kit import PaperBackend, seen
from reconciling import assert_explained, broadcast_txid, fails, look, pay_by_hand

from cryptoassets_core.backend.base import ReceivedOutput
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.errors import BroadcastDeadError
from cryptoassets_core.tools.reconciliation import Cause


def test_deposit_that_the_books_lack(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal("0.3"))
    assert_explained(look(world), (Cause.UNKNOWN_DEPOSIT, txid, "0.3"))


def test_deposit_that_the_backend_has_in_conflict(world: World) -> None:
    world.funded("1")
    (deposit,) = world.network_rows("deposit")
    world.net.double_spend(deposit.txid)
    found = look(world)
    assert_explained(found, (Cause.MISSING_DEPOSIT, deposit.txid, "-1"))
    assert "is in conflict with the chain" in found.differences[0].message


def test_deposit_that_the_backend_does_not_know(world: World) -> None:
    invented = seen("nobody's", {world.address(): "0.7"}, 3)
    world.run(lambda session: apply_transactions(session, world.coin, [invented]))
    found = look(world)
    assert_explained(found, (Cause.MISSING_DEPOSIT, invented.txid, "-0.7"))
    assert "is not known to the backend" in found.differences[0].message


def test_deposit_of_another_amount(world: World) -> None:
    address = world.address()
    txid = world.net.pay(address, Decimal(1))
    world.net.mine(3)
    (reported,) = world.backend.get_transactions([txid]).values()
    wrong = replace(reported, received=(ReceivedOutput(address, Decimal("1.00000001"), 0),))
    world.run(lambda session: apply_transactions(session, world.coin, [wrong]))
    assert_explained(look(world), (Cause.DEPOSIT_AMOUNT, txid, "-0.00000001"))


def test_deposits_of_one_transaction_that_offset_each_other(world: World) -> None:
    alice, bob = world.address(), world.address(world.account("bob"))
    txid = world.net.pay_many([(alice, Decimal(1)), (bob, Decimal(2))])
    (reported,) = world.backend.get_transactions([txid]).values()
    crossed = replace(reported, received=(ReceivedOutput(alice, Decimal(2), 0), ReceivedOutput(bob, Decimal(1), 1)))
    world.run(lambda session: apply_transactions(session, world.coin, [crossed]))
    assert_explained(look(world), (Cause.DEPOSIT_AMOUNT, txid, "-1"), (Cause.DEPOSIT_AMOUNT, txid, "1"))


def test_broadcast_that_the_backend_does_not_know(world: World) -> None:
    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=PaperBackend(fee="0.00002"))
    assert_explained(look(world), (Cause.MISSING_BROADCAST, broadcast_txid(world), "0.50002"))


def test_broadcast_that_was_given_up_and_is_on_the_network(world: World) -> None:
    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=fails("submit", BroadcastDeadError("it never confirms", depth=15))(world.backend))
    assert_explained(look(world), (Cause.DEAD_BROADCAST, broadcast_txid(world), str(-Decimal("0.5") - FEE)))


def test_broadcast_whose_fee_is_another(world: World) -> None:
    def claim(name: str, answer: Any) -> Any:
        return replace(answer, fee=answer.fee + Decimal("0.00000007")) if name == "prepare" else answer

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Observed(world.backend, after=claim))
    assert_explained(look(world), (Cause.BROADCAST_FEE, broadcast_txid(world), "0.00000007"))


def test_broadcast_that_pays_more_than_its_withdrawals(world: World) -> None:
    class Generous(Observed):
        def prepare(self, recipients: dict[str, Decimal]) -> Any:
            return world.backend.prepare({to: amount + 1 for to, amount in recipients.items()})

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Generous(world.backend))
    assert_explained(look(world), (Cause.BROADCAST_AMOUNT, broadcast_txid(world), "-1"))


def test_payment_by_hand(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, outside(1), "0.5")
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-Decimal("0.5") - FEE)))


def test_payment_by_hand_to_an_account_is_a_deposit_and_a_loss(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, world.address(), "0.5")
    world.updater.handle_wallet_notify(txid)
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-Decimal("0.5") - FEE)))


def test_payment_by_hand_within_the_wallet_costs_its_fee(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, world.net.create_address(), "0.5")
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-FEE)))


def test_top_up_past_the_accounts(world: World) -> None:
    txid = world.net.fund(Decimal(5))
    assert_explained(look(world), (Cause.TOP_UP, txid, "5"))


def test_differences_that_offset_each_other_are_both_named(world: World) -> None:
    """A sum that is right proves nothing."""
    world.funded("2")
    unseen = world.net.pay(world.address(), Decimal("0.5") + FEE)
    spent = pay_by_hand(world.backend, outside(1), "0.5")
    found = look(world)
    assert found.difference == 0
    half = str(Decimal("0.5") + FEE)
    assert_explained(found, (Cause.UNKNOWN_DEPOSIT, unseen, half), (Cause.UNKNOWN_PAYMENT, spent, f"-{half}"))
