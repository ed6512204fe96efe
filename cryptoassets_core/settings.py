"""The configuration, validated: what is wrong is told by its path, and a value is never repeated."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.registry import DEFAULT_CONFIRMATION_COUNT, DEFAULT_MAX_CONFIRMATION_COUNT
from cryptoassets_core.errors import ConfigurationError

M = TypeVar("M", bound=BaseModel)

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """``database``: where the books are."""

    #: SQLAlchemy URL; it may hold a password.
    url: SecretStr
    #: Log every SQL statement.
    echo: bool = False
    #: How often a transaction is replayed after a conflict.
    transaction_retries: int = Field(default=10, ge=0)


class CoinSettings(_Section):
    """``coins.<symbol>``: a coin and what talks to its network."""

    #: The backend's name and options, and its ``walletnotify`` section.
    backend: dict[str, Any] | None = None
    #: Module with the coin's models, in place of those of the installed plugin.
    models: str | None = None
    #: Which network the backend is connected to.
    network: Network | None = None
    #: Short for ``network: test``.
    testnet: bool = False
    #: Confirmations before a deposit is credited.
    confirmation_count: int = Field(default=DEFAULT_CONFIRMATION_COUNT, ge=1)
    #: Confirmations after which a network transaction is no longer followed.
    max_confirmation_count: int = Field(default=DEFAULT_MAX_CONFIRMATION_COUNT, ge=1)


class StatusServerSettings(_Section):
    """``status_server``: where the daemon shows how it is."""

    ip: str = "127.0.0.1"
    port: int = Field(default=18881, ge=0, le=65535)


class ServiceSettings(_Section):
    """``service``: the helper daemon."""

    #: Seconds between looks for withdrawals to broadcast.
    broadcast_period: float = Field(default=30, gt=0)
    #: Seconds between looks for new blocks.
    poll_period: float = Field(default=5, gt=0)
    #: ``logging.config.dictConfig`` settings of the daemon.
    logging: dict[str, Any] | None = None


class Settings(_Section):
    """The whole configuration."""

    database: DatabaseSettings
    coins: dict[str, CoinSettings] = Field(default_factory=dict)
    #: Event sinks by any name: each with ``name`` (or ``class``) and the sink's options.
    events: dict[str, dict[str, Any]] = Field(default_factory=dict)
    status_server: StatusServerSettings | None = Field(
        default=None, validation_alias=AliasChoices("status_server", "status-server")
    )
    service: ServiceSettings = Field(default_factory=ServiceSettings)


def read_yaml(fname: str) -> dict[str, Any]:
    """Read a configuration file.

    :raises ConfigurationError: it cannot be read or is not a YAML mapping.
    """
    try:
        with open(fname, encoding="utf-8") as stream:
            data = yaml.safe_load(stream)
    except OSError as error:
        raise ConfigurationError(f"the configuration file {fname} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the configuration file {fname} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        # The parser's own message quotes the file, and with it perhaps a secret.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigurationError(f"the configuration file {fname}{where} is malformed: {problem}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"the configuration file {fname} must hold sections such as 'database:' and 'coins:'")
    return data


def expand_environment(value: Any, path: str = "") -> Any:
    """Return a copy of the configuration with every ``${NAME}`` replaced from the environment.

    :raises ConfigurationError: a variable is not set.
    """
    if isinstance(value, Mapping):
        return {key: expand_environment(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_environment(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str):
        return _ENVIRONMENT.sub(lambda match: _variable(match[1], path), value)
    return value


def _variable(name: str, path: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigurationError(f"{path}: the environment variable {name} is not set") from None


def validate(model: type[M], data: Mapping[str, Any], *, path: str = "") -> M:
    """Check a section of the configuration against its model.

    :param path: where the section stands, for messages.
    :raises ConfigurationError: the first thing that is wrong, by its path, without its value.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join([part for part in [path] if part] + [str(part) for part in problem["loc"]])
        raise ConfigurationError(f"{where}: {_sentence(model, problem)}") from None


def _sentence(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "this option is required"
    if problem["type"] != "extra_forbidden":
        return str(problem["msg"])
    known = _option_names(model, [part for part in problem["loc"][:-1] if isinstance(part, str)])
    close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known options: {', '.join(sorted(known)) or 'none'}"
    return f"unknown option; {hint}"


def _option_names(model: type[BaseModel], loc: list[str]) -> list[str]:
    section = model
    for part in loc:
        field = section.model_fields.get(part)
        if field is None:
            continue  # a key of a mapping such as coins.btc
        section = next((kind for kind in _models_in(field.annotation)), section)
    return list(section.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
