"""Each benchmark runs, with tiny numbers, and prints what it measured; how fast it is, is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cryptoassets_core.testing.postgres import server_path
from cryptoassets_core.testing.requirements import require

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

#: What each must have measured, as words of its tables.
RUNS = [
    pytest.param(
        "footprint.py", [], ["Import of cryptoassets_core.configure", "resident memory", "CPU"], id="footprint"
    ),
    pytest.param("addresses.py", [], ["1,000 random and mutated texts", "btc main", "doge main"], id="addresses"),
    pytest.param(
        "chain.py",
        ["--simnet-only"],
        [
            "A block of 20 deposits",
            "20 missed wallet",
            "100 queued withdrawals",
            "6 open, nothing new",
            "6 open, a new",
        ],
        id="chain",
        marks=pytest.mark.postgres,
    ),
    pytest.param(
        "chain.py",
        ["--daemon-only"],
        ["litecoind: 100 queued withdrawals", "6 open, a new block"],
        id="chain-litecoind",
        marks=[pytest.mark.postgres, pytest.mark.regtest],
    ),
    pytest.param(
        "events.py",
        [],
        ["one connection, signed", "four connections", "from before its commit", "300 events", "an event a commit"],
        id="events",
        marks=pytest.mark.postgres,
    ),
    pytest.param(
        "status.py",
        [],
        ["5,000 transactions", "/transactions?state=open", "/activity", "/metrics"],
        id="status",
        marks=pytest.mark.postgres,
    ),
    pytest.param(
        "blockio.py", [], ["20 deposits listed", "nothing new", "100 withdrawals", "idle listener"], id="blockio"
    ),
    pytest.param(
        "ledger.py",
        [],
        ["1 process, Teller", "one hot receiver", "batches of 1000", "get_statement, newest page", "Audit of 1,000"],
        id="ledger",
        marks=pytest.mark.postgres,
    ),
]


@pytest.mark.parametrize(("script", "options", "measured"), RUNS)
def test_benchmark_runs_and_prints_its_tables(script: str, options: list[str], measured: list[str]) -> None:
    if script not in ("addresses.py", "blockio.py", "footprint.py"):
        require("pgbench", "postgresql", path=server_path())
    if "--daemon-only" in options:
        require("litecoind", "litecoind")

    told = run(script, "--quick", *options)

    assert [words for words in measured if words not in told] == []


def test_benchmark_prints_one_json_document() -> None:
    document = json.loads(run("addresses.py", "--quick", "--json"))

    (section,) = document["sections"]
    (measure,) = [measure for measure in section["measures"] if measure["name"] == "btc main"]
    assert measure["figures"]["a second"] > 0
    assert measure["verdict"] in {"reached", "MISSED"}


@pytest.mark.parametrize("script", ["footprint.py", "chain.py", "ledger.py", "status.py"])
def test_benchmark_tells_what_it_measures(script: str) -> None:
    assert "--quick" in run(script, "--help")


def run(script: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
