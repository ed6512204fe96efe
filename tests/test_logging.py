"""What the daemon logs: one line a message, whatever others say (F10), and nothing secret."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import SECRET, ask, daemon, simnet_config, write

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.utils.logformat import JsonFormatter, LineFormatter

HOSTILE = "a\r\n2026-01-01 00:00:00,000 INFO shop: all is well\x1b[2J\x00\u2028\u202e\x85b"


def record(message: str, *, failing: bool = False) -> logging.LogRecord:
    cause = None
    if failing:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            cause = sys.exc_info()
    return logging.LogRecord("shop", logging.WARNING, "shop.py", 1, "%s", (message,), cause)


def test_message_is_one_line_whatever_it_says() -> None:
    line = LineFormatter().format(record(HOSTILE))
    assert line.isprintable()
    assert r"WARNING shop: a\r\n2026-01-01 00:00:00,000 INFO shop: all is well\x1b[2J\x00\u2028\u202e\x85b" in line


def test_no_line_of_a_traceback_passes_for_a_message() -> None:
    first, *lines = LineFormatter().format(record("it failed", failing=True)).split("\n")
    assert first.endswith("WARNING shop: it failed")
    assert len(lines) >= 4
    assert all(line.startswith("  ") and line.isprintable() for line in lines)


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(record(HOSTILE, failing=True))
    assert line.isprintable()
    facts = json.loads(line)
    assert facts["message"] == HOSTILE
    assert "ValueError: a" in facts["exception"]
    assert facts["time"].endswith("+00:00")
    assert (facts["level"], facts["logger"], facts["thread"]) == ("WARNING", "shop", "MainThread")


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_daemon_logs_lines_without_secrets(log_format: str, tmp_path: Path) -> None:
    """F36: those of the configuration, while an endpoint refuses."""
    secret = "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaHVudGVyMg=="
    url = f"http://shop:{SECRET}@127.0.0.1:9/x?token={SECRET}"
    config = simnet_config(tmp_path, events={"shop": {"name": "http", "url": url, "secret": secret}})
    config["service"]["log_format"] = log_format
    assert ask("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    with daemon(config, tmp_path) as running:
        running.ready()
        running.logs("caught up with the chain")
        assert running.end() == 0
        lines = running.log.splitlines()
    assert all(line.isprintable() for line in lines)
    assert SECRET not in running.log
    assert secret not in running.log
    if log_format == "json":
        assert [json.loads(line)["message"] for line in lines][-1] == "the daemon has stopped"


def test_logging_is_told_once(tmp_path: Path) -> None:
    config = simnet_config(tmp_path)
    config["service"] |= {"log_format": "json", "logging": {"root": {"level": "INFO"}}}
    with pytest.raises(ConfigurationError, match=r"^service: log_format is for the daemon's own logging"):
        Configurator(CryptoAssetsApp()).load_from_dict(config)


def test_library_leaves_loggers_alone(tmp_path: Path) -> None:
    def handlers() -> list[Any]:
        loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
        return [list(each.handlers) for each in loggers if isinstance(each, logging.Logger)]

    config = simnet_config(tmp_path)
    config["service"]["log_format"] = "json"
    before = handlers()
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict(config)
    app.close()
    assert [each for each in handlers() if each] == [each for each in before if each]
