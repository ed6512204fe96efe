"""Long sequences in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def grouper(size: int, items: Iterable[T]) -> Iterator[list[T]]:
    """Return the items in lists of so many, the last one shorter; what is endless is read only as far as is asked.

    :raises ValueError: the size is not above 0.
    """
    if size < 1:
        raise ValueError(f"the size of a group must be above 0, not {size}")
    waiting = iter(items)
    while group := list(islice(waiting, size)):
        yield group
