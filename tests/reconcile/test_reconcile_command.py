"""``cryptoassets reconcile`` as a person and as a program meet it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from commands import ask, simnet_config, write

from cryptoassets_btc import BITCOIN
from cryptoassets_simnet import Simnet


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write(tmp_path, simnet_config(tmp_path))
    ask("cryptoassets init-db", path)
    return path


def test_command_agrees(config: Path) -> None:
    result = ask("cryptoassets reconcile", config)
    assert result.returncode == 0
    assert "The books of btc and its backend agree." in result.stdout


def test_command_names_what_differs_and_fails(config: Path, tmp_path: Path) -> None:
    with Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest") as net:
        txid = net.fund(Decimal("1.5"))
    shown = ask("cryptoassets reconcile", config)
    machine = ask("cryptoassets reconcile", config, "--json")
    (told,) = [json.loads(line) for line in machine.stdout.splitlines()]

    assert (shown.returncode, machine.returncode) == (1, 1)
    assert "do not agree" in shown.stdout
    (line,) = [line for line in shown.stdout.splitlines() if txid in line]
    assert "top-up" in line
    assert "+1.50000000" in line
    assert "Traceback" not in shown.stderr
    (difference,) = told["differences"]
    assert (difference["cause"], difference["txid"], difference["amount"]) == ("top-up", txid, "1.50000000")
    sums = ("accounts", "queued", "prepared", "incoming", "below_minimum", "immature", "fees_not_booked")
    assert {told[name] for name in sums} == {"0.00000000"}
    assert (told["balanced"], told["difference"], told["unexplained"]) == (False, "1.50000000", "0.00000000")


def test_command_while_the_node_is_down(config: Path, tmp_path: Path) -> None:
    with Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest") as net:
        net.set_down(True)
    result = ask("cryptoassets reconcile", config)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("Error: the simulated node")
