"""Import what is given by its dotted name, when it is needed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from cryptoassets_core.errors import ConfigurationError

T = TypeVar("T")


def load_class(wanted: type[T] | str, base: type[T]) -> type[T]:
    """Return a class that is given as itself or by its dotted name.

    :param base: what it must derive from.
    :raises ConfigurationError: it cannot be imported, or is something else.
    """
    found = _import(wanted) if isinstance(wanted, str) else wanted
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(f"{wanted} must be a class derived from {base.__name__}")
    return found


def _import(dotted_name: str) -> object:
    module_name, _, name = dotted_name.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except Exception as error:
        # It is somebody's code, which may fail in any way.
        raise ConfigurationError(f"{dotted_name!r} cannot be imported ({type(error).__name__}: {error})") from error


def load_function(dotted_name: str) -> Callable[..., Any]:
    """Return a function, or whatever else can be called, by its dotted name.

    :raises ConfigurationError: it cannot be imported or called.
    """
    found = _import(dotted_name)
    if not callable(found):
        raise ConfigurationError(f"{dotted_name} must be a function, not {type(found).__name__}")
    return found


def has_parameter(function: Callable[..., Any], name: str) -> bool:
    """Tell whether a function has a parameter of that name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
