"""Dispatchers that stop, die, or are not alone: every event comes at least once, and in order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from commands import eventually
from delivery_stage import Shop, deliver_all, in_order, in_state, make, running, write
from kit import Till, open_till, processes

from cryptoassets_core.event.base import Event
from cryptoassets_core.event.outbox import DeliveryState


def test_one_that_does_not_lead_delivers_nothing(till: Till) -> None:
    shop, leads = Shop(), []
    dispatcher = make(till, shop, leads=lambda: bool(leads))
    write(till, "a0", "b0")
    with running(dispatcher):
        dispatcher.wake()
        time.sleep(0.5)
        assert shop.given == []
        leads.append(True)
        dispatcher.wake()
        eventually(lambda: len(shop.given) == 2)


def test_lead_that_is_lost_ends_a_round(till: Till) -> None:
    leads = [True]
    shop = Shop(then=lambda _: leads.clear())
    write(till, "a0", "b0", "c0")
    make(till, shop, leads=lambda: bool(leads)).deliver_due(shop)
    assert len(shop.given) == 1


def test_stopping_closes_the_sinks_and_keeps_what_is_left(till: Till) -> None:
    stop_now = threading.Event()
    shop = Shop(then=lambda _: stop_now.set())
    dispatcher = make(till, shop)
    write(till, "a0", "a1", "a2")
    dispatcher.start()
    stop_now.wait()
    dispatcher.stop()
    assert shop.closed
    assert in_state(till, DeliveryState.DELIVERED) == len(shop.given)
    again = Shop()
    deliver_all(make(till, again), again)
    assert shop.said() + again.said() == ["a0", "a1", "a2"]


class Killed(BaseException):
    """Nothing catches this, as nothing catches the end of a process."""


def test_event_taken_and_not_recorded_comes_again_with_the_same_id(till: Till) -> None:
    def die(event: Event) -> None:
        raise Killed

    write(till, "a0")
    first, second = Shop(then=die), Shop()
    with pytest.raises(Killed):
        make(till, first).deliver_due(first)
    make(till, second).deliver_due(second)
    assert [event.id for event in first.given] == [event.id for event in second.given]


def _deliver_and_be_killed(url: str, notes: Path, after: int) -> None:
    """Deliver to a file, and be killed right after some events were taken."""

    def note(event: Event) -> None:
        with notes.open("a") as stream:
            print(event.id, f"{event.data['subject']}{event.data['number']}", file=stream)
        if len(shop.given) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    shop = Shop(then=note)
    with open_till(url) as till, running(make(till, shop)):
        threading.Event().wait()


def test_nothing_is_lost_when_the_process_is_killed(till: Till, books_url: str, tmp_path: Path) -> None:
    names = [f"{subject}{number}" for number in range(6) for subject in "abcde"]
    write(till, *names)
    notes = tmp_path / "notes"
    for after in (1, 4, 9):
        victim = processes.Process(target=_deliver_and_be_killed, args=(books_url, notes, after))
        victim.start()
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
    taken = [line.split() for line in notes.read_text().splitlines()]
    assert len(taken) == 14
    last = Shop()
    deliver_all(make(till, last), last)
    everything = taken + [[event.id, name] for event, name in zip(last.given, last.said(), strict=True)]
    assert {name for _, name in everything} == set(names)
    assert len({event_id for event_id, _ in everything}) == len(names)
    assert in_order([name for _, name in everything])


def test_several_dispatchers_lose_nothing_and_keep_the_order(till: Till, books_url: str) -> None:
    given: list[str] = []
    lock = threading.Lock()

    def take(event: Event) -> None:
        with lock:
            given.append(f"{event.data['subject']}{event.data['number']}")

    with open_till(books_url) as other:
        dispatchers = [make(each, Shop(then=take)) for each in (till, other, till)]
        with running(*dispatchers):
            for number in range(20):
                write(till, *(f"{subject}{number}" for subject in "abc"))
            eventually(lambda: in_state(till, DeliveryState.DELIVERED) == 60)
    assert set(given) == {f"{subject}{number}" for number in range(20) for subject in "abc"}
    assert in_order(given)
    # Repeats are allowed, but they are of the same moment: nobody starts from the beginning.
    assert max(Counter(given).values()) <= len(dispatchers)
