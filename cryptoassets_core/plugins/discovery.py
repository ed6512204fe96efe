"""Finds the installed plugins and loads each apart, so that a broken one breaks only what uses it."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pluggy

from cryptoassets_core import builtin, hookspecs
from cryptoassets_core.errors import PluginError

#: Environment variable with the names of plugins that are not to be loaded, separated by commas or white space.
DISABLED_VARIABLE: Final = "CRYPTOASSETS_PLUGINS_DISABLED"

#: Name and distribution of the plugin that the kernel brings itself.
BUILTIN: Final = "cryptoassets-core"

#: What a plugin is made for that does not say so.
_FIRST_API: Final = 1


class PluginState(StrEnum):
    """What became of an installed plugin."""

    active = "active"
    disabled = "disabled"
    broken = "broken"


@dataclass(slots=True)
class FoundPlugin:
    """A plugin and what became of it; its text is the sentence for whoever misses what it brings."""

    #: The name of its entry point.
    name: str
    #: The distribution it was installed with, or ``the application``.
    distribution: str
    version: str = ""
    state: PluginState = PluginState.active
    #: Why it is broken, or what disabled it.
    cause: str = ""

    @property
    def origin(self) -> str:
        """Name it for a message."""
        return f"the plugin {self.name!r} of {' '.join(filter(None, (self.distribution, self.version)))}"

    def __str__(self) -> str:
        if self.state is PluginState.disabled:
            return f"{self.origin} is disabled by {self.cause}; take its name out there"
        return f"{self.origin} cannot be used ({self.cause}); update or reinstall it, or add it to plugins.disabled"

    def break_down(self, error: BaseException) -> None:
        """Note why it cannot be used; the first reason counts."""
        if self.state is PluginState.active:
            self.state, self.cause = PluginState.broken, one_line(error)


def disabled_by_environment() -> frozenset[str]:
    """Return the names in the environment variable."""
    return frozenset(filter(None, re.split(r"[\s,]+", os.environ.get(DISABLED_VARIABLE, ""))))


def load_builtin(manager: pluggy.PluginManager) -> FoundPlugin:
    """Register what the kernel brings itself."""
    manager.register(builtin, name=BUILTIN)
    return FoundPlugin(BUILTIN, BUILTIN, importlib.metadata.version(BUILTIN))


def load_installed(manager: pluggy.PluginManager, disabled: Iterable[str]) -> Iterator[FoundPlugin]:
    """Import and register every installed plugin, in the order of their names.

    Of several that share a name none is told from the others, so all but the first come back with ``broken`` state; the
    caller decides whether that stops the start.

    :param disabled: names that the configuration disables; the environment may disable others.
    """
    by_environment = disabled_by_environment()
    by_configuration = frozenset(disabled)
    for entry_point in sorted(importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME), key=lambda one: one.name):
        distribution = entry_point.dist
        found = FoundPlugin(
            entry_point.name,
            distribution.name if distribution else "an unknown distribution",
            distribution.version if distribution else "",
        )
        if found.name in by_configuration or found.name in by_environment:
            found.state = PluginState.disabled
            found.cause = "plugins.disabled" if found.name in by_configuration else DISABLED_VARIABLE
        elif manager.has_plugin(found.name):
            found.break_down(PluginError("another plugin has the same name"))
        else:
            try:
                register(manager, entry_point.load(), found.name)
            except (Exception, SystemExit) as error:
                # It is somebody's code, which may fail in any way.
                found.break_down(error)
        yield found


def register(manager: pluggy.PluginManager, plugin: object, name: str | None) -> None:
    """Register a plugin whole or not at all.

    :raises PluginError: it is made for another version of the hooks, or implements one that there is none of.
    :raises PluginValidationError: it implements a hook with an argument that the hook lacks.
    """
    _check_api_version(plugin)
    try:
        manager.register(plugin, name=name)
        for hook in manager.get_hookcallers(plugin) or ():
            if not hook.has_spec() and not all(found.optionalhook for found in hook.get_hookimpls()):
                raise PluginError(_unknown_hook(manager, hook.name))
    except Exception:
        # Releases of pluggy differ in what they leave behind of a plugin that they refuse.
        if manager.get_name(plugin) == (name or manager.get_canonical_name(plugin)):
            manager.unregister(plugin)
        raise


def _check_api_version(plugin: object) -> None:
    made_for = getattr(plugin, "cryptoassets_api", _FIRST_API)
    if made_for != hookspecs.API_VERSION:
        raise PluginError(
            f"it is made for version {made_for!r:.20} of the plugin interface, and this cryptoassets-core has version "
            f"{hookspecs.API_VERSION}: install releases of the two that fit together"
        )


def _unknown_hook(manager: pluggy.PluginManager, name: str) -> str:
    known = [hook for hook in vars(manager.hook) if getattr(manager.hook, hook).has_spec()]
    close = difflib.get_close_matches(name, known, n=1)
    return f"there is no hook {name}" + (f", did it mean {close[0]}?" if close else "")


def one_line(error: BaseException, *, limit: int = 300) -> str:
    """Write an error of somebody's code for a person."""
    text = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[:limit]}…"
