"""Looks through a whole configuration: everything that is wrong, what is unwise, and what is right."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.configfile import expand_environment
from cryptoassets_core.configure import Configurator
from cryptoassets_core.database import shown
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.masking import plain_secrets
from cryptoassets_core.oldspellings import modernize
from cryptoassets_core.settings import CoinSettings, DatabaseSettings, PluginsSettings, Settings, StatusServerSettings
from cryptoassets_core.validation import Problem, problems, validate

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a configuration."""

    level: Level
    #: The place, such as ``coins.btc.backend``.
    path: str
    message: str


def check(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield all findings about a configuration; nothing is connected to.

    :param config: as in the file.
    """
    for path in plain_secrets(config):
        yield Finding("warning", path, "this secret stands in the file; write ${NAME} and set the environment variable")
    try:
        modern, notes = modernize(expand_environment(config))
    except ConfigurationError as error:
        yield _error(error)
        return
    for note in notes:
        path, _, message = note.partition(": ")
        yield Finding("warning", path, message)
    wrong = problems(Settings, modern)
    for problem in wrong:
        yield Finding("error", problem.where, problem.sentence)
    yield from _Sections(modern, wrong).check()


def _error(error: ConfigurationError) -> Finding:
    path, colon, message = str(error).partition(": ")
    return Finding("error", path, message) if colon and " " not in path else Finding("error", "", str(error))


class _Sections:
    """The sections that are well-formed, set up one by one as an app would do it."""

    def __init__(self, config: Mapping[str, Any], wrong: list[Problem]) -> None:
        self._config = config
        self._wrong = wrong
        self._app = CryptoAssetsApp([Subsystem.database, Subsystem.backend, Subsystem.event_handler_registry])
        self._configurator = Configurator(self._app)

    def check(self) -> Iterator[Finding]:
        try:
            yield from self._plugins()
        except ConfigurationError as error:
            # Nothing else can be said without them.
            yield _error(error)
            return
        yield from self._attempt(self._database, "database")
        coins = self._section("coins")
        for symbol in coins:
            yield from self._attempt(partial(self._coin, symbol), "coins", symbol)
        if not coins:
            yield Finding("warning", "coins", "there is no coin")
        sinks = self._section("events")
        for name in sinks:
            yield from self._attempt(partial(self._sink, name), "events", name)
        if not sinks:
            yield Finding("warning", "events", "there is none: nobody is told of deposits and withdrawals")
        yield from self._attempt(self._status_server, "status_server")
        self._app.close()

    def _section(self, name: str) -> Mapping[str, Any]:
        found = self._config.get(name)
        return found if isinstance(found, Mapping) else {}

    def _attempt(self, step: Callable[[], Iterator[Finding]], *path: str) -> Iterator[Finding]:
        """Take one step unless its section is malformed, which is told already."""
        if any(problem.loc[: len(path)] == path for problem in self._wrong):
            return
        try:
            yield from step()
        except ConfigurationError as error:
            yield _error(error)

    def _plugins(self) -> Iterator[Finding]:
        settings = PluginsSettings()
        if not any(problem.loc[:1] == ("plugins",) for problem in self._wrong):
            settings = validate(PluginsSettings, self._section("plugins"), path="plugins")
        loaded = self._app.load_plugins(disabled=settings.disabled, required=settings.required)
        for broken in loaded.broken:
            yield Finding("warning", "plugins", str(broken))
        installed = {plugin.name for plugin in loaded.found}
        for name in settings.disabled:
            if name not in installed:
                yield Finding("warning", "plugins.disabled", f"no plugin {name!r} is installed")

    def _database(self) -> Iterator[Finding]:
        self._configurator.setup_engine(validate(DatabaseSettings, self._section("database"), path="database"))
        engine = self._app.engine
        if engine is not None:
            yield Finding("ok", "database", shown(engine))
            if engine.dialect.name == "sqlite" and not engine.url.database:
                yield Finding("warning", "database.url", "this database is in memory and gone when the process ends")

    def _coin(self, symbol: str) -> Iterator[Finding]:
        path = f"coins.{symbol}"
        settings = validate(CoinSettings, self._section("coins")[symbol] or {}, path=path)
        self._configurator.setup_coin(symbol, settings)
        coin = self._app.coins.get(symbol)
        yield Finding("ok", path, _described(coin))
        if coin.network == "main" and settings.network is None and "testnet" not in settings.model_fields_set:
            yield Finding("warning", path, "no network is named, so it is the main one, with coins of value")
        if coin.backend is None:
            yield Finding("warning", path, "it has no backend: nothing comes in and nothing goes out")
        elif symbol not in self._app.walletnotify:
            yield Finding("warning", f"{path}.backend", "without walletnotify, deposits show with the next block")
        else:
            channel = self._app.walletnotify[symbol]
            yield Finding("ok", f"{path}.backend.walletnotify", channel.type.name)
            yield from _exposed(f"{path}.backend.walletnotify.ip", getattr(channel.options, "ip", None))

    def _sink(self, name: str) -> Iterator[Finding]:
        data = self._section("events")[name]
        self._configurator.setup_event_handlers({name: data})
        yield Finding("ok", f"events.{name}", str(data.get("name") or data.get("class")))

    def _status_server(self) -> Iterator[Finding]:
        section = self._config.get("status_server")
        if section is None:
            return
        settings = validate(StatusServerSettings, section, path="status_server")
        yield Finding("ok", "status_server", f"http://{settings.ip}:{settings.port}")


def _described(coin: Coin) -> str:
    with_backend = f" by {type(coin.backend).__name__}" if coin.backend is not None else ""
    minimum = f", from {coin.min_deposit:f} up" if coin.min_deposit is not None else ""
    limit = f"; one person moves at most {coin.max_transfer:f} by a transfer" if coin.max_transfer is not None else ""
    return (
        f"{coin.description.title} on the network {coin.network}{with_backend}; deposits are credited at "
        f"{coin.confirmation_count} confirmations{minimum}{limit}"
    )


def _exposed(path: str, ip: object) -> Iterator[Finding]:
    """Warn of an address that other machines may reach: these listeners ask for no password."""
    try:
        private = ip is None or ip == "localhost" or ipaddress.ip_address(str(ip)).is_loopback
    except ValueError:
        private = False
    if not private:
        yield Finding("warning", path, "other machines may reach this, and it asks for no password; 127.0.0.1 is safe")
