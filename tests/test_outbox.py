"""The outbox keeps events with the change they tell of, and in order, until a sink has them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from commands import eventually
from kit import Till
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from cryptoassets_core.clock import utc_now
from cryptoassets_core.database import READ_ONLY
from cryptoassets_core.event import outbox
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.event.outbox import Delivery, DeliveryState, delivery_table, event_table

#: Later than everything that these tests write.
SOON = utc_now() + timedelta(hours=1)


def event(subject: str, number: int = 0) -> NewEvent:
    return NewEvent(name="txupdate", subject=subject, data={"number": number})


def write(till: Till, *events: NewEvent, sinks: tuple[str, ...] = ("shop",)) -> None:
    """Write events and queue them."""
    till.run(lambda session: outbox.record(session, events))
    till.run(lambda session: outbox.fan_out(session, sinks))


def due(till: Till, sink: str = "shop", *, now: datetime = SOON) -> list[Delivery]:
    return till.run(lambda session: outbox.due_deliveries(session, sink, now=now))


def numbers(deliveries: list[Delivery]) -> list[object]:
    return [delivery.event.data["number"] for delivery in deliveries]


def fail(till: Till, delivery: Delivery, *, now: datetime = SOON) -> DeliveryState:
    return till.run(lambda session: outbox.mark_failed(session, "shop", delivery, "no", now=now))


def deliver(till: Till, delivery: Delivery, *, now: datetime = SOON) -> None:
    till.run(lambda session: outbox.mark_delivered(session, "shop", [delivery.row_id], now=now))


def row(till: Till) -> Any:
    """Return the delivery of the first event."""
    with till.engine.connect() as connection:
        return connection.execute(select(delivery_table).order_by(delivery_table.c.event_row_id).limit(1)).one()


def test_event_is_written_with_the_commit_or_not_at_all(till: Till) -> None:
    def work(session: Session) -> None:
        outbox.record(session, [event("a")])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        till.run(work)
    write(till)
    assert due(till) == []
    write(till, event("a"))
    assert len(due(till)) == 1


def test_nobody_sees_an_event_before_the_commit(till: Till) -> None:
    with till.app.open_session() as session:
        outbox.record(session, [event("a")])
        with till.engine.execution_options(**{READ_ONLY: True}).connect() as other:
            assert other.scalar(select(func.count()).select_from(event_table)) == 0
        session.commit()
    write(till)
    assert len(due(till)) == 1


def test_fan_out_queues_each_event_once_at_each_sink(till: Till) -> None:
    write(till, event("a"), sinks=("shop", "log"))
    write(till, sinks=("shop", "log"))
    assert [len(due(till, sink)) for sink in ("shop", "log")] == [1, 1]
    assert due(till, "shop")[0].event == due(till, "log")[0].event


def test_events_wait_for_the_first_sink_there_is(till: Till) -> None:
    till.run(lambda session: outbox.record(session, [event("a")]))
    assert due(till) == []
    write(till)
    assert len(due(till)) == 1


def test_later_event_of_a_subject_waits_for_the_earlier_while_other_subjects_pass(till: Till) -> None:
    write(till, event("a", 1), event("a", 2), event("b", 3))
    first = due(till)
    assert numbers(first) == [1, 3]
    fail(till, first[0])
    assert numbers(due(till)) == [3]
    deliver(till, first[0])
    assert set(numbers(due(till))) == {2, 3}


def test_event_keeps_its_id_at_every_attempt(till: Till) -> None:
    write(till, event("a"), event("b"))
    before = due(till)
    for delivery in before:
        fail(till, delivery)
    after = due(till, now=SOON + timedelta(hours=1))
    assert {delivery.event.id for delivery in after} == {delivery.event.id for delivery in before}
    assert len({delivery.event.id for delivery in after}) == 2


def test_pauses_between_attempts_grow_to_about_an_hour(till: Till) -> None:
    write(till, event("a"))
    now, pauses = SOON, []
    for _ in range(16):
        (delivery,) = due(till, now=now)
        fail(till, delivery, now=now)
        later = row(till).next_attempt_at
        assert due(till, now=later - timedelta(milliseconds=1)) == []
        pauses.append((later - now).total_seconds())
        now = later
    # Each is random, from half of its limit to the limit, and the limit doubles.
    assert all(2**n / 2 <= pause <= min(2**n, 3600) for n, pause in enumerate(pauses[:12]))
    assert all(1800 <= pause <= 3600 for pause in pauses[12:])


def attempts_until_dead(till: Till, *, now: datetime) -> tuple[int, datetime]:
    """Let every attempt fail and return how many there were, and when the last was."""
    for attempt in range(1, 1000):
        (delivery,) = due(till, now=now)
        if fail(till, delivery, now=now) is DeliveryState.DEAD:
            return attempt, now
        now = row(till).next_attempt_at
    raise AssertionError


def test_event_is_dead_after_days_and_kept(till: Till) -> None:
    write(till, event("a", 1), event("a", 2))
    attempts, died_at = attempts_until_dead(till, now=utc_now())
    assert timedelta(days=3) < died_at - utc_now() < timedelta(days=3, hours=2)
    assert attempts > outbox.LEAST_ATTEMPTS
    with till.engine.connect() as connection:
        dead = connection.execute(select(delivery_table).where(delivery_table.c.state == DeliveryState.DEAD)).one()
    assert dead.last_error == "no"
    # What came after it is not held up any longer.
    assert numbers(due(till, now=died_at)) == [2]


def test_daemon_that_was_off_for_days_buries_nothing_at_its_first_try(till: Till) -> None:
    write(till, event("a"))
    attempts, _ = attempts_until_dead(till, now=utc_now() + timedelta(days=30))
    assert attempts == outbox.LEAST_ATTEMPTS


def test_failure_does_not_undo_the_success_of_another_dispatcher(till: Till) -> None:
    write(till, event("a"))
    (delivery,) = due(till)
    deliver(till, delivery)
    fail(till, delivery)
    assert row(till).state is DeliveryState.DELIVERED
    assert due(till, now=SOON + timedelta(days=1)) == []


@pytest.mark.postgres
@pytest.mark.parametrize("books_url", ["postgresql"], indirect=True)
def test_fan_out_never_overtakes_another_dispatcher(till: Till) -> None:
    till.run(lambda session: outbox.record(session, [event("a", 1)]))
    with till.app.open_session() as slow:
        slow.connection(execution_options={"isolation_level": outbox.ISOLATION_LEVEL})
        outbox.fan_out(slow, ["shop"])
        till.run(lambda session: outbox.record(session, [event("a", 2)]))
        seen: list[Delivery] = []
        quick = in_thread(lambda: seen.extend(fanned_out_and_due(till)))
        eventually(lambda: not quick.is_alive() or waits_for_a_lock(till))
        slow.commit()
    quick.join()
    assert numbers(seen) == [1]


def fanned_out_and_due(till: Till) -> list[Delivery]:
    resolver = till.app.conflict_resolver
    resolver.run(lambda session: outbox.fan_out(session, ["shop"]), isolation_level=outbox.ISOLATION_LEVEL)
    return due(till)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waits_for_a_lock(till: Till) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with till.engine.connect() as connection:
        return bool(connection.scalar(waiting))
