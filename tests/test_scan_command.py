"""``cryptoassets scan``: what it shows, and what Ctrl-C does to it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from cryptoassets_core.backend.transactionupdater import ScanProgress
from cryptoassets_core.cli import daemon
from cryptoassets_core.cli.main import cryptoassets


class Scanning:
    """Stands for the service: two coins, and Ctrl-C in the middle of the second one if wanted."""

    app = None

    def __init__(self, *, interrupted: bool) -> None:
        self._interrupted = interrupted

    def scan_received(self, on_progress: Callable[[ScanProgress], None]) -> int:
        for progress in (ScanProgress("btc", 0, 3), ScanProgress("btc", 3, 3), ScanProgress("ltc", 5, 9)):
            on_progress(progress)
        if self._interrupted:
            raise KeyboardInterrupt
        return 4


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    def run(*options: str, interrupted: bool = False) -> tuple[int, str, str]:
        monkeypatch.setattr(daemon.Configurator, "prepare_yaml_file", lambda name: {})
        monkeypatch.setattr(daemon, "Service", lambda *arguments, **options: Scanning(interrupted=interrupted))
        monkeypatch.setattr(daemon, "coin_names", lambda app: "btc, ltc")
        result = CliRunner().invoke(cryptoassets, ["scan", *options, "shop.yaml"])
        return result.exit_code, result.stdout, result.stderr

    return run


def test_programs_get_a_line_for_each_step(scanned: Callable[..., tuple[int, str, str]]) -> None:
    code, told, _ = scanned("--json")
    lines = [json.loads(line) for line in told.splitlines()]
    assert (code, lines[0], lines[-1]) == (0, {"coin": "btc", "done": 0, "total": 3}, {"updates": 4})
    assert len(lines) == 4


def test_people_get_bars_on_stderr_and_a_sentence(scanned: Callable[..., tuple[int, str, str]]) -> None:
    code, told, shown = scanned()
    assert (code, told) == (0, "Rescanned btc, ltc: 4 updates.\n")
    assert "3/3" in shown
    assert "5/9" in shown


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_ctrl_c_says_where_it_ended(scanned: Callable[..., tuple[int, str, str]], options: tuple[str, ...]) -> None:
    code, _, shown = scanned(*options, interrupted=True)
    assert code == 1
    assert shown.endswith("Error: interrupted in ltc at transaction 5 of 9; run it again, and it goes on there\n")
