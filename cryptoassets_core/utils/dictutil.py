"""Deep merge of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MergeError(ValueError):
    """A dictionary met something that is none, so there is no telling what the result should be."""


def merge_dict(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    """Merge ``b`` into ``a``: dictionaries key by key at every depth, anything else of ``b`` replaces what ``a`` has.

    :returns: a new dictionary, none of whose dictionaries or lists is one of the arguments'.
    :raises MergeError: one has a dictionary where the other has something else; None counts as something else.
    """
    return _merge(a, b, ())


def _merge(a: Mapping[Any, Any], b: Mapping[Any, Any], path: tuple[Any, ...]) -> dict[Any, Any]:
    merged = {key: _copy(value) for key, value in a.items()}
    for key, value in b.items():
        if key not in a:
            merged[key] = _copy(value)
        elif isinstance(a[key], Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(a[key], value, (*path, key))
        elif isinstance(a[key], Mapping) or isinstance(value, Mapping):
            where = ".".join(str(part) for part in (*path, key))
            raise MergeError(
                f"{where} cannot be merged: it is {type(a[key]).__name__} on one side "
                f"and {type(value).__name__} on the other, and only two dictionaries can be merged"
            )
        else:
            merged[key] = _copy(value)
    return merged


def _copy(value: Any) -> Any:
    """Copy containers only: other objects may be costly to copy, or not be the same afterwards."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
