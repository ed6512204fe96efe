"""The sections of the configuration, and what may stand in them."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from cryptoassets_core.coin.description import Network
from cryptoassets_core.coin.registry import (
    DEFAULT_CONFIRMATION_COUNT,
    DEFAULT_MAX_CONFIRMATION_COUNT,
    DEFAULT_MAX_WITHDRAWALS,
)

#: Longest period of a job: a day is more than anybody wants, and what the scheduler can count with.
_DAY_SECONDS: Final = 86_400


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """``database``: where the books are."""

    #: SQLAlchemy URL; it may hold a password.
    url: SecretStr
    #: SQLAlchemy URL of a replica for sessions that only read; None to read from ``url``.
    readonly_url: SecretStr | None = None
    #: Log every SQL statement.
    echo: bool = False
    #: How often a transaction is replayed after a conflict.
    transaction_retries: int = Field(default=10, ge=0)


class CoinSettings(_Section):
    """``coins.<symbol>``: a coin and what talks to its network."""

    #: The backend's name and options, and its ``walletnotify`` section.
    backend: dict[str, Any] | None = None
    #: Module with the coin's models, in place of those of the installed plugin.
    models: str | None = None
    #: Which network the backend is connected to.
    network: Network | None = None
    #: Short for ``network: test``.
    testnet: bool = False
    #: Confirmations before a deposit is credited.
    confirmation_count: int = Field(default=DEFAULT_CONFIRMATION_COUNT, ge=1)
    #: Confirmations after which a network transaction is no longer followed.
    max_confirmation_count: int = Field(default=DEFAULT_MAX_CONFIRMATION_COUNT, ge=1)
    #: Whole coins that a deposit must have to be credited; None to credit all.
    min_deposit: Decimal | None = Field(default=None, gt=0)
    #: Whole coins that one person moves at most by an internal transfer; None for any number.
    max_transfer: Decimal | None = Field(default=None, gt=0)
    #: Withdrawals that one network transaction pays at most.
    max_withdrawals_per_broadcast: int = Field(default=DEFAULT_MAX_WITHDRAWALS, ge=1, le=1000)

    @model_validator(mode="after")
    def _network_is_told_once(self) -> Self:
        if self.network is not None and "testnet" in self.model_fields_set:
            means: Network = "test" if self.testnet else "main"
            if self.network != means:
                raise PydanticCustomError(
                    "contradiction",
                    "network: {network} and testnet: {testnet}, which means network: {means}, contradict each other; "
                    "keep network only",
                    {"network": self.network, "testnet": str(self.testnet).lower(), "means": means},
                )
        return self


class StatusServerSettings(_Section):
    """``status_server``: where the daemon shows how it is, and to whom."""

    ip: str = "127.0.0.1"
    port: int = Field(default=18881, ge=0, le=65535)
    #: Who may look, by HTTP basic authentication.
    user: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = Field(default=None, min_length=1)
    #: Lets programs look: ``Authorization: Bearer …``.
    token: SecretStr | None = Field(default=None, min_length=16)

    @property
    def protected(self) -> bool:
        """Nobody may look without a secret."""
        return self.password is not None or self.token is not None

    @model_validator(mode="after")
    def _only_protected_where_others_are(self) -> Self:
        if (self.user is None) is not (self.password is None):
            raise PydanticCustomError("half", "user and password belong together; give both or none")
        if self.user is not None and ":" in self.user:
            raise PydanticCustomError("colon", "user must not have a colon, which HTTP basic authentication forbids")
        if not self.protected and not is_loopback(self.ip):
            raise PydanticCustomError(
                "exposed",
                "ip lets other machines in, and everybody there could read the books; "
                "set user and password, or token, or listen on 127.0.0.1",
            )
        return self


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServiceSettings(_Section):
    """``service``: the helper daemon."""

    #: Seconds between looks for withdrawals to broadcast.
    broadcast_period: float = Field(default=30, gt=0, le=_DAY_SECONDS)
    #: Seconds between looks for new blocks.
    poll_period: float = Field(default=5, gt=0, le=_DAY_SECONDS)
    #: Days after which events that every sink has are forgotten; None to keep them.
    keep_events_days: int | None = Field(default=90, ge=1, le=36_500)
    #: How the daemon writes to stderr: lines for people, or a JSON object a line.
    log_format: Literal["plain", "json"] = "plain"
    #: ``logging.config.dictConfig`` settings of the daemon.
    logging: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _logging_is_told_once(self) -> Self:
        if self.logging is not None and "log_format" in self.model_fields_set:
            raise PydanticCustomError(
                "contradiction",
                "log_format is for the daemon's own logging; in the section logging, name the formatter "
                "cryptoassets_core.utils.logformat.JsonFormatter",
            )
        return self


class PluginsSettings(_Section):
    """``plugins``: which of the installed plugins are used. All, unless they are named here."""

    #: Plugins that are not loaded.
    disabled: list[str] = Field(default_factory=list)
    #: Plugins without which the app does not start: those that guard withdrawals, for example.
    required: list[str] = Field(default_factory=list)


class Settings(_Section):
    """The whole configuration."""

    database: DatabaseSettings
    coins: dict[str, CoinSettings] = Field(default_factory=dict)
    #: Event sinks by any name: each with ``name`` (or ``class``) and the sink's options.
    events: dict[str, dict[str, Any]] = Field(default_factory=dict)
    status_server: StatusServerSettings | None = None
    service: ServiceSettings = Field(default_factory=ServiceSettings)
    plugins: PluginsSettings = Field(default_factory=PluginsSettings)
