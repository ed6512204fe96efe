"""The node does what it is asked, and the daemon is not told: nobody is paid twice, and nobody waits for ever."""

from __future__ import annotations

from decimal import Decimal

import pytest
from fault_proxy import Fault
from fault_stage import USER, Trial

STEPS = ["fundrawtransaction", "lockunspent", "signrawtransactionwithwallet", "sendrawtransaction"]
LOST = [Fault.REQUEST_LOST, Fault.REPLY_LOST, Fault.REPLY_CUT]


def test_withdrawals_are_paid_once_whatever_gets_lost_once(trial: Trial) -> None:
    trial.start()
    trial.fund("1", "1", "1", "1")
    for method in STEPS:
        for fault in LOST:
            trap = trial.proxy.trap(method, fault)
            trial.withdraw()
            trial.until(trap.sprung.is_set, f"{method} meets {fault.name}")
            trial.until(trial.is_left, f"the withdrawal leaves after {fault.name} of {method}")
    trial.settle()
    trial.check_nothing_is_locked()


def test_withdrawals_are_paid_once_when_every_answer_gets_lost_for_a_while(trial: Trial) -> None:
    trial.start()
    trial.fund("1", "1", "1", "1")
    for method in STEPS:
        trap = trial.proxy.trap(method, Fault.REPLY_LOST, times=3)
        while not trap.sprung.is_set():  # coins that are locked already are not locked again for the same withdrawal
            trial.withdraw()
            trial.until(
                lambda trap=trap: trap.sprung.is_set() or trial.is_left(), f"{method} gets no answer, or it leaves"
            )
        trial.until(trial.is_left, f"the withdrawals leave after {method} got no answer")
    trial.settle()
    trial.check_nothing_is_locked()


def test_withdrawal_is_paid_once_when_an_answer_never_comes(trial: Trial) -> None:
    trial.start()
    trial.fund("1", "1")
    for method in ("fundrawtransaction", "sendrawtransaction"):
        trap = trial.proxy.trap(method, Fault.REPLY_HELD)
        trial.withdraw()
        trial.until(trap.sprung.is_set, f"the daemon gives up {method}")
        trial.until(trial.is_left, f"the withdrawal leaves after {method} never answered")
    trial.settle()
    trial.check_nothing_is_locked()


@pytest.mark.parametrize("fault", [Fault.REPLY_CUT, Fault.REPLY_HELD])
def test_deposit_is_credited_once_when_listings_get_lost(trial: Trial, fault: Fault) -> None:
    trial.start()
    address = trial.application.new_address(USER)
    trap = trial.proxy.trap("listsinceblock", fault, times=1 if fault is Fault.REPLY_HELD else 4)
    txid = trial.network.pay(address, Decimal("1.5"))
    trial.network.mine(3)
    trial.until(trap.sprung.is_set, "the listings were lost")
    trial.stage.wait_for_update(txid, confirmations=3)
    assert trial.application.balance(USER) == Decimal("1.5")
    trial.withdraw("0.7")
    trial.settle()
