"""What the conformance suites share: tests of what a plugin cannot do are left out, and never skipped.

A skipped test looks like a test. A plugin declares what it can do instead, in sight of everybody:
``can_reorg = True``. What it does not declare is not collected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

#: Attributes of a suite with these beginnings are capabilities.
_CAPABILITY_PREFIXES = ("can_", "has_", "knows_")


def needs(*capabilities: str) -> Callable[[Test], Test]:
    """Mark a suite's test as meant for plugins that declare these capabilities.

    :param capabilities: names of attributes of the suite that must be true.
    """

    def mark(test: Test) -> Test:
        test.needs = capabilities  # type: ignore[attr-defined]
        return test

    return mark


class ConformanceSuite:
    """Base of the suites. A subclass that pytest collects has the tests of its capabilities and no others."""

    def __init_subclass__(cls, *, defines_capabilities: bool = False, **options: Any) -> None:
        """Leave out what cannot be tested.

        :param defines_capabilities: the class is a suite that offers capabilities, and not a plugin's that has them.
        """
        super().__init_subclass__(**options)
        if defines_capabilities:
            return
        _refuse_unknown_capabilities(cls)
        for name, test in _tests(cls).items():
            if not hasattr(test, "needs"):
                continue
            can = all(getattr(cls, capability, False) for capability in test.needs)
            # None is nothing that pytest collects.
            setattr(cls, name, test if can else None)


def _refuse_unknown_capabilities(cls: type) -> None:
    """A misspelt capability would leave out tests that its author believes to pass."""
    known = {name for base in cls.__mro__[1:] for name in vars(base)}
    for name in vars(cls):
        if name.startswith(_CAPABILITY_PREFIXES) and name not in known:
            offered = ", ".join(sorted(other for other in known if other.startswith(_CAPABILITY_PREFIXES)))
            raise TypeError(f"{cls.__name__}: no suite knows the capability {name!r}; there are {offered}")


def _tests(cls: type) -> dict[str, Any]:
    """Return the tests of a class, those that one of its bases leaves out included."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= {name: test for name, test in vars(base).items() if name.startswith("test_") and test is not None}
    return found
