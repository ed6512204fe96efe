"""The application object: one place that holds what an application has configured."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import Engine, MetaData, inspect
from sqlalchemy.orm import Session

from cryptoassets_core import lease
from cryptoassets_core.coin.registry import CoinRegistry
from cryptoassets_core.database import READ_ONLY, opening, shown
from cryptoassets_core.errors import ConfigurationError, DatabaseNotInitializedError
from cryptoassets_core.event import outbox
from cryptoassets_core.event.events import SESSION_TELL
from cryptoassets_core.event.registry import EventHandlerRegistry
from cryptoassets_core.models.base import SESSION_APPROVE, SESSION_COINS
from cryptoassets_core.plugins import Plugins
from cryptoassets_core.settings import ServiceSettings, StatusServerSettings
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_core.walletnotify.base import WalletNotifyOptions, WalletNotifyType

logger = logging.getLogger(__name__)


class Subsystem(Enum):
    """Parts of the framework that a process may want; a web server needs less than the daemon."""

    #: Connect to the database.
    database = auto()
    #: Serve the status pages.
    status_server = auto()
    #: Talk to the backends: make receiving addresses, for example.
    backend = auto()
    #: Broadcast withdrawals.
    broadcast = auto()
    #: Take wallet notifications and follow the chains.
    incoming_transactions = auto()
    #: Deliver events.
    event_handler_registry = auto()


@dataclass(frozen=True, slots=True)
class WalletNotifySetup:
    """A notification channel as configured, for the daemon to open."""

    type: WalletNotifyType
    options: WalletNotifyOptions


class CryptoAssetsApp:
    """Ties database, coins and backends together. Several apps may live in one process.

    :ivar engine: the database, None until configured.
    :ivar coins: the configured coins.
    :ivar conflict_resolver: runs functions in database transactions; see :py:meth:`setup_session`.
    :ivar event_handler_registry: the configured event sinks.
    :ivar plugins: what is installed.
    """

    def __init__(
        self,
        subsystems: Iterable[Subsystem] = (Subsystem.database, Subsystem.backend),
        *,
        plugins: Sequence[object] = (),
    ) -> None:
        """
        :param subsystems: what this process needs.
        :param plugins: the application's own hook implementations, modules or objects.
        """
        self.subsystems = frozenset(subsystems)
        self._own_plugins = tuple(plugins)
        self._plugins: Plugins | None = None
        self.coins = CoinRegistry()
        self.event_handler_registry = EventHandlerRegistry()
        self.walletnotify: dict[str, WalletNotifySetup] = {}
        self.status_server: StatusServerSettings | None = None
        self.service_settings = ServiceSettings()
        self.transaction_retries = 0
        self.engine: Engine | None = None
        self.readonly_engine: Engine | None = None
        self._conflict_resolver: ConflictResolver | None = None

    @property
    def plugins(self) -> Plugins:
        """What is installed; loaded when first asked for, or by the configuration.

        :raises PluginError: two plugins bring the same name, or one of the application's own cannot be used.
        """
        return self._plugins or self.load_plugins()

    def load_plugins(self, *, disabled: Collection[str] = (), required: Collection[str] = ()) -> Plugins:
        """Load what is installed, in place of what was loaded before.

        :param disabled: names of plugins to leave out.
        :param required: names of plugins that must work.
        :raises PluginError: as for :py:attr:`plugins`, and if a required one does not work.
        """
        self._plugins = Plugins(self._own_plugins, disabled=disabled, required=required)
        for broken in self._plugins.broken:
            logger.warning("%s", broken)
        return self._plugins

    def is_enabled(self, subsystem: Subsystem) -> bool:
        """Tell whether this process runs a subsystem."""
        return subsystem in self.subsystems

    @property
    def conflict_resolver(self) -> ConflictResolver:
        """What runs functions in database transactions.

        :raises ConfigurationError: :py:meth:`setup_session` was not called.
        """
        if self._conflict_resolver is None:
            raise ConfigurationError("the app has no database session yet; call app.setup_session() first")
        return self._conflict_resolver

    def setup_session(self, transaction_retries: int | None = None) -> None:
        """Make :py:attr:`conflict_resolver` ready.

        :param transaction_retries: how often conflicts are replayed, in place of the configured number.
        """
        retries = self.transaction_retries if transaction_retries is None else transaction_retries
        self._conflict_resolver = ConflictResolver(self.open_session, retries)

    def open_session(self) -> Session:
        """Return a new session that may write; the caller commits and closes it."""
        return Session(self._engine(), info=self._session_info())

    def open_readonly_session(self, *, wait: bool = True) -> Session:
        """Return a new session that cannot write and disturbs nobody; all it reads is of one moment.

        :param wait: let PostgreSQL wait for a moment of which no later commit can change the meaning (SERIALIZABLE READ
            ONLY DEFERRABLE); a transaction that somebody leaves open makes that long. False takes the moment as it is.
        """
        options: dict[str, Any] = {READ_ONLY: True, "postgresql_readonly": True}
        engine = self.readonly_engine or self._engine()
        if engine.dialect.name == "postgresql" and engine is self.engine:
            options |= {"postgresql_deferrable": True} if wait else {"isolation_level": "REPEATABLE READ"}
        return Session(engine.execution_options(**options), info=self._session_info())

    def create_tables(self) -> None:
        """Create the tables that are missing, of all configured coins.

        :raises ConfigurationError: the database cannot be reached or does not let us.
        """
        engine = self._engine()
        with opening(engine):
            for metadata in self._metadata():
                metadata.create_all(engine)

    def clear_tables(self) -> None:
        """Delete all data. For tests: the books are gone, nobody is asked."""
        for metadata in self._metadata():
            # Not row by row: a journal lets none of its rows be deleted.
            metadata.drop_all(self._engine())
            metadata.create_all(self._engine())
        for _, coin in self.coins.all():
            coin.known_wallets.clear()

    def check_tables(self) -> None:
        """See that the database is there and has the tables.

        :raises ConfigurationError: it cannot be reached.
        :raises DatabaseNotInitializedError: a table is missing.
        """
        engine = self._engine()
        with opening(engine):
            present = set(inspect(engine).get_table_names())
        missing = sorted({name for metadata in self._metadata() for name in metadata.tables} - present)
        if missing:
            raise DatabaseNotInitializedError(
                f"the database {shown(engine)} lacks the table {missing[0]}; "
                "run cryptoassets-initialize-database with your configuration file"
            )

    def close(self) -> None:
        """Let go of all connections."""
        for _, coin in self.coins.all():
            if coin.backend is not None:
                coin.backend.close()
        for engine in (self.engine, self.readonly_engine):
            if engine is not None:
                engine.dispose()

    def _session_info(self) -> dict[Any, Any]:
        """What model objects know of their app: nothing is set on a class."""
        return {
            SESSION_COINS: self.coins,
            SESSION_APPROVE: self.plugins.approve_withdrawal,
            SESSION_TELL: outbox.record,
        }

    def _engine(self) -> Engine:
        if self.engine is None:
            raise ConfigurationError("the app is not configured; load a configuration with Configurator first")
        return self.engine

    def _metadata(self) -> list[MetaData]:
        return [coin.wallet_model.metadata for _, coin in self.coins.all()] + [outbox.metadata, lease.metadata]
