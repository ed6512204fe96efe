"""The main job, from the first deposit to the last satoshi, as the story in ``examples/story`` tells it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import pytest
from litecoind_network import LitecoindNetwork
from narrator import Narrator
from stage import Stage
from story import BILL, DEPOSIT, GIFT, Outcome, end, play


@pytest.mark.postgres
@pytest.mark.regtest
def test_the_main_job_on_postgresql_and_a_real_daemon(litecoind_stage: Callable[..., Stage]) -> None:
    stage = litecoind_stage()
    outcome = _play(stage)
    assert isinstance(stage.network, LitecoindNetwork)
    assert stage.network.received(outcome.withdrawal.address) == BILL


def test_the_main_job_on_sqlite_and_the_simulated_network(simnet_stage: Callable[..., Stage]) -> None:
    _play(simnet_stage())


def _play(stage: Stage) -> Outcome:
    outcome = play(stage, Narrator())
    _check_deposit(stage, outcome)
    _check_withdrawal(stage, outcome)
    _check_balances(stage, outcome)
    assert end(stage, Narrator()) == 0
    return outcome


def _check_deposit(stage: Stage, outcome: Outcome) -> None:
    deposit = outcome.deposit
    seen = [(each.update.confirmations, each.update.credited, each.balance) for each in deposit.sightings]
    assert seen == [(0, False, Decimal(0)), (1, False, Decimal(0)), (2, False, Decimal(0)), (3, True, DEPOSIT)]
    assert {each.update.amount for each in deposit.sightings} == {DEPOSIT}

    # Blocks of the withdrawal confirm the deposit too; when they come quickly, one may pass unnoticed.
    stage.wait_for_update(deposit.txid, confirmations=6)
    told = stage.application.updates.of(deposit.txid)
    confirmations = [update.confirmations for update in told]
    assert confirmations[:4] == [0, 1, 2, 3]
    assert all(earlier < later for earlier, later in pairwise(confirmations))
    assert {update.transaction for update in told} == {told[0].transaction}
    assert all(update.credited for update in told[3:])


def _check_withdrawal(stage: Stage, outcome: Outcome) -> None:
    withdrawal = outcome.withdrawal
    assert withdrawal.states == ("pending", "broadcasted")
    assert {each.balance for each in withdrawal.sightings} == {GIFT - BILL}
    told = stage.application.updates.of(withdrawal.txid)
    assert [(update.confirmations, update.credited) for update in told] == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ]
    assert {(update.transaction_type, update.amount, update.address) for update in told} == {
        ("broadcast", BILL, withdrawal.address)
    }
    assert list(stage.network.fees()) == [withdrawal.txid]
    assert outcome.after_gift == {"alice": DEPOSIT - GIFT, "bob": GIFT}


def _check_balances(stage: Stage, outcome: Outcome) -> None:
    reckoning = outcome.reckoning
    assert reckoning.network_fee > 0
    assert reckoning.balances == {
        "alice": DEPOSIT - GIFT,
        "bob": GIFT - BILL,
        "Network fees": -reckoning.network_fee,
    }
    backend = stage.application.coin.backend
    assert backend is not None
    assert reckoning.ledger_total == reckoning.network_balance == backend.get_backend_balance()
    assert reckoning.network_balance == DEPOSIT - BILL - reckoning.network_fee
