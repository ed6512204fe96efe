"""Of several daemons one leads: by leases in the database, whatever dies, hangs or sets its clock."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from commands import ask, daemon, eventually, simnet_config, write
from kit import Till, open_till, processes
from sqlalchemy.orm import Session

from cryptoassets_core import lease
from cryptoassets_core.clock import utc_now
from cryptoassets_core.service import leadership as leadership_module
from cryptoassets_core.service.leadership import BEAT_SECONDS, LAPSED_SECONDS, LEADING_SECONDS, Leadership
from cryptoassets_core.utils.processes import is_gone, own_process

R = TypeVar("R")


class Stopwatch:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def make(till: Till, watch: Stopwatch, *names: str, **options: Any) -> Leadership:
    return Leadership(till.app.conflict_resolver, names or ("btc",), clock=watch, **options)


def place(leadership: Leadership, name: str = "btc") -> str | None:
    return next(leader.place for leader in leadership.report() if leader.name == name)


def test_first_one_leads_and_keeps_the_lead(till: Till) -> None:
    watch = Stopwatch()
    first, second = make(till, watch), make(till, watch)
    for _ in range(30):
        first.take_turns()
        second.take_turns()
        assert first.leads("btc")
        assert not second.leads("btc")
        watch.seconds += BEAT_SECONDS
    assert place(second) == first.holder.place
    assert [leader.ours for leader in first.report()] == [True]


def test_each_name_is_led_apart(till: Till) -> None:
    watch = Stopwatch()
    first, second = make(till, watch, "btc"), make(till, watch, "btc", "ltc")
    first.take_turns()
    second.take_turns()
    assert (first.leads("btc"), first.leads("ltc")) == (True, False)
    assert (second.leads("btc"), second.leads("ltc")) == (False, True)


def test_leader_that_reaches_the_database_no_more_stops_before_another_takes_over(till: Till) -> None:
    watch = Stopwatch()
    first, second = make(till, watch), make(till, watch)
    first.take_turns()
    began = watch.seconds
    led, leaderless = [], []
    while not second.leads("btc"):
        watch.seconds += 0.25
        second.take_turns()
        assert not (first.leads("btc") and second.leads("btc"))
        (led if first.leads("btc") else leaderless).append(watch.seconds)
    assert led[-1] < began + LEADING_SECONDS
    # What clocks that run apart have to share.
    assert leaderless[-1] - led[-1] >= LAPSED_SECONDS - LEADING_SECONDS
    assert watch.seconds <= began + LAPSED_SECONDS + 1
    # And when it comes back it does not lead any more.
    first.take_turns()
    assert not first.leads("btc")
    assert second.leads("btc")


@pytest.mark.parametrize("call", ["take", "beat"])
def test_slow_call_counts_from_its_beginning(till: Till, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    watch = Stopwatch()
    leadership = make(till, watch)
    if call == "beat":
        leadership.take_turns()
    quick = getattr(leadership_module.lease, call)

    def slow(*arguments: Any, **options: Any) -> Any:
        answer = quick(*arguments, **options)
        watch.seconds += LEADING_SECONDS + 1
        return answer

    monkeypatch.setattr(leadership_module.lease, call, slow)
    leadership.take_turns()
    assert not leadership.leads("btc")


def test_lead_that_another_one_took_ends_with_the_next_look(till: Till) -> None:
    first = make(till, Stopwatch())
    first.take_turns()
    other = lease.Holder("another", "elsewhere", None)

    def take(session: Session) -> bool:
        (seen,) = lease.look(session, ["btc"])
        return lease.take(session, seen, other, now=utc_now())

    assert till.run(take)
    first.take_turns()
    assert not first.leads("btc")


def test_one_that_has_just_come_waits_a_whole_lease(till: Till) -> None:
    watch = Stopwatch()
    make(till, watch).take_turns()
    watch.seconds += 3600
    late = make(till, watch)
    late.take_turns()
    assert not late.leads("btc")
    watch.seconds += LAPSED_SECONDS - 0.1
    late.take_turns()
    assert not late.leads("btc")
    watch.seconds += 0.2
    late.take_turns()
    assert late.leads("btc")


def test_no_wall_clock_matters(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """F33: set back a day, then forward a year, in each of them."""
    watch, jump = Stopwatch(), [timedelta(0)]
    now = leadership_module.utc_now
    monkeypatch.setattr(leadership_module, "utc_now", lambda: now() + jump[0])
    first, second = make(till, watch), make(till, watch)
    for days in (0, -1, 365, 0):
        jump[0] = timedelta(days=days)
        for _ in range(5):
            first.take_turns()
            second.take_turns()
            assert (first.leads("btc"), second.leads("btc")) == (True, False)
            watch.seconds += BEAT_SECONDS


def test_lease_that_is_given_back_is_taken_at_once(till: Till) -> None:
    watch = Stopwatch()
    first, second = make(till, watch), make(till, watch)
    first.take_turns()
    second.take_turns()
    first.stop()
    assert not first.leads("btc")
    second.take_turns()
    assert second.leads("btc")


def test_what_another_one_holds_is_not_given_back(till: Till) -> None:
    watch = Stopwatch()
    first, second, third = make(till, watch, "btc"), make(till, watch, "ltc"), make(till, watch, "btc", "ltc")
    first.take_turns()
    second.take_turns()
    first.stop()
    third.take_turns()
    assert (third.leads("btc"), third.leads("ltc"), second.leads("ltc")) == (True, False, True)


def test_of_two_that_see_the_same_free_lease_one_takes_it(till: Till) -> None:
    holders = [lease.Holder(name, "here", None) for name in ("a", "b", "c")]

    def run(work: Callable[[Session], R]) -> R:
        return till.app.conflict_resolver.run(work, isolation_level=lease.ISOLATION_LEVEL)

    run(lambda session: lease.offer(session, "btc"))
    for first, second in (holders[:2], holders[1:]):
        (seen,) = run(lambda session: lease.look(session, ["btc"]))  # free at first, and later lapsed
        taken = [run(partial(lease.take, seen=seen, holder=holder, now=utc_now())) for holder in (first, second)]
        assert taken == [True, False]


def test_who_begins_to_lead_is_told_also_after_an_outage(till: Till) -> None:
    watch, told = Stopwatch(), []
    leadership = make(till, watch, on_gain=told.append)
    leadership.take_turns()
    leadership.take_turns()
    assert told == ["btc"]
    watch.seconds += LEADING_SECONDS + 1
    assert not leadership.leads("btc")
    leadership.take_turns()
    assert leadership.leads("btc")
    assert told == ["btc", "btc"]


def test_of_many_that_want_to_take_over_one_does(till: Till, books_url: str) -> None:
    watch = Stopwatch()
    make(till, watch).take_turns()
    with open_till(books_url) as other:
        rivals = [make(each, watch) for each in (till, other) * 4]
        for rival in rivals:
            rival.take_turns()
        watch.seconds += LAPSED_SECONDS
        threads = [threading.Thread(target=rival.take_turns) for rival in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(rival.leads("btc") for rival in rivals) == 1


def test_database_that_is_away_is_told_once_and_the_lead_ends(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    watch = Stopwatch()
    leadership = make(till, watch)
    leadership._attempt()
    till.execute("ALTER TABLE cryptoassets_lease RENAME TO elsewhere")
    for _ in range(5):
        watch.seconds += BEAT_SECONDS
        leadership._attempt()
    assert not leadership.leads("btc")
    assert "the database refused" in str(leadership.problem())
    assert caplog.text.count("leases cannot be renewed") == 1
    till.execute("ALTER TABLE elsewhere RENAME TO cryptoassets_lease")
    leadership._attempt()
    assert leadership.leads("btc")
    assert leadership.problem() is None


def _lead(url: str, ready: Any) -> None:
    with open_till(url) as till:
        Leadership(till.app.conflict_resolver, ["btc"]).start()
        ready.set()
        time.sleep(3600)


@contextmanager
def another_leader(url: str) -> Iterator[Any]:
    ready = processes.Event()
    process = processes.Process(target=_lead, args=(url, ready))
    process.start()
    try:
        assert ready.wait(60)
        yield process
    finally:
        process.kill()
        process.join()


def test_killed_process_of_this_machine_is_followed_at_once(till: Till, books_url: str) -> None:
    """Also as long as nobody has asked for its exit code."""
    follower = Leadership(till.app.conflict_resolver, ["btc"])
    with another_leader(books_url) as leader:
        follower.take_turns()
        assert not follower.leads("btc")
        os.kill(leader.pid, signal.SIGKILL)
        began = time.monotonic()
        eventually(lambda: follower.take_turns() or follower.leads("btc"))
        assert time.monotonic() - began < LAPSED_SECONDS / 2


@pytest.mark.postgres
@pytest.mark.parametrize("books_url", ["postgresql"], indirect=True)
def test_frozen_process_is_followed_within_15_seconds(till: Till, books_url: str) -> None:
    follower = Leadership(till.app.conflict_resolver, ["btc"])
    with another_leader(books_url) as leader:
        follower.start()
        assert not follower.leads("btc")
        os.kill(leader.pid, signal.SIGSTOP)
        began = time.monotonic()
        eventually(lambda: follower.leads("btc"))
        assert LAPSED_SECONDS - BEAT_SECONDS <= time.monotonic() - began < 15
    follower.stop()


def test_only_a_process_that_has_certainly_ended_is_gone() -> None:
    process = own_process()
    assert process is not None
    place, pid, started = process.rsplit(" ", 2)
    assert not is_gone(process)
    assert not is_gone(f"another-machine {pid} {started}")
    # A number that was given anew, and one that nobody has. 1 is somebody else's, or ours.
    assert is_gone(f"{place} {pid} 1")
    assert is_gone(f"{place} {2**22 + 1} {started}")


def test_second_daemon_waits_and_takes_over(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    assert ask("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with daemon(config, tmp_path / "first") as first:
        first.ready()
        first.logs("btc: caught up with the chain")
        with daemon(config, tmp_path / "second") as second:
            second.ready()
            assert "this daemon leads" not in second.log
            assert "caught up" not in second.log
            first.process.kill()
            second.logs("btc: this daemon takes over from")
            second.logs("event delivery: this daemon takes over from")
            second.logs("btc: caught up with the chain")
            # What stops as it should gives its leases back at once, whatever its machine.
            assert second.end() == 0
            with closing(sqlite3.connect(tmp_path / "books.sqlite")) as books:
                assert books.execute("SELECT DISTINCT holder FROM cryptoassets_lease").fetchall() == [(None,)]


def test_leader_that_renews_at_the_last_moment_keeps_the_lead(till: Till) -> None:
    watch = Stopwatch()
    first, second = make(till, watch), make(till, watch)
    first.take_turns()
    (seen,) = till.run(lambda session: lease.look(session, ["btc"]))
    first.take_turns()
    assert not till.run(lambda session: lease.take(session, seen, second.holder, now=utc_now()))
    first.take_turns()
    assert first.leads("btc")
