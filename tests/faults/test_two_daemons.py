"""Two helper daemons on one database and one node; one of them is killed in the middle."""

from __future__ import annotations

import pytest
from fault_stage import Trial


@pytest.mark.parametrize("both", [False, True], ids=["one of them leads", "both work at once"])
def test_two_daemons_pay_each_withdrawal_once_though_one_is_killed(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    if both:
        monkeypatch.setenv("EVERYBODY_LEADS", "yes")
    other = trial.second_daemon()
    trial.start()
    other.start()
    trial.stage.wait_until(other.is_ready, "the second daemon gets ready")
    trial.fund(*["1"] * 10)
    for number in range(30):
        trial.withdraw("0.02")
        if number % 10 == 9:
            trial.until(trial.is_left, "the withdrawals so far have left")
            trial.network.mine()
        if number == 15:
            other.kill()
    trial.settle()


def test_second_daemon_goes_on_when_the_first_is_killed_and_never_comes_back(trial: Trial) -> None:
    other = trial.second_daemon()
    trial.start()
    trial.fund("1", "1", "1", "1")
    other.start()
    trial.stage.wait_until(other.is_ready, "the second daemon gets ready")
    for _ in range(5):
        trial.withdraw()
    trial.daemon.kill()
    for _ in range(5):
        trial.withdraw()
    trial.settle()
