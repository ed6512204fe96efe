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
P = TypeVar("P")

#: Name of the plugin that the kernel brings itself.
_BUILTIN = "cryptoassets-core"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that is installed and cannot be used."""

    name: str
    distribution: str
    cause: str

    def __str__(self) -> str:
        return f"the plugin {self.name!r} of {self.distribution} cannot be used ({self.cause}); update or uninstall it"


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
        named = [plugin for plugin in self._broken if plugin.name == name]
        if named:
            return str(named[0])
        close = difflib.get_close_matches(name, self._by_name, n=1)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif self._broken:
            hint = f"perhaps it belongs to one that is broken: {', '.join(map(str, self._broken))}"
        else:
            hint = f"install the plugin, for example: pip install {_guess(name)}"
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
        self.manager.register(builtin, name=_BUILTIN)
        #: Installed plugins that cannot be used; what needs them is refused, everything else goes on.
        self.broken: list[BrokenPlugin] = []
        #: Which distribution a plugin is of, by the plugin's name.
        self._distributions = {_BUILTIN: "cryptoassets-core"}
        self._load_installed()
        for plugin in extra:
            try:
                _register(self.manager, plugin, None)
            except pluggy.PluginValidationError as error:
                raise PluginError(f"a plugin of the application cannot be used: {_one_line(error)}") from error
        self._backends = self._catalogue("backend", "cryptoassets_backends", BackendType)
        self._handlers = self._catalogue("walletnotify handler", "cryptoassets_walletnotify_handlers", WalletNotifyType)
        self._sinks = self._catalogue("event sink", "cryptoassets_event_sinks", EventSinkType)
        coins = self._provided("cryptoassets_coins", CoinDescription)
        self._coins = Catalogue("coin", [(origin, _NamedCoin(coin)) for origin, coin in coins], self.broken)

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

    def call(self, hook: str, **arguments: object) -> None:
        """Call a hook for its effect, plugin by plugin.

        :raises PluginError: a plugin failed, by its name; those before it have done their part.
        """
        for name in self._names():
            try:
                self._call_one(name, hook, arguments)
            except CryptoAssetsError:
                raise
            except Exception as error:
                raise PluginError(f"{self._origin(name)} failed in {hook}: {_one_line(error)}") from error

    def call_each(self, hook: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """Call a hook plugin by plugin and yield (plugin name, item): pluggy's own call loses the origin."""
        for name in self._names():
            for items in self._call_one(name, hook, arguments):
                for item in items or ():
                    yield name, item

    def _names(self) -> list[str]:
        return [name for name, plugin in self.manager.list_name_plugin() if plugin is not None]

    def _call_one(self, name: str, hook: str, arguments: Mapping[str, object]) -> list[Any]:
        others = self.manager.get_plugins() - {self.manager.get_plugin(name)}
        results: list[Any] = self.manager.subset_hook_caller(hook, others)(**arguments)
        return results

    def _origin(self, name: str) -> str:
        return f"the plugin {name!r} of {self._distributions.get(name, 'the application')}"

    def _catalogue(self, what: str, hook: str, kind: type[T]) -> Catalogue[T]:
        return Catalogue(what, self._provided(hook, kind), self.broken)

    def _provided(self, hook: str, kind: type[P]) -> list[tuple[str, P]]:
        """Ask each plugin what it brings; one that fails or answers nonsense is broken and brings nothing."""
        provided: list[tuple[str, P]] = []
        for name in self._names():
            try:
                items = [item for items in self._call_one(name, hook, {}) for item in items or ()]
                for item in items:
                    if not isinstance(item, kind):
                        raise TypeError(f"{hook} brings {item!r}, which is no {kind.__name__}")
            except Exception as error:
                self._note_broken(name, error)
                continue
            provided.extend((self._origin(name), item) for item in items)
        return provided

    def _load_installed(self) -> None:
        """Import each installed plugin apart, so that a broken one breaks only what uses it."""
        for entry_point in importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME):
            name, distribution = entry_point.name, entry_point.dist
            shown = f"{distribution.name} {distribution.version}" if distribution else "an unknown distribution"
            if name in self._distributions:
                raise PluginError(
                    f"both {self._distributions[name]} and {shown} bring a plugin {name!r}; uninstall one of them"
                )
            self._distributions[name] = shown
            try:
                _register(self.manager, entry_point.load(), name)
            except (Exception, SystemExit) as error:
                self._note_broken(name, error)

    def _note_broken(self, name: str, error: BaseException) -> None:
        distribution = self._distributions.get(name, "the application")
        self.broken.append(BrokenPlugin(name, distribution, _one_line(error)))


def _register(manager: pluggy.PluginManager, plugin: object, name: str | None) -> None:
    """Register a plugin whole or not at all.

    :raises PluginValidationError: it implements a hook that there is none of, or with an argument that it lacks.
    """
    try:
        manager.register(plugin, name=name)
        for hook in manager.get_hookcallers(plugin) or ():
            if not hook.has_spec() and not all(found.optionalhook for found in hook.get_hookimpls()):
                raise pluggy.PluginValidationError(plugin, f"there is no hook {hook.name}")
    except Exception:
        # Releases of pluggy differ in what they leave behind of a plugin that they refuse.
        if manager.get_name(plugin) == (name or manager.get_canonical_name(plugin)):
            manager.unregister(plugin)
        raise


def _one_line(error: BaseException, *, limit: int = 300) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= limit else f"{text[:limit]}…"


def options_of(data: Mapping[str, object]) -> tuple[str | None, dict[str, object]]:
    """Split a section of the configuration into the plugin's name and its options.

    The name is given by ``name``, or by ``class`` with a dotted path.
    """
    options = dict(data)
    name = options.pop("name", None) or options.pop("class", None)
    return (None if name is None else str(name)), options
