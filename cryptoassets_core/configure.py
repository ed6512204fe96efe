"""Set up an app from a YAML file or a dict."""

from __future__ import annotations

import importlib
import logging.config
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptoassets_core.app import CryptoAssetsApp, Subsystem, WalletNotifySetup
from cryptoassets_core.backend.base import BackendOptions, CoinBackend
from cryptoassets_core.coin.registry import Coin, CoinModelDescription
from cryptoassets_core.database import connect
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.event.base import EventSink, EventSinkOptions
from cryptoassets_core.loading import load_class
from cryptoassets_core.plugins import options_of
from cryptoassets_core.settings import (
    CoinSettings,
    DatabaseSettings,
    Settings,
    at,
    expand_environment,
    read_yaml,
    validate,
)
from cryptoassets_core.utils.dictutil import MergeError, merge_dict
from cryptoassets_core.walletnotify.base import WalletNotifyOptions

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service

#: The per-coin setting that 2015 configuration files give inside ``backend``.
_OLD_MAX_CONFIRMATIONS = "max_tracked_incoming_confirmations"

DEFAULT_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # One line for each run of each job is for people who look for a fault in the scheduler.
    "loggers": {"apscheduler": {"level": "WARNING"}},
}


class Configurator:
    """Reads a configuration and sets up an app by it. Each step can be overridden.

    :ivar config: the configuration as a dict, environment variables filled in; it may hold secrets.
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
        self.config = expand_environment(config)
        settings = validate(Settings, self.config)
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
        models = settings.models or self.app.plugins.coin(symbol, where=f"coins.{symbol}").models
        backend_data = dict(settings.backend or {})
        with at(f"coins.{symbol}"):
            coin = Coin(
                self.setup_model(models),
                max_confirmation_count=_max_confirmation_count(settings, backend_data),
                testnet=settings.testnet,
                network=settings.network,
                confirmation_count=settings.confirmation_count,
                max_withdrawals_per_broadcast=settings.max_withdrawals_per_broadcast,
            )
        if coin.name != symbol:
            raise ConfigurationError(
                f"coins.{symbol}: the module {models} describes {coin.name!r}; write coins.{coin.name}"
            )
        if settings.backend is not None:
            coin.backend = self.setup_backend(coin, backend_data)
        self.app.coins.register(coin)

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
        name, options = options_of(data)
        if name is None:
            raise ConfigurationError(f"{path}: name the backend, for example name: bitcoind")
        kind = self.app.plugins.backend(name, where=path)
        walletnotify = options.pop("walletnotify", None)
        if walletnotify is not None:
            self.setup_walletnotify(coin, walletnotify)
        with at(path):
            options_model, factory = load_class(kind.options, BackendOptions), load_class(kind.factory, CoinBackend)
        validated = validate(options_model, options, path=path, also=["walletnotify"])
        if not self.app.is_enabled(Subsystem.backend):
            return None
        with at(path):
            return factory(coin.description, coin.network, validated)

    def setup_walletnotify(self, coin: Coin, data: Any) -> None:
        """Note a coin's notification channel for the daemon."""
        path = f"coins.{coin.name}.backend.walletnotify"
        if not isinstance(data, dict) or (name_and_options := options_of(data))[0] is None:
            raise ConfigurationError(f"{path}: name the notification channel, for example name: http")
        name, options = name_and_options
        kind = self.app.plugins.walletnotify(str(name), where=path)
        validated = validate(load_class(kind.options, WalletNotifyOptions), options, path=path)
        self.app.walletnotify[coin.name] = WalletNotifySetup(kind, validated)

    def setup_event_handlers(self, event_handler_registry: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the event sinks, in a process that delivers events."""
        for sink_name, data in event_handler_registry.items():
            path = f"events.{sink_name}"
            name, options = options_of(data)
            if name is None:
                raise ConfigurationError(f"{path}: name the event sink, for example name: http")
            kind = self.app.plugins.event_sink(name, where=path)
            validated = validate(load_class(kind.options, EventSinkOptions), options, path=path)
            if self.app.is_enabled(Subsystem.event_handler_registry):
                with at(path):
                    sink = load_class(kind.factory, EventSink)(sink_name, validated)
                self.app.event_handler_registry.register(sink_name, sink)

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
        section = service.get("logging") if isinstance(service, Mapping) else None
        # Of the whole only this is needed so early.
        cls.setup_service_logging(expand_environment(section, "service.logging"))

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


def _max_confirmation_count(settings: CoinSettings, backend_data: dict[str, Any]) -> int:
    old = backend_data.pop(_OLD_MAX_CONFIRMATIONS, None)
    if old is None:
        return settings.max_confirmation_count
    if not isinstance(old, int) or isinstance(old, bool) or old < 1:
        raise ConfigurationError(f"backend.{_OLD_MAX_CONFIRMATIONS}: write a whole number from 1")
    if "max_confirmation_count" in settings.model_fields_set and settings.max_confirmation_count != old:
        raise ConfigurationError(
            f"max_confirmation_count and backend.{_OLD_MAX_CONFIRMATIONS} differ; keep the first only"
        )
    return old
