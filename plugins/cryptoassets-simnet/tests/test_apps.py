"""The fixtures for tests of applications."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_simnet.apps import SimnetApp


def test_a_deposit_is_credited_and_a_withdrawal_goes(simnet_app: SimnetApp) -> None:
    alice = simnet_app.new_account("alice")
    simnet_app.pay(alice, Decimal(2))
    assert simnet_app.balance(alice) == 0
    simnet_app.mine(3)
    assert simnet_app.balance(alice) == 2
    simnet_app.withdraw(alice, simnet_app.outside_address(), Decimal("0.5"))
    simnet_app.mine()
    assert simnet_app.balance(alice) == Decimal("1.5")
    assert simnet_app.net.balance() == Decimal("1.4999")
    assert simnet_app.audit() == []


def test_a_double_spent_deposit_is_taken_back(simnet_app: SimnetApp) -> None:
    alice = simnet_app.new_account("alice")
    txid = simnet_app.pay(alice, Decimal(2))
    simnet_app.mine(3)
    simnet_app.double_spend(txid)
    assert simnet_app.balance(alice) == 0


def test_a_reorganised_deposit_waits_again(make_simnet_app: Callable[..., SimnetApp]) -> None:
    app = make_simnet_app(confirmation_count=2)
    alice = app.new_account("alice")
    app.pay(alice, Decimal(2))
    app.mine()
    app.reorg(1)
    app.mine()
    assert app.balance(alice) == 0
    app.mine()
    assert app.balance(alice) == 2


@pytest.mark.postgres
def test_the_books_may_be_on_postgresql(make_simnet_app: Callable[..., SimnetApp], postgres_url: str) -> None:
    app = make_simnet_app(url=postgres_url)
    alice = app.new_account("alice")
    app.pay(alice, Decimal(2))
    app.mine(3)
    assert app.balance(alice) == 2
    assert app.app.engine is not None
    assert app.app.engine.dialect.name == "postgresql"


def test_a_run_that_uses_no_fixture_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import sys\n"
        "def test_user():\n"
        "    heavy = {'sqlalchemy', 'flask', 'pydantic', 'cryptoassets_core.app', 'cryptoassets_simnet.simnet'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
