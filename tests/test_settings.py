"""The configuration is read strictly, and what is found is told without its value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.configfile import expand_environment, read_yaml
from cryptoassets_core.configure import Configurator
from cryptoassets_core.database import connect, shown
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.settings import CoinSettings, Settings
from cryptoassets_core.validation import validate

DATABASE = {"database": {"url": "sqlite://"}}


def test_environment_is_read_everywhere_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_A", "${SHOP_B}")
    monkeypatch.setenv("SHOP_B", "b")
    config = {"x": ["${SHOP_A}", {"y": "<${SHOP_B}${SHOP_B}>"}], "z": 5, "${SHOP_B}": "$SHOP_B"}
    # What a variable holds is taken as it is: a password may contain anything.
    assert expand_environment(config) == {"x": ["${SHOP_B}", {"y": "<bb>"}], "z": 5, "${SHOP_B}": "$SHOP_B"}


def test_variable_that_is_not_set_is_told_by_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"^a\[1\]\.b: the environment variable NOBODY_SETS_THIS is not set$"):
        expand_environment({"a": [1, {"b": "${NOBODY_SETS_THIS}"}]})


def test_configuration_that_is_given_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "sqlite://")
    config: dict[str, Any] = {"database": {"url": "${SHOP_URL}"}, "coins": {}}
    Configurator(CryptoAssetsApp([Subsystem.database])).load_from_dict(config)
    assert config == {"database": {"url": "${SHOP_URL}"}, "coins": {}}


def test_mistyped_name_is_told_before_what_is_missing_for_it() -> None:
    with pytest.raises(ConfigurationError, match=r"^database\.ulr: unknown option; did you mean 'url'\?$"):
        validate(Settings, {"database": {"ulr": "sqlite://"}})


def test_name_like_no_other_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"^status_server\.zzz: unknown option; known options: ip, password, port, token, user$",
    ):
        validate(Settings, {**DATABASE, "status_server": {"zzz": 1}})


class Section(BaseModel):
    text: str


@pytest.mark.parametrize(
    ("value", "words"),
    [({}, "a section"), ([], "a list"), (5, "a number"), (0.5, "a number"), (True, "true or false"), (None, "nothing")],
)
def test_type_of_a_wrong_value_is_told(value: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^shop\.text: this must be a valid string, not {words}$"):
        validate(Section, {"text": value}, path="shop")


def test_secrets_are_not_in_what_settings_show() -> None:
    settings = validate(Settings, {"database": {"url": "postgresql://shop:hunter2@host/books"}})
    assert "hunter2" not in f"{settings!r} {settings}"


def test_engine_is_shown_without_anything_secret() -> None:
    engine = connect("postgresql+psycopg2://shop:hunter2@host/books?password=hunter2&application_name=hunter2")
    assert shown(engine) == "postgresql+psycopg2://shop:***@host/books"


@pytest.mark.parametrize(("testnet", "network"), [(True, "test"), (False, "main")])
def test_testnet_and_network_may_say_the_same(testnet: bool, network: str) -> None:
    assert validate(CoinSettings, {"testnet": testnet, "network": network}).network == network


@pytest.mark.parametrize(
    ("testnet", "network"), [(True, "main"), (True, "regtest"), (False, "test"), (False, "signet")]
)
def test_testnet_and_network_may_not_contradict_each_other(testnet: bool, network: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^coins\.btc: network: {network} and testnet: .*keep network only$"):
        validate(CoinSettings, {"testnet": testnet, "network": network}, path="coins.btc")


def test_overrides_take_precedence_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("database: {url: 'nosuch://', echo: false}\ncoins: {}\n")
    app = CryptoAssetsApp([Subsystem.database])
    Configurator(app).load_yaml_file(str(path), {"database": {"url": "sqlite:///x"}})
    assert app.engine is not None
    assert app.engine.url.database == "x"
    with pytest.raises(ConfigurationError, match=r"shop\.yaml: database cannot be merged"):
        Configurator(app).load_yaml_file(str(path), {"database": "sqlite:///x"})


def test_merge_keys_of_yaml_work(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("base: &base {port: 1, ip: a}\nstatus_server: {<<: *base, port: 2}\n")
    assert read_yaml(str(path))["status_server"] == {"port": 2, "ip": "a"}
