"""``cryptoassets config`` tells what a configuration is worth, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from commands import SECRET, ask, simnet_config, write

from cryptoassets_core.configcheck import Finding, check
from cryptoassets_core.configschema import configuration_schema
from cryptoassets_core.effective import effective
from cryptoassets_core.masking import masked, plain_secrets
from cryptoassets_core.plugins import Plugins


def sound(tmp_path: Path) -> dict[str, Any]:
    """Return a configuration with which nothing is wrong and nothing unwise."""
    config = simnet_config(tmp_path)
    config["events"] = {"shop": {"name": "http", "url": "http://127.0.0.1:10000/"}}
    config["coins"]["btc"]["backend"]["walletnotify"] = {"name": "http"}
    config["status_server"] = {"port": 18881}
    return config


def levels(findings: list[Finding], level: str) -> list[str]:
    return [f"{finding.path}: {finding.message}" for finding in findings if finding.level == level]


def test_sound_configuration_has_good_findings_only(tmp_path: Path) -> None:
    findings = list(check(sound(tmp_path)))
    assert {finding.level for finding in findings} == {"ok"}
    told = [finding.path for finding in findings]
    assert told == ["database", "coins.btc", "coins.btc.backend.walletnotify", "events.shop", "status_server"]
    assert list(tmp_path.iterdir()) == []  # nothing was made, nothing was connected to


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    config = sound(tmp_path)
    config["service"]["pol_period"] = 1
    config["databse"] = {}
    config["coins"]["btc"]["backend"]["pth"] = SECRET
    config["coins"]["bitcoin"] = {}
    config["coins"]["ltc"] = {"confirmation_count": 0}
    config["coins"]["doge"] = {"min_deposit": 0, "max_transfer": -1}
    config["events"]["other"] = {"name": "smoke"}
    config["status_server"]["ip"] = "::"
    errors = levels(list(check(config)), "error")
    assert len(errors) == 9
    for words in (
        "service.pol_period: unknown option; did you mean 'poll_period'?",
        "databse: unknown option; did you mean 'database'?",
        "coins.btc.backend.pth: unknown option; did you mean 'path'?",
        "coins.bitcoin: no installed plugin brings the coin 'bitcoin'",
        "coins.ltc.confirmation_count: this must be greater than or equal to 1",
        "coins.doge.min_deposit: this must be greater than 0",
        "coins.doge.max_transfer: this must be greater than 0",
        "status_server: ip lets other machines in",
        "events.other: no installed plugin brings the event sink 'smoke'",
    ):
        assert any(error.startswith(words) for error in errors), words
    assert SECRET not in str(errors)


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        (
            "coins/btc/backend/walletnotify",
            None,
            "coins.btc.backend: without walletnotify, deposits show with",
        ),
        ("coins/btc/backend", None, "coins.btc: it has no backend"),
        ("coins/btc/network", None, "coins.btc: no network is named"),
        ("coins/btc/backend/walletnotify/ip", "0.0.0.0", "coins.btc.backend.walletnotify.ip: other machines"),
        ("events", None, "events: there is none"),
        ("coins", {}, "coins: there is no coin"),
        ("database/url", "sqlite://", "database.url: this database is in memory"),
        ("database/url", f"postgresql://shop:{SECRET}@localhost/shop", "database.url: this secret stands in the file"),
        ("events/shop/url", f"http://shop:{SECRET}@localhost/", "events.shop.url: this secret stands in the file"),
        ("plugins", {"disabled": ["smok"]}, "plugins.disabled: no plugin 'smok' is installed"),
        ("status-server", {}, "status-server: this is called status_server now"),
    ],
)
def test_what_is_unwise_is_warned_of(path: str, value: object, warning: str, tmp_path: Path) -> None:
    config = sound(tmp_path)
    if path == "status-server":
        del config["status_server"]
    if path == "coins/btc/network":
        config["coins"]["btc"]["backend"] = None
    *sections, last = path.split("/")
    section = config
    for name in sections:
        section = section[name]
    if value is None:
        del section[last]
    else:
        section[last] = value
    findings = list(check(config))
    assert levels(findings, "error") == []
    assert any(told.startswith(warning) for told in levels(findings, "warning")), levels(findings, "warning")
    assert SECRET not in str(findings)


def test_secrets_of_the_environment_are_no_plain_ones() -> None:
    config = {
        "a": {"password": "x", "pin": "1234", "api_key": "${KEY}", "spin": "x", "token": ""},
        "b": ["postgresql://u:p@h/d", "postgresql://u:${P}@h/d", "postgresql://u@h/d", {"secret": "s"}],
        "url": "http://u:p@w@h/",
    }
    assert list(plain_secrets(config)) == ["a.password", "a.pin", "b[3].secret", "url"]


@pytest.mark.parametrize(
    ("name", "value", "secret", "shown"),
    [
        ("pin", "1234", False, "***"),
        ("pin", "${PIN}", True, "${PIN}"),
        ("pin", "${PIN}4", True, "***"),
        ("url", "http://u:p@h:1/w?token=x", True, "http://u:***@h:1/w?***"),
        ("url", "http://u:p@q@h/", False, "http://u:***@h/"),
        ("url", "http://u:${P}@h/", True, "http://u:${P}@h/"),
        ("fname", "/tmp/pipe", False, "/tmp/pipe"),
        ("color", "red", True, "***"),
    ],
)
def test_values_are_shown_without_secrets(name: str, value: str, secret: bool, shown: str) -> None:
    assert masked(name, value, secret=secret) == shown


def test_what_is_in_effect_can_be_loaded_again(tmp_path: Path) -> None:
    shown = effective(sound(tmp_path))
    assert shown["coins"]["btc"]["backend"]["fee"] == "0.0001"
    assert shown["coins"]["btc"]["confirmation_count"] == 3
    assert shown["service"]["broadcast_period"] is not None
    assert effective(shown) == shown
    jsonschema.validate(shown, configuration_schema(Plugins()))


def test_schema_is_one_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    schema = configuration_schema(Plugins())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(sound(tmp_path))
    validator.validate({**sound(tmp_path), "status_server": {"port": "${PORT}"}})
    for path, value in [
        (("databse",), {}),
        (("database", "ulr"), "x"),
        (("coins", "monero"), {}),
        (("coins", "btc", "netwrk"), "test"),
        (("coins", "btc", "network"), "tset"),
        (("coins", "btc", "backend", "pth"), "x"),
        (("coins", "btc", "backend", "name"), "smoke"),
        (("coins", "btc", "backend", "walletnotify", "prt"), 1),
        (("events", "shop", "url"), None),
        (("status_server", "port"), "many"),
    ]:
        config: Any = sound(tmp_path)
        section = config
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = value
        assert not validator.is_valid(config), path


def test_commands_say_it(tmp_path: Path) -> None:
    config = sound(tmp_path)
    config["database"]["url"] = f"postgresql://shop:{SECRET}@127.0.0.1:1/shop"
    file = write(tmp_path, config)

    checked = ask("cryptoassets config check", file)
    assert checked.returncode == 0, checked.stderr
    assert "warning  database.url: this secret stands in the file" in checked.stdout

    shown = ask("cryptoassets config show", file)
    assert yaml.safe_load(shown.stdout)["database"]["url"] == "postgresql://shop:***@127.0.0.1:1/shop"
    as_json = ask("cryptoassets config show --json", file)
    assert json.loads(as_json.stdout) == yaml.safe_load(shown.stdout)

    config["coins"]["btc"]["backend"]["pth"] = SECRET
    failed = ask("cryptoassets config check --json", write(tmp_path, config))
    assert failed.returncode == 1
    findings = [json.loads(line) for line in failed.stdout.splitlines()]
    assert [finding["path"] for finding in findings if finding["level"] == "error"] == ["coins.btc.backend.pth"]

    schema = ask("cryptoassets config schema")
    assert json.loads(schema.stdout)["$schema"].startswith("https://json-schema.org/")
    for result in (checked, shown, as_json, failed, schema):
        assert SECRET not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
