"""The commands, as a person and as a script use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path

import click
import pluggy
import pytest
from click.testing import CliRunner, Result

from cryptoassets_core import hookspecs
from cryptoassets_core.backend.base import BackendOptions, CoinBackend
from cryptoassets_core.loading import load_class
from cryptoassets_core.walletnotify.base import IncomingTransactionRunnable, WalletNotifyOptions
from cryptoassets_simnet import Simnet
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions
from cryptoassets_simnet.walletnotify import SimnetNotifyHandler, SimnetNotifyOptions

Run = Callable[..., Result]


def load_plugin() -> pluggy.PluginManager:
    """Load the plugin the way the kernel finds it."""
    (entry,) = entry_points(group=hookspecs.PROJECT_NAME, name="simnet")
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(entry.load(), name="simnet")
    manager.check_pending()
    return manager


@pytest.fixture
def run(simnet: Simnet, path: Path) -> Run:
    """Run ``cryptoassets simnet …`` on the chain file."""
    root = click.Group("cryptoassets")
    load_plugin().hook.cryptoassets_cli_commands(group=root)

    def call(*arguments: str, chain: Path | None = path) -> Result:
        environment = {} if chain is None else {"CRYPTOASSETS_SIMNET": str(chain)}
        return CliRunner().invoke(root, ["simnet", *arguments], env=environment)

    return call


def answer(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert isinstance(data, dict)
    return data


def test_the_entry_point_brings_backend_and_notifications() -> None:
    manager = load_plugin()
    ((backend,),) = manager.hook.cryptoassets_backends()
    assert backend.name == "simnet"
    assert load_class(backend.factory, CoinBackend) is SimnetBackend
    assert load_class(backend.options, BackendOptions) is SimnetOptions
    ((handler,),) = manager.hook.cryptoassets_walletnotify_handlers()
    assert handler.name == "simnet"
    assert load_class(handler.factory, IncomingTransactionRunnable) is SimnetNotifyHandler
    assert load_class(handler.options, WalletNotifyOptions) is SimnetNotifyOptions


def test_a_round_of_commands(run: Run, simnet: Simnet) -> None:
    address = simnet.create_address()
    txid = answer(run("pay", address, "0.10000001", address, "2", "--json"))["txid"]
    assert answer(run("mine", "3", "--json"))["height"] == 3
    status = answer(run("status", "--json"))
    assert (status["simulation"], status["coin"], status["network"]) == (True, "btc", "regtest")
    assert (status["balance"], status["confirmed_balance"]) == ("2.10000001", "2.10000001")
    (shown,) = status["transactions"]  # type: ignore[misc]
    assert (shown["txid"], shown["confirmations"]) == (txid, 3)
    assert [output["amount"] for output in shown["received"]] == ["0.10000001", "2.00000000"]
    done = answer(run("reorg", "3", "--json"))
    assert (len(done["stale"]), len(done["added"]), done["unconfirmed"]) == (3, 4, [txid])  # type: ignore[arg-type]
    assert "waits in the mempool" in run("double-spend", str(txid)).output
    answer(run("mine", "--json"))
    assert answer(run("status", "--json"))["balance"] == "0.00000000"


def test_a_confirmed_deposit_is_double_spent_in_one_command(run: Run, simnet: Simnet) -> None:
    txid = simnet.pay(simnet.create_address(), Decimal(1))
    simnet.mine(2)
    done = answer(run("double-spend", txid, "--json"))
    assert len(done["reorganisation"]["added"]) == 3  # type: ignore[index]
    assert simnet.transactions()[0].confirmations == -3


def test_drop_and_reward_and_fund(run: Run, simnet: Simnet) -> None:
    assert "Funded" in run("fund", "2.5").output
    data = answer(run("mine", "3", "--reward", simnet.create_address(), "--json"))
    assert data["height"] == 4
    txid = simnet.pay(simnet.create_address(), Decimal(1))
    simnet.mine()
    assert answer(run("reorg", "1", "--drop", txid, "--json"))["unconfirmed"] == []
    assert simnet.balance() == Decimal("2.5")


def test_status_is_for_people_too(run: Run, simnet: Simnet) -> None:
    txid = simnet.pay(simnet.create_address(), Decimal("0.25"))
    output = run("status").output
    assert "SIMULATION of BTC regtest" in output
    assert txid in output
    assert "0.25000000" in output


def test_faults_are_armed_shown_and_cleared(run: Run, simnet: Simnet) -> None:
    assert "submit timeout-after (2x)" in run("fault", "submit", "timeout-after", "--count", "2").output
    assert answer(run("fault", "--down", "--json")) == {
        "down": True,
        "faults": [{"method": "submit", "kind": "timeout-after", "remaining": 2}],
    }
    assert run("fault", "--up", "--clear").output == "The simulated node is up; faults armed: none\n"


@pytest.mark.parametrize("text", ["1e3", "-1", "+1", "nan", "inf", "1_000", "0x10", "1,5", ".5", "1.", " 1", "٣", ""])
def test_only_plain_amounts_are_taken(run: Run, simnet: Simnet, text: str) -> None:
    result = run("pay", "--", simnet.create_address(), text)
    assert result.exit_code == 2
    assert "is not an amount in whole coins" in result.stderr
    assert simnet.balance() == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["pay", "nonsense", "1"], "Error: 'nonsense'"),
        (["pay", "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v", "1"], "not an address of this simulated wallet"),
        (["pay", "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v"], "needs an amount after it"),
        (["mine", "0"], "0 is not in the range"),
        (["mine", "--reward", "nonsense"], "Error: 'nonsense'"),
        (["reorg", "1"], "there is no block to replace"),
        (["double-spend", "f" * 64], "there is no network transaction"),
        (["fault"], "say what shall fail"),
        (["fault", "submit"], "belong together"),
        (["fault", "sendmany", "refuse"], "'sendmany' is not one of"),
    ],
)
def test_errors_are_one_sentence(run: Run, arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_file_is_named_and_not_made(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "typo"
    result = run("status", chain=missing)
    assert result.exit_code == 1
    assert f"there is no simulated chain at {missing}" in result.stderr
    assert not missing.exists()
    assert "CRYPTOASSETS_SIMNET" in run("status", chain=None).stderr


def test_help_teaches(run: Run) -> None:
    overview = run("--help", chain=None).output
    assert "SIMULATED" in overview
    for command in ("pay", "fund", "mine", "reorg", "double-spend", "fault", "status"):
        assert command in overview
        page = run(command, "--help", chain=None)
        assert page.exit_code == 0
        assert "--json" in page.output
        assert "CRYPTOASSETS_SIMNET" in page.output
