"""What a configuration comes to: every option with its value, defaults included and secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretStr

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.choosing import BACKEND, EVENT_SINK, WALLETNOTIFY, Choice, choose
from cryptoassets_core.configfile import VARIABLE
from cryptoassets_core.configure import Configurator
from cryptoassets_core.masking import masked
from cryptoassets_core.oldspellings import modernize
from cryptoassets_core.settings import Settings
from cryptoassets_core.validation import validate


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options in today's spelling; values that come from the environment are shown as they are written.

    :param config: as in the file.
    :raises ConfigurationError: something in it cannot make sense.
    """
    app = CryptoAssetsApp([Subsystem.database])
    configurator = Configurator(app)
    configurator.load_from_dict(config)
    filled_in = configurator.config
    settings = validate(Settings, filled_in)
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    values["coins"] = {symbol: _coin(app, symbol, settings) for symbol in settings.coins}
    values["events"] = {
        name: _chosen(choose(EVENT_SINK, app.plugins.event_sinks, data, path=f"events.{name}"))
        for name, data in settings.events.items()
    }
    app.close()
    written = modernize(config)[0]
    return {name: _shown(value, written.get(name), name) for name, value in values.items()}


def _coin(app: CryptoAssetsApp, symbol: str, settings: Settings) -> dict[str, Any]:
    section, coin = settings.coins[symbol], app.coins.get(symbol)
    values = {name: getattr(section, name) for name in type(section).model_fields if name != "testnet"}
    values["network"] = coin.network
    values["models"] = coin.coin_description.wallet_model_name.rpartition(".")[0]
    if section.backend is not None:
        path = f"coins.{symbol}.backend"
        choice = choose(BACKEND, app.plugins.backends, section.backend, path=path, also=["walletnotify"])
        channel = section.backend.get("walletnotify")
        values["backend"] = _chosen(choice) | {
            "walletnotify": channel
            and _chosen(choose(WALLETNOTIFY, app.plugins.walletnotify_handlers, channel, path=f"{path}.walletnotify"))
        }
    return values


def _chosen(choice: Choice[Any]) -> dict[str, Any]:
    word = "class" if "." in choice.type.name else "name"
    return {
        word: choice.type.name,
        **{name: getattr(choice.options, name) for name in type(choice.options).model_fields},
    }


def _shown(value: Any, written: Any, name: str) -> Any:
    """Turn a value into what YAML and JSON can write.

    :param written: the same place in the file, for values that come from the environment.
    """
    if isinstance(value, BaseModel):
        value = {field: getattr(value, field) for field in type(value).model_fields}
    if isinstance(value, Mapping):
        below = written if isinstance(written, Mapping) else {}
        return {str(key): _shown(item, below.get(key), str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item, None, name) for item in value]
    if isinstance(written, str) and VARIABLE.search(written):
        return masked(name, written, secret=isinstance(value, SecretStr))
    if isinstance(value, SecretStr):
        return masked(name, value.get_secret_value(), secret=True)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str | PurePath):
        return masked(name, str(value))
    return value
