"""Set up an app from a YAML file or a dict."""

from __future__ import annotations

import importlib
import logging
import logging.config
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptoassets_core.app import CryptoAssetsApp, Subsystem, WalletNotifySetup
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.choosing import BACKEND, EVENT_SINK, WALLETNOTIFY, choose
from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.registry import Coin, CoinModelDescription
from cryptoassets_core.configfile import expand_environment, read_yaml
from cryptoassets_core.database import connect
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.base import EventSink
from cryptoassets_core.event.hook import HookEventSink
from cryptoassets_core.loading import load_class
from cryptoassets_core.models.types import Amount
from cryptoassets_core.oldspellings import modernize
from cryptoassets_core.settings import CoinSettings, DatabaseSettings, Settings
from cryptoassets_core.utils.dictutil import MergeError, merge_dict
from cryptoassets_core.validation import at, validate

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service

logger = logging.getLogger(__name__)

DEFAULT_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "cryptoassets_core.utils.logformat.LineFormatter"},
        "json": {"()": "cryptoassets_core.utils.logformat.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # One line for each run of each job is for people who look for a fault in the scheduler.
    "loggers": {"apscheduler": {"level": "WARNING"}},
}

_STDERR_AS_JSON = {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}}


class Configurator:
    """Reads a configuration and sets up an app by it. Each step can be overridden.

    :ivar config: the configuration as a dict in today's spelling, environment variables filled in; it may hold secrets.
    """

    def __init__(self, app: CryptoAssetsApp, service: Service | None = None) -> None:
        self.app = app
        self.service = service
        self.config: dict[str, Any] = {}

    def load_yaml_file(self, fname: str, overrides: Mapping[str, Any] | None = None) -> None:
        """Set up the app from a file.

        :param overrides: nested settings that take precedence over the file's.
        :raises ConfigurationError: something in it cannot make sense.
        """
        try:
            merged = merge_dict(self.prepare_yaml_file(fname), dict(overrides or {}))
        except MergeError as error:
            raise ConfigurationError(f"the overrides do not fit {fname}: {error}") from error
        self.load_from_dict(merged)

    def load_from_dict(self, config: Mapping[str, Any]) -> None:
        """Set up the app from a dict, which stays as it is.

        :raises ConfigurationError: something in it cannot make sense.
        """
        self.config, notes = modernize(expand_environment(config))
        for note in notes:
            logger.warning("%s", note)
        settings = validate(Settings, self.config)
        self.app.load_plugins(disabled=settings.plugins.disabled, required=settings.plugins.required)
        self.setup_engine(settings.database)
        for symbol, coin_settings in settings.coins.items():
            self.setup_coin(symbol, coin_settings)
        self.setup_event_handlers(settings.events)
        self.setup_status_server(settings)
        self.setup_service(settings)
        self.app.plugins.call("cryptoassets_configure", app=self.app, config=self.config)

    @staticmethod
    def prepare_yaml_file(fname: str) -> dict[str, Any]:
        """Read a file into a dict."""
        return read_yaml(fname)

    def setup_engine(self, settings: DatabaseSettings) -> None:
        """Connect the app to its database; the first connection is made when needed."""
        self.app.transaction_retries = settings.transaction_retries
        self.app.engine = connect(settings.url.get_secret_value(), echo=settings.echo)
        if settings.readonly_url is not None:
            # A replica offers no more; it never sees a half-done change either way.
            self.app.readonly_engine = connect(
                settings.readonly_url.get_secret_value(), echo=settings.echo, isolation_level="REPEATABLE READ"
            )

    def setup_coin(self, symbol: str, settings: CoinSettings) -> None:
        """Add a coin to the app."""
        models = self._models_module(symbol, settings)
        with at(f"coins.{symbol}"):
            coin = Coin(
                self.setup_model(models),
                max_confirmation_count=settings.max_confirmation_count,
                testnet=settings.testnet,
                network=self._network(symbol, settings),
                confirmation_count=settings.confirmation_count,
                min_deposit=settings.min_deposit,
                max_transfer=settings.max_transfer,
                max_withdrawals_per_broadcast=settings.max_withdrawals_per_broadcast,
            )
            if self.app.engine is not None:
                # What the database cannot hold exactly is refused now, and not with the first amount.
                Amount(coin.description.decimals).load_dialect_impl(self.app.engine.dialect)
        if coin.name != symbol:
            raise ConfigurationError(
                f"coins.{symbol}: the module {models} describes {coin.name!r}; write coins.{coin.name}"
            )
        if settings.backend is not None:
            coin.backend = self.setup_backend(coin, settings.backend)
        self.app.coins.register(coin)

    def _models_module(self, symbol: str, settings: CoinSettings) -> str:
        """Return the name of the module with a coin's models, for which older files may have another."""
        installed = self.app.plugins.coins
        if settings.models is None:
            return installed.get(symbol, where=f"coins.{symbol}").description.models
        known = installed.find(settings.models)
        return settings.models if known is None else known.description.models

    def _network(self, symbol: str, settings: CoinSettings) -> Network | None:
        """Return the configured network; files of 2015 name it among the options of some backends only."""
        if settings.backend is None or settings.network is not None or "testnet" in settings.model_fields_set:
            return settings.network
        path = f"coins.{symbol}.backend"
        choice = choose(BACKEND, self.app.plugins.backends, settings.backend, path=path, also=["walletnotify"])
        named: Network | None = choice.options.coin_network()
        return named

    def _wants(self, subsystem: Subsystem) -> bool:
        return self.app.is_enabled(subsystem)

    def setup_model(self, module: str) -> CoinModelDescription:
        """Import the models of a coin.

        :param module: dotted name of a module with a ``coin_description``.
        """
        try:
            description = importlib.import_module(module).coin_description
        except AttributeError:
            raise ConfigurationError(f"the models module {module!r} has no coin_description") from None
        except Exception as error:
            # It is somebody's code, which may fail in any way.
            raise ConfigurationError(
                f"the models module {module!r} cannot be imported ({type(error).__name__}: {error}); "
                "give a module's dotted name, and see that its distribution is installed"
            ) from error
        if not isinstance(description, CoinModelDescription):
            raise ConfigurationError(f"{module}.coin_description must be a CoinModelDescription")
        return description

    def setup_backend(self, coin: Coin, data: Mapping[str, Any]) -> CoinBackend | None:
        """Make a coin's backend, and note its notification channel for the daemon."""
        path = f"coins.{coin.name}.backend"
        choice = choose(BACKEND, self.app.plugins.backends, data, path=path, also=["walletnotify"])
        if data.get("walletnotify") is not None:
            self.setup_walletnotify(coin, data["walletnotify"])
        with at(path):
            factory = load_class(choice.type.factory, CoinBackend)
            return factory(coin.description, coin.network, choice.options) if self._wants(Subsystem.backend) else None

    def setup_walletnotify(self, coin: Coin, data: Any) -> None:
        """Note a coin's notification channel for the daemon."""
        path = f"coins.{coin.name}.backend.walletnotify"
        choice = choose(WALLETNOTIFY, self.app.plugins.walletnotify_handlers, data, path=path)
        self.app.walletnotify[coin.name] = WalletNotifySetup(choice.type, choice.options)

    def setup_event_handlers(self, event_handler_registry: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the event sinks, in a process that delivers events."""
        for sink_name, data in event_handler_registry.items():
            path = f"events.{sink_name}"
            choice = choose(EVENT_SINK, self.app.plugins.event_sinks, data, path=path)
            self.app.event_handler_registry.declare(sink_name)
            if self._wants(Subsystem.event_handler_registry):
                with at(path):
                    sink = load_class(choice.type.factory, EventSink)(sink_name, choice.options)
                self.app.event_handler_registry.register(sink_name, sink)
        for plugin_name, call in self.app.plugins.listeners("cryptoassets_event"):
            hook = HookEventSink(f"plugin:{plugin_name}", call)
            self.app.event_handler_registry.declare(hook.name)
            if self._wants(Subsystem.event_handler_registry):
                self.app.event_handler_registry.register(hook.name, hook)

    def setup_status_server(self, config: Settings) -> None:
        """Note where the status server listens."""
        self.app.status_server = config.status_server

    def setup_service(self, config: Settings) -> None:
        """Note the daemon's settings."""
        self.app.service_settings = config.service

    @classmethod
    def setup_startup(cls, config: Mapping[str, Any]) -> None:
        """Set up the daemon's logging before anything else, so that its start is logged too."""
        service = config.get("service")
        # Of the whole only this is needed so early.
        section = expand_environment(service if isinstance(service, Mapping) else {}, "service")
        if section.get("logging") is None and section.get("log_format") == "json":
            cls.setup_service_logging({**DEFAULT_LOGGING, "handlers": _STDERR_AS_JSON})
        else:
            cls.setup_service_logging(section.get("logging"))

    @classmethod
    def setup_service_logging(cls, config: Mapping[str, Any] | None) -> None:
        """Set up the daemon's logging.

        :param config: as for ``logging.config.dictConfig``; None for lines on stderr.
        :raises ConfigurationError: it makes no sense.
        """
        if not isinstance(config, Mapping | None):
            raise ConfigurationError("service.logging: this must be a section as for logging.config.dictConfig")
        try:
            # Left to its default, logging silences every logger that exists, ours among them.
            settings = {"version": 1, "disable_existing_loggers": False, **(config or {})}
            logging.config.dictConfig(DEFAULT_LOGGING if config is None else settings)
        except (ValueError, TypeError, AttributeError, ImportError) as error:
            below = error.__cause__
            reason = f" ({below.strerror})" if isinstance(below, OSError) and below.strerror else ""
            raise ConfigurationError(f"service.logging: {error}{reason}") from error
