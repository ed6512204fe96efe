"""The configuration, validated: what is wrong is told by its path, and a value is never repeated."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.registry import (
    DEFAULT_CONFIRMATION_COUNT,
    DEFAULT_MAX_CONFIRMATION_COUNT,
    DEFAULT_MAX_WITHDRAWALS,
)
from cryptoassets_core.errors import BackendRejectedError, ConfigurationError

M = TypeVar("M", bound=BaseModel)

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

#: What the YAML parser would quote of the file, and with it perhaps a secret.
_QUOTED_BY_YAML = re.compile(r"\b(alias|anchor|handle|tag(?! handle))\b .*", re.DOTALL)

#: What YAML calls the types of values.
_TYPE_NAMES: Final = {
    dict: "a section",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}

#: Longest period of a job: a day is more than anybody wants, and what the scheduler can count with.
_DAY_SECONDS: Final = 86_400


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """``database``: where the books are."""

    #: SQLAlchemy URL; it may hold a password.
    url: SecretStr
    #: SQLAlchemy URL of a replica for sessions that only read; None to read from ``url``.
    readonly_url: SecretStr | None = None
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

    #: Withdrawals that one network transaction pays at most.
    max_withdrawals_per_broadcast: int = Field(default=DEFAULT_MAX_WITHDRAWALS, ge=1, le=1000)

    @model_validator(mode="after")
    def _network_is_told_once(self) -> Self:
        if self.network is not None and "testnet" in self.model_fields_set:
            means: Network = "test" if self.testnet else "main"
            if self.network != means:
                raise PydanticCustomError(
                    "contradiction",
                    "network: {network} and testnet: {testnet}, which means network: {means}, contradict each other; "
                    "keep network only",
                    {"network": self.network, "testnet": str(self.testnet).lower(), "means": means},
                )
        return self


class StatusServerSettings(_Section):
    """``status_server``: where the daemon shows how it is."""

    ip: str = "127.0.0.1"
    port: int = Field(default=18881, ge=0, le=65535)


class ServiceSettings(_Section):
    """``service``: the helper daemon."""

    #: Seconds between looks for withdrawals to broadcast.
    broadcast_period: float = Field(default=30, gt=0, le=_DAY_SECONDS)
    #: Seconds between looks for new blocks.
    poll_period: float = Field(default=5, gt=0, le=_DAY_SECONDS)
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


class _StrictLoader(yaml.SafeLoader):
    """Refuses what YAML would silently resolve: of a key that is written twice it forgets the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem="the same key stands twice in one section", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(fname: str) -> dict[str, Any]:
    """Read a configuration file.

    :raises ConfigurationError: it cannot be read or is not a YAML mapping.
    """
    try:
        with open(fname, encoding="utf-8") as stream:
            data = _StrictLoader(stream).get_single_data()
    except OSError as error:
        raise ConfigurationError(f"the configuration file {fname} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"the configuration file {fname} is not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(_malformed(fname, error)) from None
    except (ValueError, RecursionError):
        # A date such as 2001-99-99, a number of endless digits, brackets without end.
        raise ConfigurationError(
            f"the configuration file {fname} holds a value that YAML cannot make sense of; put text in quotes"
        ) from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"the configuration file {fname} must hold sections such as 'database:' and 'coins:'")
    return data


def _malformed(fname: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}," if mark else ""
    problem = _QUOTED_BY_YAML.sub(r"\1", getattr(error, "problem", None) or "not valid YAML")
    return (
        f"the configuration file {fname}{where} is malformed: {problem}; "
        "mind the indentation, and put text with special characters in quotes"
    )


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


def validate(model: type[M], data: Mapping[str, Any], *, path: str = "", also: Iterable[str] = ()) -> M:
    """Check a section of the configuration against its model.

    :param path: where the section stands, for messages.
    :param also: options of the section that the caller reads itself, for messages.
    :raises ConfigurationError: the first thing that is wrong, by its path, without its value.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # A mistyped name comes as two problems, and "unknown" helps more than "missing".
        problem = min(problems, key=lambda each: each["type"] != "extra_forbidden")
        where = ".".join([part for part in [path] if part] + [str(part) for part in problem["loc"]])
        raise ConfigurationError(f"{where}: {_sentence(model, problem, also)}") from None


@contextmanager
def at(path: str) -> Iterator[None]:
    """Name the section of the configuration by which something refuses to work.

    :raises ConfigurationError: in place of another one without the place, or of a backend's definite no.
    """
    try:
        yield
    except (ConfigurationError, BackendRejectedError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _sentence(model: type[BaseModel], problem: Mapping[str, Any], also: Iterable[str]) -> str:
    kind = problem["type"]
    if kind == "missing":
        return "this is required, and it is missing"
    if kind == "extra_forbidden":
        return _unknown_option(model, problem["loc"], also)
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return f"this must be a section with options of its own, not {_type_name(problem['input'])}"
    words = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "this must be", 1)
    return f"{words}, not {_type_name(problem['input'])}" if kind.endswith("_type") else words


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), f"a {type(value).__name__}")


def _unknown_option(model: type[BaseModel], loc: tuple[int | str, ...], also: Iterable[str]) -> str:
    known = _option_names(model, [part for part in loc[:-1] if isinstance(part, str)])
    if len(loc) == 1:
        known.extend(also)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
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
