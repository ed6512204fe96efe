"""What all plugins bring of one kind, by the names that configuration files use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from cryptoassets_core.errors import PluginError
from cryptoassets_core.plugins.discovery import FoundPlugin, PluginState
from cryptoassets_core.plugins.retired import advice_on


class Provided(Protocol):
    """Something that plugins bring under a short name."""

    @property
    def name(self) -> str:
        """The word that users write."""

    @property
    def legacy_names(self) -> tuple[str, ...]:
        """Other names that it is known by: dotted names of older configuration files."""


T = TypeVar("T", bound=Provided)


class Catalogue(Generic[T]):
    """What all plugins bring of one kind."""

    def __init__(
        self,
        what: str,
        entries: Iterable[tuple[FoundPlugin, T]],
        unusable: Sequence[FoundPlugin] = (),
        *,
        also_called: Mapping[str, str] | None = None,
        otherwise: str = "",
    ) -> None:
        """
        :param what: names the kind in messages, such as ``backend``.
        :param entries: each with the plugin that brings it.
        :param unusable: plugins that are broken or disabled, and so may be what is missing.
        :param also_called: other words for a name, which are only good for a hint.
        :param otherwise: what one can do besides installing a plugin.
        """
        self._also_called = also_called or {}
        self._otherwise = otherwise
        self.what = what
        self._unusable = unusable
        self._by_name: dict[str, T] = {}
        self._origins: dict[str, FoundPlugin] = {}
        #: Sentences about names that two plugins bring.
        self.conflicts: list[str] = []
        for plugin, entry in entries:
            for name in (entry.name, *entry.legacy_names):
                if name in self._origins:
                    self.conflicts.append(
                        f"both {self._origins[name].origin} and {plugin.origin} bring the {what} {name!r}; "
                        "uninstall or disable one of them"
                    )
                    continue
                self._origins[name] = plugin
                self._by_name[name] = entry

    def get(self, name: str, *, where: str) -> T:
        """Return what is called so.

        :param name: short name, or a dotted name of an older configuration file.
        :param where: path in the configuration, for the message.
        :raises PluginError: nobody brings it.
        """
        found = self._by_name.get(name)
        if found is None:
            raise PluginError(f"{where}: {self._nobody_brings(name)}")
        return found

    def find(self, name: str) -> T | None:
        """Return what is called so, None if nobody brings it."""
        return self._by_name.get(name)

    def all(self) -> list[tuple[FoundPlugin, T]]:
        """Return everything with the plugin that brings it, in the order of the names."""
        return [(self._origins[name], self._by_name[name]) for name in self.names()]

    def names(self) -> list[str]:
        """Return the short names there are."""
        return sorted({entry.name for entry in self._by_name.values()})

    def _nobody_brings(self, name: str) -> str:
        retired = advice_on(name)
        if retired is not None:
            return retired
        for plugin in self._unusable:
            if plugin.name == name:
                return str(plugin)
        meant = self._also_called.get(name.lower())
        close = [meant] if meant else difflib.get_close_matches(name, self.names(), n=1)
        broken = [plugin for plugin in self._unusable if plugin.state is PluginState.broken]
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif broken:
            hint = f"perhaps it belongs to one that is broken: {', '.join(map(str, broken))}"
        else:
            hint = f"install the plugin, for example: pip install {_guess(name)}{self._otherwise}"
        there_is = ", ".join(self.names()) or "none"
        return f"no installed plugin brings the {self.what} {name!r} (there is: {there_is}); {hint}"


def _guess(name: str) -> str:
    """Guess the distribution from a short name, or from a dotted one such as ``….rediswalletnotify.RedisHandler``."""
    module, _, word = name.lower().rpartition(".")
    if module.startswith("cryptoassets.core."):
        word = module.rpartition(".")[2]
        for channel in ("walletnotify", "websocket", "webhook"):
            word = word.removesuffix(channel)
    return f"cryptoassets-{word}"
