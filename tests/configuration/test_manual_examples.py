"""Every example configuration in the manual of 2015 loads as it is, and fits the JSON Schema."""

from __future__ import annotations

import sys
from copy import deepcopy
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from manual import EXAMPLES, bitcoind

from cryptoassets_btc import models as bitcoin_models
from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.coin.registry import CoinModelDescription
from cryptoassets_core.configcheck import check
from cryptoassets_core.configschema import configuration_schema
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.oldspellings import modernize
from cryptoassets_core.plugins import Plugins


@pytest.fixture(scope="module", autouse=True)
def mycoin() -> Any:
    """What the manual's application has: models, here Bitcoin's under another name, and callbacks."""
    models = ModuleType("mycoin.models")
    names = {
        f"{kind}_model_name": getattr(bitcoin_models.coin_description, f"{kind}_model_name")
        for kind in ("wallet", "address", "account", "transaction", "network_transaction")
    }
    models.coin_description = CoinModelDescription("jesuscoin", **names)  # type: ignore[attr-defined]
    incoming = ModuleType("incoming")
    incoming.handle_tx_update = lambda event_name, data: None  # type: ignore[attr-defined]
    made_up = {"mycoin.models": models, "cryptoassets.django.incoming": incoming, "shop.incoming": incoming}
    packages = {name.rpartition(".")[0] for name in made_up} | {"cryptoassets"}
    with pytest.MonkeyPatch.context() as patch:
        for name, module in (*made_up.items(), *((name, ModuleType(name)) for name in packages)):
            patch.setitem(sys.modules, name, module)
        yield


def load(config: dict[str, Any]) -> CryptoAssetsApp:
    app = CryptoAssetsApp([Subsystem.database, Subsystem.backend])
    Configurator(app).load_from_dict(config)
    app.close()
    return app


@pytest.mark.parametrize("section", EXAMPLES)
def test_example_loads_unchanged(section: str) -> None:
    example = deepcopy(EXAMPLES[section])
    app = load(example)
    assert example == EXAMPLES[section]
    assert {name for name, _ in app.coins.all()} == set(example.get("coins", {})) - {"testnet"}
    for symbol, coin in example.get("coins", {}).items():
        if symbol != "testnet":
            assert ("walletnotify" in coin["backend"]) == (symbol in app.walletnotify)


@pytest.mark.parametrize("section", EXAMPLES)
def test_example_fits_the_schema_in_todays_spelling(section: str) -> None:
    schema = configuration_schema(Plugins())
    jsonschema.validate(modernize(EXAMPLES[section])[0], schema)


@pytest.mark.parametrize("section", EXAMPLES)
def test_check_finds_no_error_in_an_example(section: str) -> None:
    assert [finding for finding in check(EXAMPLES[section]) if finding.level == "error"] == []


def test_settings_of_old_spelling_have_their_effect() -> None:
    app = load(deepcopy(EXAMPLES["5.2.2"]))
    assert app.coins.get("btc").network == "test"
    assert load(deepcopy(EXAMPLES["6.3.2"])).coins.get("doge").network == "test"
    assert load(deepcopy(EXAMPLES["5.3.2"])).coins.get("btc").max_confirmation_count == 20
    status_server = load(deepcopy(EXAMPLES["5.3.4"])).status_server
    assert status_server is not None
    assert status_server.port == 9000


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"coins": {"bitcoin": {"backend": bitcoind(8332)}}}, ["coins.bitcoin", "did you mean 'btc'?"]),
        ({"coins": {"jesuscoin": {"backend": bitcoind(8607)}}}, ["coins.jesuscoin", "name the module of its models"]),
        (
            {"coins": {"btc": {"backend": {"class": "cryptoassets.core.backend.blockchain.BlockChain"}}}},
            ["coins.btc.backend", "blockchain.info is not offered", "'bitcoind'"],
        ),
        (
            {"events": {"shell": {"class": "cryptoassets.core.event.shell.ShellNotifier", "script": "x"}}},
            ["events.shell", "'script'"],
        ),
        (
            {"status-server": {}, "status_server": {}},
            ["status-server: status_server is there too"],
        ),
        (
            {
                "coins": {
                    "btc": {"backend": bitcoind(1, max_tracked_incoming_confirmations=9), "max_confirmation_count": 8}
                }
            },
            ["coins.btc.backend.max_tracked_incoming_confirmations: max_confirmation_count differs"],
        ),
        (
            {"coins": {"btc": {"backend": bitcoind(1, max_tracked_incoming_confirmations="x")}}},
            ["coins.btc.max_confirmation_count: this must be a valid integer"],
        ),
    ],
)
def test_what_cannot_load_is_answered_with_what_to_write(config: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load({"database": {"url": "sqlite://"}, **config})
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("coin", ["bitcoin", "litecoin", "dogecoin", "applebyte"])
def test_model_modules_of_2015_are_understood(coin: str) -> None:
    symbol = {"bitcoin": "btc", "litecoin": "ltc", "dogecoin": "doge", "applebyte": "aby"}[coin]
    app = load(
        {"database": {"url": "sqlite://"}, "coins": {symbol: {"models": f"cryptoassets.core.coin.{coin}.models"}}}
    )
    assert app.coins.get(symbol).wallet_model.__module__ == f"cryptoassets_{symbol}.models"
