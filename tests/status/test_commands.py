"""``cryptoassets status``, ``accounts``, ``addresses``, ``transactions``, ``withdrawals`` and ``completion``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from commands import SECRET, ask, daemon, listener, run, simnet_config, unused_port
from kit import address, txid
from sqlalchemy.orm import Session
from status_stage import HOSTILE, fill_shop, opened_service

from cryptoassets_core.cli.later import Later
from cryptoassets_core.cli.main import cryptoassets
from cryptoassets_core.cli.sections import SECTIONS
from cryptoassets_core.service.main import Service
from cryptoassets_core.tools.listing import paging


class Operator:
    """Runs commands on a shop's books."""

    def __init__(self, service: Service, url: str, directory: Path) -> None:
        self.service = service
        self.config = directory / "shop.yaml"
        coin = {"network": "regtest", "backend": {"name": "simnet", "path": str(directory / "chain")}}
        self.settings: dict[str, Any] = {"database": {"url": url}, "coins": {"btc": coin}}
        self.write()
        self.ids = fill_shop(service)

    def write(self, **sections: Any) -> None:
        self.config.write_text(yaml.safe_dump({**self.settings, **sections}), encoding="utf-8")

    def run(self, command: str, *arguments: object, answer: str | None = None) -> Result:
        group, _, task = command.partition(" ")
        line = [group, *filter(None, [task]), str(self.config), *map(str, arguments)]
        return CliRunner().invoke(cryptoassets, line, input=answer)

    def read(self, command: str, *arguments: object) -> list[dict[str, Any]]:
        result = self.run(command, *arguments, "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def operator(books_url: str, tmp_path: Path) -> Iterator[Operator]:
    with opened_service(books_url, tmp_path) as service:
        yield Operator(service, books_url, tmp_path)


def test_lists_are_json_lines_with_exact_amounts_and_times(operator: Operator) -> None:
    (account,) = operator.read("accounts", "--name", HOSTILE[0])
    assert (account["id"], account["balance"], account["coin"]) == (operator.ids["account"], "8.50000000", "btc")
    assert account["created_at"].endswith("+00:00")
    (deposit,) = operator.read("transactions", "--txid", txid("deposit")[:8])
    assert (deposit["id"], deposit["amount"], deposit["txid"]) == (
        operator.ids["deposit"],
        "1.50000000",
        txid("deposit"),
    )
    assert [row["id"] for row in operator.read("transactions", "--address", address("ours"))] == [deposit["id"]]
    assert [row["id"] for row in operator.read("transactions", "--open")] == [operator.ids["withdrawal"]]
    assert [row["id"] for row in operator.read("withdrawals list")] == [
        operator.ids["cancelled"],
        operator.ids["withdrawal"],
    ]
    assert [row["id"] for row in operator.read("withdrawals list", "--state", "cancelled")] == [
        operator.ids["cancelled"]
    ]
    assert operator.read("withdrawals list", "--since", "2000-01-01") == operator.read(
        "withdrawals list", "--since", "1h"
    )
    assert operator.read("transactions", "--since", "2999-01-01") == []
    assert [row["address"] for row in operator.read("addresses", "--address", address("ours")[:12])] == [
        address("ours")
    ]
    assert len(operator.read("addresses", "--account", account["id"])) == 1


def test_accounts_history_has_the_balance_after_each_entry(operator: Operator) -> None:
    entries = operator.read("transactions", "--account", operator.ids["account"])
    assert [entry["entry"] for entry in entries] == list(range(len(entries), 0, -1))
    assert entries[0]["balance_after"] == "8.50000000"
    assert sum(Decimal(entry["change"]) for entry in entries) == Decimal("8.5")
    older = operator.read("transactions", "--account", operator.ids["account"], "--before", 3)
    assert [entry["entry"] for entry in older] == [2, 1]


def test_pages_follow_each_other_without_a_gap(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [row["id"] for row in operator.read("transactions")]
    for filters in ([], ["--kind", "internal"]):
        expected = [row["id"] for row in operator.read("transactions", *filters)]
        for window in (paging.WINDOW, 3):
            monkeypatch.setattr(paging, "WINDOW", window)
            pages, before = [], everything[0] + 1
            while page := operator.read("transactions", *filters, "--limit", 2, "--coin", "btc", "--before", before):
                assert len(page) <= 2
                pages += [row["id"] for row in page]
                before = pages[-1]
            assert pages == expected


def test_tables_show_hostile_texts_as_texts(operator: Operator) -> None:
    coin = operator.service.app.coins.get("btc")

    def make(session: Session) -> None:
        wallet = coin.wallet_model.get_or_create_by_name(HOSTILE[0], session)
        wallet.get_or_create_account_by_name("[red]markup[/red]\u202e\u2066")

    operator.service.app.conflict_resolver.run(make)
    for command in ("accounts", "addresses", "transactions", "withdrawals list"):
        shown = operator.run(command)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert "\u202e" not in shown.stdout
        assert "\x1b" not in shown.stdout
    shown = operator.run("accounts")
    assert "[red]markup[/red]" in shown.stdout
    assert HOSTILE[0] in shown.stdout


def test_what_is_not_there_is_said(operator: Operator) -> None:
    assert "There are no such accounts." in operator.run("accounts", "--name", "nobody").stdout
    for command, words in (
        (["accounts", "--coin", "doge"], "doge"),
        (["transactions", "--account", 999], "there is no btc account 999"),
        (["addresses", "--address", "a"], "4 to 255 letters"),
        (["accounts", "--wallet", "nowhere", "--coin", "btc"], "no wallet 'nowhere'"),
    ):
        refused = operator.run(str(command[0]), *command[1:])
        assert refused.exit_code == 1
        assert words in refused.stderr
    assert operator.run("transactions", "--account", 1, "--kind", "deposit").exit_code == 2
    assert operator.run("transactions", "--state", "gone").exit_code == 2


def test_withdrawal_is_called_back_once(operator: Operator) -> None:
    withdrawal = operator.ids["withdrawal"]
    kept = operator.run("withdrawals cancel", "btc", withdrawal, answer="n\n")
    assert (kept.exit_code, "Nothing was changed." in kept.stderr) == (0, True)
    assert operator.read("withdrawals list", "--state", "pending")
    (refund,) = operator.read("withdrawals cancel", "btc", withdrawal, "--yes", "--reason", "wrong address")
    assert (refund["kind"], refund["answers"], refund["amount"]) == ("refund", withdrawal, "0.10000000")
    assert operator.read("withdrawals cancel", "btc", withdrawal, "--yes") == [refund]
    assert operator.read("withdrawals list", "--state", "pending") == []


def test_what_is_no_withdrawal_is_not_cancelled(operator: Operator) -> None:
    for number, words in ((operator.ids["deposit"], "is no withdrawal but: deposit"), (999, "no btc transaction 999")):
        refused = operator.run("withdrawals cancel", "btc", number, "--yes")
        assert (refused.exit_code, words in refused.stderr) == (1, True), refused.stderr


def test_status_without_a_daemon_tells_what_the_books_know(operator: Operator) -> None:
    none = operator.run("status")
    assert none.exit_code == 1
    assert "no section status_server" in none.stdout
    operator.write(status_server={"port": unused_port(), "token": f"{SECRET}-0123456789abcdef"})
    for words in (["status"], ["status", "--json"]):
        result = operator.run(words[0], *words[1:])
        assert result.exit_code == 1
        assert "no daemon answers at http://127.0.0.1:" in result.stdout
        assert SECRET not in result.output
    told = json.loads(operator.run("status", "--json").stdout)
    assert (told["daemon"], told["healthy"], told["coins"][0]["queued"]) == (False, False, 1)


def test_status_is_not_fooled_by_another_program(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptoassets_core.cli.asking.TIMEOUT_SECONDS", 0.2)
    with listener() as port:
        operator.write(status_server={"port": port})
        result = operator.run("status")
    assert (result.exit_code, "no daemon answers" in result.stdout) == (1, True)


def test_status_asks_the_daemon_with_its_secret(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(config))
    assert ask("cryptoassets init-db", path).returncode == 0
    with daemon(config, tmp_path) as running:
        running.ready()
        assert running.status()["healthy"] in (True, False)
        for _ in range(100):
            result = run("cryptoassets status", path, "--json")
            if result.returncode == 0:
                break
        told = json.loads(result.stdout)
        assert (told["daemon"], told["healthy"], told["coins"][0]["name"]) == (True, True, "btc")
        shown = run("cryptoassets status", path)
        assert shown.returncode == 0
        assert "All is well." in shown.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_command(shell: str) -> None:
    result = run("cryptoassets completion", shell)
    assert (result.returncode, "_CRYPTOASSETS_COMPLETE" in result.stdout) == (0, True)


def test_completion_names_the_commands() -> None:
    line = {"COMP_WORDS": "cryptoassets wi", "COMP_CWORD": "1", "_CRYPTOASSETS_COMPLETE": "bash_complete"}
    assert run("cryptoassets", **line).stdout.strip() == "plain,withdrawals"


def test_help_has_every_command_in_a_section() -> None:
    shown = run("cryptoassets --help").stdout
    for section in ("Set up:", "The daemon:", "The books:", "From plugins:"):
        assert section in shown
    ours = shown.partition("From plugins:")[0]
    assert [name for name in cryptoassets.commands if f"\n  {name} " not in ours] == []


@pytest.mark.parametrize(
    "command", [command for section in SECTIONS.values() for command in section], ids=lambda command: command.name
)
def test_summary_is_what_the_help_of_the_command_begins_with(command: Later) -> None:
    loaded = command.load()
    assert loaded.name == command.name
    assert loaded.help is not None
    assert loaded.help.startswith(str(command.short_help).rstrip("."))


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        ("--help", {"sqlalchemy", "flask", "requests", "apscheduler"}),
        ("accounts --help", {"flask", "requests", "apscheduler"}),
        ("broadcasts --help", {"flask", "requests", "apscheduler"}),
        ("run --help", {"flask", "waitress", "prometheus_client", "requests"}),
    ],
)
def test_commands_wait_for_no_library_that_they_do_not_need(words: str, unneeded: set[str]) -> None:
    """Each of these takes some tenths of a second to import."""
    show = "import sys\nfrom cryptoassets_core.cli.main import main\ntry:\n main()\nfinally:\n print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", show, *words.split()], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Usage:" in shown.stdout
    assert unneeded & set(shown.stdout.splitlines()[-1].split()) == set()
