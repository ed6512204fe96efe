"""Enumerations whose values nobody cares about."""

from __future__ import annotations

from enum import Enum
from typing import Self


class AutoNumber(Enum):
    """Numbers its members from 1, in the order they are written: ``red = ()``."""

    def __new__(cls) -> Self:
        member = object.__new__(cls)
        member._value_ = len(cls.__members__) + 1
        return member
