"""Backends that send in one go: what is in doubt is never repeated by the machine."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import FEE, Crash, Wire, WiredResolver, World, outside
from one_shot import OneShotSimnet

from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BackendUnavailableError,
    InsufficientHotWalletFunds,
    LedgerError,
    OutcomeUnknownError,
    RecipientRejectedError,
)
from cryptoassets_core.tools.broadcastoneshot import interrupt_if_overdue
from cryptoassets_core.tools.broadcastrows import load_unsettled
from cryptoassets_core.tools.teller import Teller


def raising(error: BaseException) -> Any:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_withdrawals_are_sent_once_and_the_fee_is_booked(world: World) -> None:
    alice = world.funded("5")
    world.withdraw(outside(1), "1")
    world.withdraw(outside(2), "2")
    backend = OneShotSimnet(world)
    result = world.broadcast(backend=backend)
    assert (result.count, result.fees, backend.labels) == (1, FEE, ["btc-broadcast-2"])
    assert world.broadcast(backend=backend).count == 0
    (sent,) = world.network_rows("broadcast")
    assert (sent.state, sent.fee, sent.opened_at <= sent.closed_at) == ("live", FEE, True)
    assert world.broadcaster(backend=backend).check_interrupted_broadcasts() == []
    assert (world.paid(outside(1)), world.paid(outside(2)), world.balance(alice)) == ([1], [2], 2)
    world.step(3)
    assert world.network_rows("broadcast")[0].confirmations == 3
    assert world.total() == world.net.balance()
    world.check()


def test_it_is_opened_before_the_backend_is_called(world: World) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    seen = []

    def look() -> None:
        (broadcast,) = world.network_rows("broadcast")
        seen.append((broadcast.state, broadcast.opened_at is not None, broadcast.closed_at))
        with pytest.raises(LedgerError, match="may be on the network"):
            Teller(world.coin, world.app.conflict_resolver).cancel_withdrawal(
                world.row(withdrawal).wallet_id, withdrawal
            )

    assert world.broadcast(backend=OneShotSimnet(world, before=look)).count == 1
    assert seen == [("opened", True, None)]


@pytest.mark.parametrize(
    "refusal",
    [
        BackendUnavailableError("it is closed"),
        BackendRejectedError("not today"),
        InsufficientHotWalletFunds("the hot wallet is empty"),
    ],
)
def test_definite_refusal_is_tried_again(world: World, refusal: BackendError) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    assert world.broadcast(backend=OneShotSimnet(world, before=raising(refusal))).count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.state, waiting.opened_at, waiting.attempts) == ("collected", None, 1)
    assert (waiting.reason, waiting.next_attempt_at > world.now) == (str(refusal), True)
    assert world.broadcast(backend=OneShotSimnet(world)).count == 1
    assert world.paid(outside(1)) == [1]
    world.check()


def test_bad_recipient_fails_alone(world: World) -> None:
    alice = world.funded("5")
    bad, good = world.withdraw(outside(1), "1"), world.withdraw(outside(2), "1")
    errors: list[Exception] = [RecipientRejectedError("no such recipient", address=outside(1))]

    def once() -> None:
        if errors:
            raise errors.pop()

    assert world.broadcast(backend=OneShotSimnet(world, before=once)).count == 1
    assert (world.row(bad).state, world.row(good).state, world.balance(alice)) == ("failed", "broadcasted", 4)
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([], [1])
    (told,) = world.events("withdrawal_failed")
    (refund,) = world.rows("refund")
    assert told == {
        "coin_name": "btc",
        "transaction": bad,
        "refund": refund.id,
        "account": alice,
        "address": outside(1),
        "amount": "1.00000000",
        "reason": "no such recipient",
    }
    world.check()


DOUBTS = [
    OutcomeUnknownError("the answer did not come in time"),
    BackendError("something else"),
    TypeError("a bug in the plugin"),
    ConnectionResetError("gone"),
]


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda doubt: type(doubt).__name__)
@pytest.mark.parametrize("sent", [True, False])
def test_unknown_outcome_is_never_repeated_and_told_once(world: World, doubt: Exception, sent: bool) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    fault = {"after" if sent else "before": raising(doubt)}
    backend = OneShotSimnet(world, **fault)
    assert world.broadcast(backend=backend).count == 0
    for _ in range(3):
        assert world.broadcast(backend=backend).count == 0
    (broadcast,) = world.network_rows("broadcast")
    assert (backend.labels, broadcast.state) == ([f"btc-broadcast-{broadcast.id}"], "opened")
    assert world.broadcaster(backend=backend).check_interrupted_broadcasts() == [broadcast.id]
    (told,) = world.events("broadcast_interrupted")
    assert told == {
        "coin_name": "btc",
        "network_transaction": broadcast.id,
        "label": f"btc-broadcast-{broadcast.id}",
        "withdrawals": 1,
        "amount": "1.00000000",
        "reason": broadcast.reason,
    }
    assert (world.row(withdrawal).state, world.paid(outside(1))) == ("pending", [1] if sent else [])
    world.check()


@pytest.mark.parametrize("answer", [None, "txid", 7, {}])
def test_nonsense_in_place_of_a_transaction_leaves_it_interrupted(world: World, answer: object) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    backend = OneShotSimnet(world, after=lambda _: answer)
    for _ in range(2):
        assert world.broadcast(backend=backend).count == 0
    assert len(backend.labels) == 1
    (broadcast,) = world.network_rows("broadcast")
    assert (broadcast.state, "in place of a transaction" in broadcast.reason) == ("opened", True)


def test_process_that_dies_at_any_moment_never_sends_twice(world: World) -> None:
    world.funded("1", coins=30)
    number, lived = 0, False
    while not lived:
        world.withdraw(outside(number), "0.3")
        wire = Wire(number)
        resolver = WiredResolver(world.app.conflict_resolver, wire)
        backend = OneShotSimnet(
            world,
            before=lambda: wire.step("before send"),  # noqa: B023 - called in this turn only
            after=lambda sent: (wire.step("send done"), sent)[1],  # noqa: B023
        )
        try:
            world.broadcast(backend=backend, resolver=resolver)
            lived = True
        except Crash:
            pass
        again = OneShotSimnet(world)
        world.broadcast(backend=again)
        opened = world.broadcaster(backend=again).check_interrupted_broadcasts()
        if opened:
            assert again.labels == [], wire.passed
            world.app.conflict_resolver.run(lambda session: release(world, session))
            if not world.paid(outside(number)):
                world.broadcast(backend=again)
        assert world.paid(outside(number)) == [Decimal("0.3")], wire.passed
        number += 1
    assert {"before send", "send done"} <= set(wire.passed)
    assert len(wire.passed) > 8


def release(world: World, session: Any) -> None:
    """Do what a person does who looked at the backend."""
    (broadcast,) = [row for row in world.network_rows("broadcast") if row.closed_at is None]
    (withdrawal,) = [row for row in world.rows("withdrawal") if row.network_transaction_id == broadcast.id]
    (address,) = [
        row.address for row in session.execute(world.tables.address.select()) if row.id == withdrawal.address_id
    ]
    desk = world.broadcaster()._desk
    if world.paid(address):
        with world.net.file.read() as db:
            (txid,) = db.execute("SELECT txid FROM coin WHERE address = ?", (address,)).fetchone()
        assert desk.settle(session, broadcast.id, broadcast.state, txid=txid, fee=FEE)
    else:
        assert desk.give_up(session, broadcast.id, broadcast.state, reason="never sent")


def test_crash_is_told_once_nobody_can_be_in_the_call_any_more(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    with pytest.raises(Crash):
        world.broadcast(backend=OneShotSimnet(world, after=raising(Crash())))
    backend = OneShotSimnet(world)
    world.now += timedelta(minutes=1)
    world.broadcaster(backend=backend).do_broadcasts()
    assert world.events("broadcast_interrupted") == []  # perhaps another process is just sending it
    for _ in range(2):
        world.now += timedelta(minutes=10)
        world.broadcaster(backend=backend).do_broadcasts()
    assert len(world.events("broadcast_interrupted")) == 1
    assert backend.labels == []
    assert world.paid(outside(1)) == [1]


def test_two_broadcasters_that_find_it_interrupted_tell_it_once(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    with pytest.raises(Crash):
        world.broadcast(backend=OneShotSimnet(world, after=raising(Crash())))
    world.now += timedelta(hours=1)
    desk, wallet = world.broadcaster()._desk, world.rows("withdrawal")[0].wallet_id
    seen = world.run(lambda session: load_unsettled(session, world.tables, wallet))
    assert seen is not None
    for _ in range(2):  # both looked before either said so
        interrupt_if_overdue(desk, seen)
    assert len(world.events("broadcast_interrupted")) == 1


def test_two_broadcasters_at_once_send_once(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    other = OneShotSimnet(world)
    second = world.broadcaster(backend=other)
    assert world.broadcast(backend=OneShotSimnet(world, before=lambda: second.do_broadcasts() and None)).count == 1
    assert other.labels == []
    assert world.paid(outside(1)) == [1]


def test_trouble_of_one_daemon_does_not_interrupt_what_another_one_is_sending(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    broadcaster, wallet = world.broadcaster(), world.rows("withdrawal")[0].wallet_id
    broadcaster.collect_for_broadcast()
    seen = world.run(lambda session: load_unsettled(session, world.tables, wallet))
    assert seen is not None

    def late_word_of_the_other() -> None:
        broadcaster._desk.postpone(seen, BackendUnavailableError("busy"))
        (opened,) = world.network_rows("broadcast")
        assert (opened.state, opened.reason, opened.next_attempt_at) == ("opened", None, None)

    assert world.broadcast(backend=OneShotSimnet(world, before=late_word_of_the_other)).count == 1


def test_broadcast_that_a_person_settles_during_the_call_is_not_called_interrupted(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")

    def answer_is_lost(_sent: object) -> None:
        world.run(lambda session: release(world, session))
        raise OutcomeUnknownError("no answer")

    assert world.broadcast(backend=OneShotSimnet(world, after=answer_is_lost)).count == 0
    (settled,) = world.network_rows("broadcast")
    assert (settled.state, settled.reason, world.events("broadcast_interrupted")) == ("live", None, [])


def test_broadcast_that_a_person_took_for_unsent_during_the_call_is_shouted_about(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    broadcaster = world.broadcaster()

    def taken_for_unsent(sent: Any) -> Any:
        (opened,) = world.network_rows("broadcast")
        world.run(lambda session: broadcaster._desk.give_up(session, opened.id, opened.state, reason="never sent"))
        world.net.set_down(True)  # so that it is not paid again at once
        return sent

    assert world.broadcast(backend=OneShotSimnet(world, after=taken_for_unsent)).count == 0
    assert "was resolved otherwise meanwhile: look at it, it may be paid twice" in caplog.text


def test_fee_that_is_not_known_at_once_is_booked_when_it_is(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    assert world.broadcast(backend=OneShotSimnet(world, tells_fee=False)).fees == 0
    assert world.rows("network_fee") == []
    world.step(3)
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    assert world.network_rows("broadcast")[0].fee == FEE
    assert world.total() == world.net.balance()
    world.check()


def test_stored_transaction_waits_for_the_backend_that_signed_it(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.fault("submit", "refuse")
    world.broadcast()
    backend = OneShotSimnet(world)
    assert world.broadcast(backend=backend).count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (backend.labels, waiting.state, "configure" in waiting.reason) == ([], "prepared", True)
    assert world.broadcast().count == 1
    assert world.paid(outside(1)) == [1]
