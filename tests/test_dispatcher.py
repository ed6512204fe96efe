"""The dispatcher delivers what is in the outbox: in order, in time, and nobody waits for a sink that is down."""

from __future__ import annotations

import threading
import time

import pytest
from commands import eventually
from delivery_stage import Hands, Shop, deliver_all, in_order, in_state, make, refuse, running, write
from kit import Till, open_till

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event import courier as courier_module
from cryptoassets_core.event import dispatcher as dispatcher_module
from cryptoassets_core.event import news as news_module
from cryptoassets_core.event import outbox
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.outbox import DeliveryState


def test_everything_is_delivered_once_and_in_order(till: Till) -> None:
    write(till, "a0", "b0", "a1", "a2", "b1")
    shop = Shop()
    deliver_all(make(till, shop), shop)
    assert sorted(shop.said()) == ["a0", "a1", "a2", "b0", "b1"]
    assert in_order(shop.said())


def test_refused_event_holds_up_its_subject_and_no_other(till: Till) -> None:
    write(till, "a0", "a1", "b0", "b1")
    shop, clock = Shop(then=refuse("a")), Hands()
    dispatcher = make(till, shop, clock=clock)
    for _ in range(6):
        dispatcher.deliver_due(shop)
    assert shop.said() == ["a0", "b0", "b1"]
    # It is tried again, and not before its time.
    clock.forward(seconds=1)
    dispatcher.deliver_due(shop)
    assert shop.said() == ["a0", "b0", "b1", "a0"]


def test_refused_event_comes_again_with_the_same_id(till: Till) -> None:
    write(till, "a0")
    shop, clock = Shop(then=refuse("a")), Hands()
    dispatcher = make(till, shop, clock=clock)
    for _ in range(3):
        dispatcher.deliver_due(shop)
        clock.forward(minutes=1)
    assert len(shop.given) == 3
    assert len({event.id for event in shop.given}) == 1


def test_sink_that_fails_in_an_unforeseen_way_only_refuses(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    def fall_over(event: Event) -> None:
        raise ZeroDivisionError

    write(till, "a0")
    shop = Shop(then=fall_over)
    make(till, shop).deliver_due(shop)
    assert in_state(till, DeliveryState.PENDING) == 1
    assert "unexpected ZeroDivisionError" in caplog.text


def test_dead_event_is_logged_as_an_error(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    write(till, "a0")
    shop, clock = Shop(then=refuse("a")), Hands()
    dispatcher = make(till, shop, clock=clock)
    while in_state(till, DeliveryState.DEAD) == 0:
        dispatcher.deliver_due(shop)
        clock.forward(hours=4)
    assert [record.levelname for record in caplog.records if "is dead: closed on Sundays" in record.message] == [
        "ERROR"
    ]
    assert len(shop.given) == outbox.LEAST_ATTEMPTS


def test_sink_that_hangs_does_not_delay_another(till: Till) -> None:
    names = [f"{subject}{number}" for number in range(5) for subject in "abc"]
    write(till, *names)
    let_go = threading.Event()
    slow, quick = Shop("slow", then=lambda _: let_go.wait() and None), Shop("quick")
    with running(make(till, slow, quick)):
        eventually(lambda: len(quick.given) == len(names))
        assert len(slow.given) == 1
        let_go.set()
        eventually(lambda: len(slow.given) == len(names))
    assert in_order(slow.said())
    assert in_order(quick.said())


def test_event_of_another_process_is_found_without_a_word(till: Till) -> None:
    shop = Shop()
    with running(make(till, shop)):
        write(till, "a0")
        eventually(lambda: shop.given)


def test_event_of_another_process_comes_within_a_second_though_nobody_looks(
    till: Till, books_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("POLL_SECONDS", "FALLBACK_SECONDS"):
        monkeypatch.setattr(dispatcher_module, pause, 3600)
    shop, looks = Shop(), []
    monkeypatch.setattr(
        outbox, "fan_out", lambda *args, _fan_out=outbox.fan_out, **kw: (looks.append(1), _fan_out(*args, **kw))[1]
    )
    with open_till(books_url) as other, running(make(till, shop, engine=till.engine)):
        eventually(lambda: looks)
        for number in range(3):
            write(other, f"a{number}")
            began = time.monotonic()
            eventually(lambda number=number: len(shop.given) == number + 1)
            # A second is what is promised; this machine may be busy.
            assert time.monotonic() - began < 5
    assert len(looks) < 20


@pytest.mark.postgres
def test_news_are_heard_again_after_the_connection_was_lost(
    postgres_till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "FALLBACK_SECONDS", 3600)
    monkeypatch.setattr(news_module, "RECONNECT_SECONDS", 0.1)
    shop = Shop()
    with running(make(postgres_till, shop, engine=postgres_till.engine)):
        write(postgres_till, "a0")
        eventually(lambda: shop.given)
        postgres_till.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query = 'LISTEN cryptoassets_event'"
        )
        write(postgres_till, "a1")
        eventually(lambda: len(shop.given) == 2)


def test_several_hands_carry_different_subjects_and_keep_each_in_order(till: Till) -> None:
    names = [f"{subject}{number}" for number in range(4) for subject in "abcdef"]
    write(till, *names)
    together = threading.Barrier(3, timeout=60)
    shop = Shop(then=lambda event: together.wait() and None)
    shop.concurrency = 3
    dispatcher = make(till, shop)
    deliver_all(dispatcher, shop)
    dispatcher.stop()
    assert sorted(shop.said()) == sorted(names)
    assert in_order(shop.said())


def test_sink_that_is_down_is_left_alone_for_longer_and_longer(till: Till) -> None:
    def closed(event: Event) -> None:
        raise EventDeliveryError("connection refused")

    write(till, *(f"{subject}0" for subject in "abcdefghijklmnop"))
    shop = Shop(then=closed)
    dispatcher = make(till, shop)
    courier = dispatcher._couriers["shop"]
    rests = []
    for _ in range(4):
        dispatcher.deliver_due(shop)
        rests.append(courier.rest_seconds())
    assert rests == [1, 2, 4, 8]
    # Nobody runs through a whole queue against a closed door.
    assert len(shop.given) == 4 * courier_module.REFUSALS
    shop._then = lambda _: None
    dispatcher.deliver_due(shop)
    assert courier.rest_seconds() == 0


@pytest.mark.parametrize("days", [-1, 365])
def test_clock_that_was_set_does_not_keep_an_event_back(days: int, till: Till) -> None:
    """F33: an attempt failed while the clock was wrong."""
    write(till, "a0")
    shop, clock = Shop(then=refuse("a")), Hands()
    dispatcher = make(till, shop, clock=clock)
    clock.forward(days=days)
    dispatcher.deliver_due(shop)
    clock.forward(days=-days, seconds=2)
    assert in_state(till, DeliveryState.PENDING) == 1
    dispatcher.deliver_due(shop)
    assert len(shop.given) == 2


def test_outbox_that_cannot_be_read_is_told_once_and_read_later(
    till: Till, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "POLL_SECONDS", 0.05)
    looks = []
    monkeypatch.setattr(
        outbox, "fan_out", lambda *args, _fan_out=outbox.fan_out, **kw: (looks.append(1), _fan_out(*args, **kw))[1]
    )
    shop = Shop()
    dispatcher = make(till, shop)
    write(till, "a0")
    till.execute("ALTER TABLE cryptoassets_event RENAME TO elsewhere")
    with running(dispatcher):
        (problem,) = eventually(lambda: dispatcher.problems().values())
        assert "the database refused" in problem
        assert "cryptoassets_event" in problem
        seen = len(looks)
        eventually(lambda: len(looks) > seen + 3)
        assert dispatcher.is_alive()
        till.execute("ALTER TABLE elsewhere RENAME TO cryptoassets_event")
        eventually(lambda: shop.given)
        eventually(lambda: not dispatcher.problems())
    assert caplog.text.count("the database refused") == 1
