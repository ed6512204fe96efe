"""Attributes that classes had in 2015 and have no more: whoever asks for one is told what to use in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NoReturn


class HasRetiredNames:
    """Derive from it and fill in the names.

    :cvar retired_names: what to use in the place of each attribute, for people.
    """

    __slots__ = ()

    retired_names: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # type checkers would take every attribute for one

        def __getattr__(self, name: str) -> NoReturn:
            owner = type(self).__name__
            advice = type(self).retired_names.get(name)
            raise AttributeError(
                f"{owner} has no {name}" if advice is None else f"{owner}.{name} belongs to the past: {advice}",
                name=name,
                obj=self,
            )
