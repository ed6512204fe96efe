"""Reads a configuration file: YAML without surprises, and values from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from cryptoassets_core.errors import ConfigurationError

#: How a value asks for an environment variable.
VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

#: What the YAML parser would quote of the file, and with it perhaps a secret.
_QUOTED_BY_YAML: Final = re.compile(r"\b(alias|anchor|handle|tag(?! handle))\b .*", re.DOTALL)


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
        return VARIABLE.sub(lambda match: _variable(match[1], path), value)
    return value


def _variable(name: str, path: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ConfigurationError(f"{path}: the environment variable {name} is not set") from None
