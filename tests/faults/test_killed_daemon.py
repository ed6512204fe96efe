"""The daemon is killed (SIGKILL) at every step of a broadcast: the next one finishes what was begun, once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from fault_proxy import Fault
from fault_stage import Trial

#: Moments in a broadcast of one withdrawal at which the daemon can die on its side of the wire: seven database
#: transactions, each before it begins, before its commit and after.
MOMENTS = 21


def kill_at(trial: Trial, method: str, moment: str) -> None:
    """Queue a withdrawal and have the daemon killed at a moment of a call of its broadcast."""

    def kill(_calls: Any) -> None:
        trial.daemon.shoot()

    fault = {"arrived": Fault.REQUEST_LOST, "answered": Fault.REPLY_LOST, "told": Fault.NONE}[moment]
    hooks: dict[str, Any] = {moment: kill}
    trap = trial.proxy.trap(method, fault, **hooks)
    trial.withdraw()
    trial.until(trap.sprung.is_set, f"{method} is {moment}")
    trial.daemon.bury()


@pytest.mark.parametrize(
    "methods",
    [
        pytest.param(("signrawtransactionwithwallet", "sendrawtransaction"), id="signing and publishing"),
        pytest.param(
            ("fundrawtransaction", "lockunspent", "testmempoolaccept"), id="the other calls", marks=pytest.mark.stress
        ),
    ],
)
def test_withdrawals_are_paid_once_whenever_a_call_sees_the_daemon_die(trial: Trial, methods: tuple[str, ...]) -> None:
    trial.start()
    trial.fund(*["1"] * 10)
    for method in methods:
        for moment in ("arrived", "answered", "told"):
            kill_at(trial, method, moment)
            trial.start()
    trial.settle()


@pytest.mark.parametrize(
    "moments",
    [
        # Before and after the commits of the fourth and the fifth transaction.
        pytest.param((10, 11, 13, 14), id="around the store and the settlement"),
        pytest.param(range(0, MOMENTS, 3), id="before transactions", marks=pytest.mark.stress),
        pytest.param(range(1, MOMENTS, 3), id="before commits", marks=pytest.mark.stress),
        pytest.param(range(2, MOMENTS, 3), id="after commits", marks=pytest.mark.stress),
    ],
)
def test_withdrawals_are_paid_once_whenever_the_daemon_dies_at_its_books(trial: Trial, moments: Sequence[int]) -> None:
    trial.start()
    trial.fund(*["1"] * 10)
    trial.daemon.stop()
    for moment in moments:
        trial.withdraw()
        trial.daemon.start(die_at=moment)
        trial.daemon.bury()
    trial.start()
    trial.settle()


def test_only_coin_is_not_lost_to_a_daemon_that_died_while_it_signed(trial: Trial) -> None:
    trial.start()
    trial.fund("1")
    kill_at(trial, "signrawtransactionwithwallet", "arrived")
    trial.start()
    trial.until(lambda: trial.is_left() or trial.broadcasts()[-1].attempts > 3, "the withdrawal leaves or waits")
    assert trial.is_left()
    trial.settle()


def shoot_at_random(trial: Trial, *, kills: int, withdrawals: int, seed: int) -> None:
    """Ask for withdrawals while the daemon is killed again and again, at moments nobody chose."""
    chance = random.Random(seed)

    def enough(calls: int) -> bool:
        return len(trial.proxy.seen) >= calls

    trial.start()
    trial.fund(*["1"] * 20)
    for _ in range(kills):
        for _ in range(withdrawals // kills):
            trial.withdraw("0.01")
            if chance.random() < 0.3:
                trial.network.mine()
        # Counted in calls and not in seconds: on a slow machine it would die before it did anything.
        trial.until(partial(enough, len(trial.proxy.seen) + chance.randint(1, 40)), "the daemon does something")
        trial.daemon.kill()
        trial.start()
    trial.settle()


def test_withdrawals_are_paid_once_by_a_daemon_killed_at_random(trial: Trial) -> None:
    shoot_at_random(trial, kills=4, withdrawals=40, seed=1)


@pytest.mark.stress
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_withdrawals_are_paid_once_by_a_daemon_killed_twenty_times(trial: Trial, seed: int) -> None:
    shoot_at_random(trial, kills=20, withdrawals=200, seed=seed)
