"""The hooks do their part in an application on a simulated network."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import ledgernotes
import pytest

from cryptoassets_core.errors import WithdrawalRefused
from cryptoassets_core.event.base import Event
from cryptoassets_simnet.apps import SimnetApp


def test_a_large_withdrawal_is_refused_and_a_small_one_goes(simnet_app: SimnetApp) -> None:
    account = simnet_app.new_account("alice")
    simnet_app.pay(account, Decimal(20))
    simnet_app.mine(3)
    with pytest.raises(WithdrawalRefused, match="at most 5 coins"):
        simnet_app.withdraw(account, simnet_app.outside_address(), Decimal(6))
    simnet_app.withdraw(account, simnet_app.outside_address(), Decimal(5))
    simnet_app.mine(3)
    assert simnet_app.balance(account) == Decimal(15)


def test_a_credited_deposit_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERNOTES", str(tmp_path / "notes"))
    data = {"transaction_type": "deposit", "transaction": 7, "amount": "0.5", "coin_name": "btc"}
    for credited in (False, True, True):
        ledgernotes.cryptoassets_event(Event("id", "txupdate", {**data, "credited": credited}))
    ledgernotes.cryptoassets_event(Event("id", "reorganisation", {}))
    assert (tmp_path / "notes").read_text() == "7 0.5 btc\n"
