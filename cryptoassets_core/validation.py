"""Checks sections of the configuration: what is wrong is told by its path, and a value is never repeated."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from cryptoassets_core.errors import BackendRejectedError, ConfigurationError

M = TypeVar("M", bound=BaseModel)

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


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a section."""

    #: Path below the section.
    loc: tuple[int | str, ...]
    #: Path in the configuration.
    where: str
    sentence: str


def problems(model: type[M], data: Mapping[str, Any], *, path: str = "", also: Iterable[str] = ()) -> list[Problem]:
    """Return all that is wrong with a section; see :py:func:`validate`."""
    try:
        model.model_validate(dict(data))
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A mistyped name comes as two problems, and "unknown" helps more than "missing".
        found.sort(key=lambda each: each["type"] != "extra_forbidden")
        return [
            Problem(each["loc"], ".".join(filter(None, (path, *map(str, each["loc"])))), _sentence(model, each, also))
            for each in found
        ]
    return []


def validate(model: type[M], data: Mapping[str, Any], *, path: str = "", also: Iterable[str] = ()) -> M:
    """Check a section of the configuration against its model.

    :param path: where the section stands, for messages.
    :param also: options of the section that the caller reads itself, for messages.
    :raises ConfigurationError: the first thing that is wrong, by its path, without its value.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError:
        first = problems(model, data, path=path, also=also)[0]
        raise ConfigurationError(f"{first.where}: {first.sentence}") from None


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
