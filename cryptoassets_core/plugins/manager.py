"""The plugins of one app, and the ways in which the kernel calls them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pluggy

from cryptoassets_core import hookspecs
from cryptoassets_core.backend.base import BackendType
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.errors import CryptoAssetsError, PluginError, WithdrawalRefused
from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.plugins.catalogue import Catalogue, Provided
from cryptoassets_core.plugins.discovery import (
    FoundPlugin,
    PluginState,
    load_builtin,
    load_installed,
    one_line,
    register,
)
from cryptoassets_core.walletnotify.base import WalletNotifyType

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Provided)
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class NamedCoin:
    """A coin as a catalogue entry."""

    description: CoinDescription

    @property
    def name(self) -> str:
        """The word that users write."""
        return self.description.symbol

    @property
    def legacy_names(self) -> tuple[str, ...]:
        """What older files call its models."""
        return self.description.legacy_models


class Plugins:
    """The plugins of one app: the kernel's own, the installed distributions', and the application's.

    :ivar found: every plugin there is and what became of it, in the order in which they are called.
    :ivar coins: what they bring; likewise ``backends``, ``walletnotify_handlers`` and ``event_sinks``.
    """

    def __init__(
        self,
        extra: Sequence[object] = (),
        *,
        disabled: Collection[str] = (),
        required: Collection[str] = (),
        strict: bool = True,
    ) -> None:
        """
        :param extra: the application's own hook implementations: modules or objects.
        :param disabled: names of installed plugins that are not to be loaded.
        :param required: names of installed plugins that must work: those that guard money, for example.
        :param strict: let two plugins that bring one name, or a required one that does not work, be an error; False
            only notes it, for looking at what is installed.
        :raises PluginError: as above, and if a plugin of the application cannot be used.
        """
        self.manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self.manager.add_hookspecs(hookspecs)
        self.found = [load_builtin(self.manager), *load_installed(self.manager, disabled)]
        for plugin in extra:
            self.found.append(self._load_own(plugin))
        self._active = {plugin.name: plugin for plugin in self.found if plugin.state is PluginState.active}
        unusable = self._unusable = [plugin for plugin in self.found if plugin.state is not PluginState.active]
        coins = [(plugin, NamedCoin(coin)) for plugin, coin in self._provided("cryptoassets_coins", CoinDescription)]
        self.coins = Catalogue(
            "coin",
            coins,
            unusable,
            also_called={coin.description.title.lower(): coin.name for _, coin in coins},
            otherwise=", or name the module of its models as 'models'",
        )
        self.backends = Catalogue("backend", self._provided("cryptoassets_backends", BackendType), unusable)
        self.walletnotify_handlers = Catalogue(
            "walletnotify handler", self._provided("cryptoassets_walletnotify_handlers", WalletNotifyType), unusable
        )
        self.event_sinks = Catalogue("event sink", self._provided("cryptoassets_event_sinks", EventSinkType), unusable)
        #: Sentences about what does not fit together.
        self.conflicts = [*self._same_names(), *(text for each in self.catalogues() for text in each.conflicts)]
        self.conflicts += [text for name in required if (text := self._cannot_require(name)) is not None]
        if strict and self.conflicts:
            raise PluginError(self.conflicts[0])
        for name in disabled:
            if not any(plugin.name == name for plugin in self.found):
                logger.warning("plugins.disabled names %r, and no such plugin is installed", name)

    @property
    def broken(self) -> list[FoundPlugin]:
        """Plugins that cannot be used; what needs them is refused, everything else goes on."""
        return [plugin for plugin in self.found if plugin.state is PluginState.broken]

    def catalogues(self) -> list[Catalogue[Any]]:
        """Return all that plugins bring."""
        return [self.coins, self.backends, self.walletnotify_handlers, self.event_sinks]

    def hooks_of(self, plugin: FoundPlugin) -> list[str]:
        """Return the names of the hooks that a plugin implements."""
        return sorted(hook.name for hook in self.manager.get_hookcallers(self.manager.get_plugin(plugin.name)) or ())

    # --- What they bring --------------------------------------------------------------------------------------------

    def backend(self, name: str, *, where: str) -> BackendType:
        """Return a backend type by its name in the configuration."""
        return self.backends.get(name, where=where)

    def walletnotify(self, name: str, *, where: str) -> WalletNotifyType:
        """Return a notification channel type likewise."""
        return self.walletnotify_handlers.get(name, where=where)

    def event_sink(self, name: str, *, where: str) -> EventSinkType:
        """Return an event sink type likewise."""
        return self.event_sinks.get(name, where=where)

    def coin(self, symbol: str, *, where: str) -> CoinDescription:
        """Return a coin likewise."""
        return self.coins.get(symbol, where=where).description

    # --- Calling them -----------------------------------------------------------------------------------------------

    def approve_withdrawal(self, **facts: object) -> None:
        """Ask every plugin whether a withdrawal may go; what is not clearly allowed is refused.

        :raises WithdrawalRefused: a plugin refuses, fails while it decides, or answers where it should have raised.
        """
        hook = "cryptoassets_approve_withdrawal"
        for plugin in self._implementing(hook):
            try:
                answers = self._call_one(plugin, hook, facts)
            except CryptoAssetsError:
                raise
            except Exception as error:
                # Only who withdraws has a database library loaded; to see what is installed takes none.
                from cryptoassets_core.utils.conflictresolver import ConflictResolver  # noqa: PLC0415

                if ConflictResolver.is_retryable_exception(error):
                    raise
                logger.exception("%s failed while it decided about a withdrawal", plugin.origin)
                raise WithdrawalRefused(
                    f"the withdrawal is refused because a rule failed to decide ({type(error).__name__}); see the log"
                ) from error
            if answers:
                # Perhaps False, or a coroutine that nobody awaits: it wanted to say something, and "yes" is silence.
                logger.error(
                    "%s returned %.100r about a withdrawal; a rule raises or returns None", plugin.origin, answers
                )
                raise WithdrawalRefused("the withdrawal is refused because a rule did not decide clearly; see the log")

    def call(self, hook: str, **arguments: object) -> None:
        """Call a hook for its effect, plugin by plugin.

        :raises PluginError: a plugin failed, by its name; those before it have done their part.
        """
        for plugin in self._implementing(hook):
            try:
                self._call_one(plugin, hook, arguments)
            except CryptoAssetsError:
                raise
            except Exception as error:
                raise PluginError(f"{plugin.origin} failed in {hook}: {one_line(error)}") from error

    def observe(self, hook: str, **arguments: object) -> None:
        """Call a hook whose implementations only watch: one that fails is logged and disturbs no other."""
        for plugin in self._implementing(hook):
            try:
                self._call_one(plugin, hook, arguments)
            except Exception:
                logger.exception("%s failed in %s", plugin.origin, hook)

    def listeners(self, hook: str) -> Iterator[tuple[str, Callable[..., None]]]:
        """Return, for each plugin that implements a hook, its name and what calls it there, and raises what it does."""
        for plugin in self._implementing(hook):
            yield plugin.name, partial(self._call_alone, plugin, hook)

    def _call_alone(self, plugin: FoundPlugin, hook: str, **arguments: object) -> None:
        self._call_one(plugin, hook, arguments)

    def attempt(self, hook: str, **arguments: object) -> Iterator[FoundPlugin]:
        """Call a hook for its effect, and yield each plugin after its part; one that fails counts as broken."""
        for plugin in self._implementing(hook):
            try:
                self._call_one(plugin, hook, arguments)
            except Exception as error:
                plugin.break_down(error)
            yield plugin

    def call_each(self, hook: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """Call a hook plugin by plugin and yield (plugin name, item): pluggy's own call loses the origin."""
        for plugin in self._implementing(hook):
            for items in self._call_one(plugin, hook, arguments):
                for item in items or ():
                    yield plugin.name, item

    def call_apart(self, hook: str, **arguments: object) -> Iterator[tuple[str, list[Any] | Exception]]:
        """Call a hook plugin by plugin, and yield what each brings or raised: one that fails stops no other."""
        for plugin in self._implementing(hook):
            try:
                brought = [item for items in self._call_one(plugin, hook, arguments) for item in items or ()]
            except Exception as error:
                yield plugin.origin, error
            else:
                yield plugin.origin, brought

    def _implementing(self, hook: str) -> list[FoundPlugin]:
        implementing = {found.plugin_name for found in getattr(self.manager.hook, hook).get_hookimpls()}
        return [plugin for name, plugin in self._active.items() if name in implementing]

    def _call_one(self, plugin: FoundPlugin, hook: str, arguments: Mapping[str, object]) -> list[Any]:
        others = self.manager.get_plugins() - {self.manager.get_plugin(plugin.name)}
        results: list[Any] = self.manager.subset_hook_caller(hook, others)(**arguments)
        return results

    # --- Setting up -------------------------------------------------------------------------------------------------

    def _load_own(self, plugin: object) -> FoundPlugin:
        try:
            register(self.manager, plugin, None)
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            raise PluginError(f"a plugin of the application cannot be used: {one_line(error)}") from error
        return FoundPlugin(self.manager.get_name(plugin) or "", "the application")

    def _provided(self, hook: str, kind: type[P]) -> list[tuple[FoundPlugin, P]]:
        """Ask each plugin what it brings; one that fails or answers nonsense is broken and brings nothing."""
        provided: list[tuple[FoundPlugin, P]] = []
        for plugin in self._implementing(hook):
            try:
                items = [item for items in self._call_one(plugin, hook, {}) for item in items]
                for item in items:
                    if not isinstance(item, kind):
                        raise PluginError(f"{hook} brings {item!r:.100}, which is no {kind.__name__}")
            except Exception as error:
                plugin.break_down(error)
                self._unusable.append(plugin)
                continue
            provided.extend((plugin, item) for item in items)
        return provided

    def _same_names(self) -> Iterator[str]:
        by_name: dict[str, FoundPlugin] = {}
        for plugin in self.found:
            first = by_name.setdefault(plugin.name, plugin)
            if first is not plugin and PluginState.disabled not in (first.state, plugin.state):
                yield (
                    f"{first.distribution} {first.version} and {plugin.distribution} {plugin.version} both bring a "
                    f"plugin {plugin.name!r}; uninstall one of them"
                )

    def _cannot_require(self, name: str) -> str | None:
        found = [plugin for plugin in self.found if plugin.name == name]
        if not found:
            installed = ", ".join(sorted(plugin.name for plugin in self.found))
            return f"plugins.required names {name!r}, and no such plugin is installed (there is: {installed})"
        return None if found[0].state is PluginState.active else f"plugins.required: {found[0]}"
