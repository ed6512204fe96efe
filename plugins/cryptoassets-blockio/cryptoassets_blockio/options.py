"""What the configuration may say about the service and its notifications."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, SecretStr

from cryptoassets_blockio.networks import network_named
from cryptoassets_core.backend.base import BackendOptions
from cryptoassets_core.coin.description import Network
from cryptoassets_core.walletnotify.base import WalletNotifyOptions

#: Kinds of receiving addresses the service makes.
AddressType = Literal["P2SH", "WITNESS_V0"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _is_safe(url: str) -> str:
    """Refuse to send the API key in clear text over a network."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "wss"} and parts.hostname:
        return url
    if parts.scheme in {"http", "ws"} and parts.hostname in {"127.0.0.1", "localhost", "::1"}:
        return url
    raise ValueError("this must begin with https:// or wss://; unencrypted only on this machine, for tests")


Url = Annotated[str, AfterValidator(_is_safe)]


class BlockIoOptions(BackendOptions):
    """Options of the ``blockio`` backend."""

    model_config = ConfigDict(hide_input_in_errors=True)

    #: The key of the account's network, from the account's settings page. It decides which network is used.
    api_key: SecretStr
    #: The secret PIN with which withdrawals are signed on this machine; it never leaves it. ``password`` is its old
    #: name. Without one the backend only receives.
    pin: SecretStr | None = Field(default=None, validation_alias=AliasChoices("pin", "password"))
    #: Which network the key must belong to; by default what the coin is configured for.
    network: Annotated[
        Literal["btc", "btctest", "doge", "dogetest", "ltc", "ltctest"] | None, BeforeValidator(_lower)
    ] = None
    #: Seconds the service has for an ordinary answer; preparing and submitting get at least 60.
    timeout: float = Field(default=20, gt=0, le=600)
    #: Kind of the new receiving addresses; by default the cheapest one that the coin has. What is sent from
    #: ``WITNESS_V0`` addresses only has a txid that is known before it is submitted.
    address_type: AddressType | None = None
    #: How soon a withdrawal should confirm, as the service understands it.
    priority: Literal["low", "medium", "high"] = "low"
    #: Whole coins for 1000 bytes, above which nothing is sent; by default 2000 times the coin's dust limit.
    max_fee_rate: Decimal | None = Field(default=None, gt=0)
    #: What the service may charge for itself, in percent of what is sent.
    max_service_fee: Decimal = Field(default=Decimal(1), ge=0, le=100)
    #: Where the service is; another one for tests only.
    url: Url = "https://block.io"

    def coin_network(self) -> Network | None:
        """Return the network that the option names, as files of 2015 do."""
        return None if self.network is None else network_named(self.network)


class BlockIoWebsocketOptions(WalletNotifyOptions):
    """Options of the ``blockio_websocket`` channel; the key is the backend's."""

    #: Where the service's websocket is; another one for tests only.
    url: Url = "wss://n.block.io/"


class BlockIoWebhookOptions(WalletNotifyOptions):
    """Options of the ``blockio_webhook`` channel; the key is the backend's."""

    model_config = ConfigDict(hide_input_in_errors=True)

    #: Where the service reaches this listener from outside. Its path is the only secret between a stranger and the
    #: listener, and must have at least 16 random characters.
    url: SecretStr
    #: Address to listen on; a reverse proxy with TLS stands before it.
    ip: str = "127.0.0.1"
    #: Port to listen on, another one for each coin; 0 picks a free one.
    port: int = Field(default=33233, ge=0, le=65535)
