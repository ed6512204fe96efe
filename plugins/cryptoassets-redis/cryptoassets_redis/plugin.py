"""What the kernel finds through the entry point. The Redis client is imported when a configuration asks for it."""

from __future__ import annotations

from cryptoassets_core.event.base import EventSinkType
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.walletnotify.base import WalletNotifyType


@hookimpl
def cryptoassets_walletnotify_handlers() -> list[WalletNotifyType]:
    """Bring the channel ``redis``."""
    return [
        WalletNotifyType(
            name="redis",
            factory="cryptoassets_redis.walletnotify.RedisWalletNotifyHandler",
            options="cryptoassets_redis.walletnotify.RedisWalletNotifyOptions",
            legacy_names=("cryptoassets.core.backend.rediswalletnotify.RedisWalletNotifyHandler",),
        )
    ]


@hookimpl
def cryptoassets_event_sinks() -> list[EventSinkType]:
    """Bring the sink ``redis``."""
    return [
        EventSinkType(
            name="redis",
            factory="cryptoassets_redis.stream.RedisEventSink",
            options="cryptoassets_redis.stream.RedisEventOptions",
        )
    ]
