"""Finds plugins, and tells in one sentence what is wrong with those that cannot be used."""

from __future__ import annotations

import difflib
import importlib.metadata
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pluggy

from cryptoassets_core import builtin, hookspecs
from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.errors import CryptoAssetsError, PluginError, WithdrawalRefused
from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_core.walletnotify.base import WalletNotifyType

logger = logging.getLogger(__name__)


class Provided(Protocol):
    """A type that plugins bring under a short name."""

    @property
    def name(self) -> str:
        """The word that users write."""

    @property
    def legacy_names(self) -> tuple[str, ...]:
        """Dotted class names of older configuration files."""


T = TypeVar("T", bound=Provided)


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that is installed and cannot be imported."""

    name: str
    distribution: str
    cause: str

    def __str__(self) -> str:
        return f"the plugin {self.name!r} of {self.distribution} cannot be imported ({self.cause}); reinstall it"


class Catalogue(Generic[T]):
    """What all plugins bring of one kind."""

    def __init__(self, what: str, entries: Iterable[tuple[str, T]], broken: Sequence[BrokenPlugin]) -> None:
        """
        :param what: names the kind in messages, such as ``backend``.
        :param entries: plugin name and what it brings.
        :raises PluginError: two plugins bring one name.
        """
        self._what = what
        self._broken = broken
        self._by_name: dict[str, T] = {}
        self._by_legacy_name: dict[str, T] = {}
        origin: dict[str, str] = {}
        for plugin, entry in entries:
            if entry.name in origin:
                raise PluginError(
                    f"both {origin[entry.name]} and {plugin} bring the {what} {entry.name!r}; uninstall one of them"
                )
            origin[entry.name] = plugin
            self._by_name[entry.name] = entry
            self._by_legacy_name.update(dict.fromkeys(entry.legacy_names, entry))

    def get(self, name: str, *, where: str) -> T:
        """Return what is called so.

        :param name: short name, or a dotted class name of an older configuration file.
        :param where: path in the configuration, for the message.
        :raises PluginError: nobody brings it.
        """
        found = self._by_name.get(name) or self._by_legacy_name.get(name)
        if found is None:
            raise PluginError(f"{where}: {self._nobody_brings(name)}")
        return found

    def names(self) -> list[str]:
        """Return the short names there are."""
        return sorted(self._by_name)

    def _nobody_brings(self, name: str) -> str:
        close = difflib.get_close_matches(name, self._by_name, n=1)
        broken = next((plugin for plugin in self._broken if plugin.name == name), None)
        if broken is not None:
            return str(broken)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"install the plugin, for example: pip install {_guess(name)}"
        )
        there_is = ", ".join(self.names()) or "none"
        return f"no installed plugin brings the {self._what} {name!r} (there is: {there_is}); {hint}"


def _guess(name: str) -> str:
    word = name.rsplit(".", 1)[-1].lower()
    return f"cryptoassets-{word}"


@dataclass(frozen=True, slots=True)
class _NamedCoin:
    """A coin as a catalogue entry."""

    description: CoinDescription
    legacy_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.description.symbol


class Plugins:
    """The plugins of one app: installed distributions, the kernel's own, and the application's."""

    def __init__(self, extra: Sequence[object] = ()) -> None:
        """
        :param extra: the application's own hook implementations: modules or objects.
        :raises PluginError: a plugin names a hook that there is none of, or two bring the same name.
        """
        self.manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self.manager.add_hookspecs(hookspecs)
        self.manager.register(builtin, name="cryptoassets-core")
        self.broken = _load_installed(self.manager)
        for plugin in extra:
            self.manager.register(plugin)
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"a plugin implements an unknown hook: {error}") from error
        self._backends: Catalogue[BackendType] = self._catalogue("backend", "cryptoassets_backends")
        self._handlers: Catalogue[WalletNotifyType] = self._catalogue(
            "walletnotify handler", "cryptoassets_walletnotify_handlers"
        )
        self._sinks: Catalogue[EventSinkType] = self._catalogue("event sink", "cryptoassets_event_sinks")
        self._coins = Catalogue(
            "coin",
            [(plugin, _NamedCoin(coin)) for plugin, coin in self.call_each("cryptoassets_coins")],
            self.broken,
        )

    def backend(self, name: str, *, where: str) -> BackendType:
        """Return a backend type by its name in the configuration."""
        return self._backends.get(name, where=where)

    def walletnotify(self, name: str, *, where: str) -> WalletNotifyType:
        """Return a notification channel type likewise."""
        return self._handlers.get(name, where=where)

    def event_sink(self, name: str, *, where: str) -> EventSinkType:
        """Return an event sink type likewise."""
        return self._sinks.get(name, where=where)

    def coin(self, symbol: str, *, where: str) -> CoinDescription:
        """Return a coin likewise."""
        return self._coins.get(symbol, where=where).description

    def approve_withdrawal(self, **facts: object) -> None:
        """Ask every plugin whether a withdrawal may go; what is not clearly allowed is refused.

        :raises WithdrawalRefused: a plugin refuses, or fails while it decides.
        """
        try:
            self.manager.hook.cryptoassets_approve_withdrawal(**facts)
        except CryptoAssetsError:
            raise
        except Exception as error:
            if ConflictResolver.is_retryable_exception(error):
                raise
            logger.exception("a plugin failed while it decided about a withdrawal")
            raise WithdrawalRefused(
                f"the withdrawal is refused because a rule failed to decide ({type(error).__name__}); see the log"
            ) from error

    def call_each(self, hook: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """Call a hook plugin by plugin and yield (plugin name, item): pluggy's own call loses the origin."""
        for name, plugin in self.manager.list_name_plugin():
            if plugin is None:
                continue
            others = self.manager.get_plugins() - {plugin}
            for items in self.manager.subset_hook_caller(hook, others)(**arguments):
                for item in items or ():
                    yield name, item

    def _catalogue(self, what: str, hook: str) -> Catalogue[T]:
        return Catalogue(what, self.call_each(hook), self.broken)


def _load_installed(manager: pluggy.PluginManager) -> list[BrokenPlugin]:
    """Import each installed plugin apart, so that a broken one breaks only what uses it."""
    broken = []
    for entry_point in importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME):
        try:
            manager.register(entry_point.load(), name=entry_point.name)
        except Exception as error:
            distribution = entry_point.dist
            origin = f"{distribution.name} {distribution.version}" if distribution else "an unknown distribution"
            broken.append(BrokenPlugin(entry_point.name, origin, f"{type(error).__name__}: {error}"))
            logger.warning("%s", broken[-1])
    return broken


def options_of(data: Mapping[str, object]) -> tuple[str | None, dict[str, object]]:
    """Split a section of the configuration into the plugin's name and its options.

    The name is given by ``name``, or by ``class`` with a dotted path.
    """
    options = dict(data)
    name = options.pop("name", None) or options.pop("class", None)
    return (None if name is None else str(name)), options
