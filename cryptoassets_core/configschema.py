"""The JSON Schema of a configuration file, with the options of everything that is installed."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from cryptoassets_core.choosing import BACKEND, EVENT_SINK, WALLETNOTIFY, Kind
from cryptoassets_core.configfile import VARIABLE
from cryptoassets_core.loading import load_class
from cryptoassets_core.plugins import Catalogue, Plugins
from cryptoassets_core.settings import CoinSettings, Settings

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NO_TEXT: Final = {"integer", "number", "boolean"}

#: A number or a switch may come from the environment too.
_FROM_ENVIRONMENT: Final = {"type": "string", "pattern": VARIABLE.pattern}


def configuration_schema(plugins: Plugins) -> dict[str, Any]:
    """Return the schema of what is installed."""
    definitions: dict[str, Any] = {}
    schema = _schema_of(Settings, definitions)
    channel = _one_of(WALLETNOTIFY, plugins.walletnotify_handlers, definitions)
    backend = _one_of(BACKEND, plugins.backends, definitions, walletnotify=channel)
    coin = _schema_of(CoinSettings, definitions)
    coin["properties"]["backend"] = {"anyOf": [backend, {"type": "null"}]}
    definitions["coin"] = coin
    any_coin = {"$ref": "#/$defs/coin"}
    schema["properties"]["coins"] = {
        "type": "object",
        "properties": dict.fromkeys(plugins.coins.names(), any_coin),
        # A coin that no plugin brings is described by its models.
        "additionalProperties": {**any_coin, "required": ["models"]},
    }
    schema["properties"]["events"] = {
        "type": "object",
        "additionalProperties": _one_of(EVENT_SINK, plugins.event_sinks, definitions),
    }
    return {"$schema": _DIALECT, **schema, "$defs": definitions}


def _schema_of(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a model; what it refers to goes to the definitions."""
    schema = model.model_json_schema()
    for name, definition in schema.pop("$defs", {}).items():
        definitions[name] = _with_environment(definition)
    return _with_environment(schema)


def _one_of(
    kind: Kind[Any], catalogue: Catalogue[Any], definitions: dict[str, Any], **also: dict[str, Any]
) -> dict[str, Any]:
    """Return the schema of a section that chooses by name or by class."""
    choices = []
    names: list[str] = []
    for _, entry in catalogue.all():
        schema = _schema_of(load_class(entry.options, kind.options_base), definitions)
        names += [entry.name, *entry.legacy_names]
        schema["title"] = f"{kind.what} {entry.name}"
        schema["properties"] = {
            "name": {"const": entry.name},
            "class": {"enum": list(entry.legacy_names)},
            **schema.get("properties", {}),
            **also,
        }
        schema["oneOf"] = [{"required": ["name"]}, {"required": ["class"]}]
        choices.append(schema)
    choices.append(
        {
            "title": f"{kind.what} of your own",
            "type": "object",
            "properties": {"class": {"type": "string", "pattern": r"\.", "not": {"enum": names}}, **also},
            "required": ["class"],
            "not": {"required": ["name"]},
        }
    )
    return {"anyOf": choices}


def _with_environment(schema: dict[str, Any]) -> dict[str, Any]:
    """Let every option that is no text be given by an environment variable as well."""
    properties = {
        name: {"anyOf": [option, _FROM_ENVIRONMENT]}
        if option.get("type") in {"integer", "number", "boolean"}
        else option
        for name, option in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema
