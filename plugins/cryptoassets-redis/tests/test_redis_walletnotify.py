"""Notifications over a real Redis, which comes and goes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from cryptoassets_core.testing import Channel, WalletNotifySuite
from cryptoassets_core.testing.walletnotifysuite import Heard, txid
from cryptoassets_core.walletnotify.base import Notify
from cryptoassets_redis.plugin import cryptoassets_walletnotify_handlers
from cryptoassets_redis.testing import TemporaryRedis
from cryptoassets_redis.walletnotify import RedisWalletNotifyHandler, RedisWalletNotifyOptions


class RedisChannel(Channel):
    """Publishes like redis-cli does."""

    def __init__(self, server: TemporaryRedis, **options: Any) -> None:
        self._server = server
        self._options = RedisWalletNotifyOptions.model_validate(
            {"host": "127.0.0.1", "port": server.port, "password": server.password, **options}
        )

    def open(self, notify: Notify) -> RedisWalletNotifyHandler:
        return RedisWalletNotifyHandler(self._options, notify)

    def tell(self, text: bytes) -> None:
        with self._server.client() as client:
            client.publish(self._options.channel, text)

    def tell_block(self, block_hash: str) -> None:
        self.tell(b"block " + block_hash.encode())

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()


class TestRedisWalletNotify(WalletNotifySuite):
    can_tell_blocks = can_reconnect = True

    @pytest.fixture
    def channel(self, server: TemporaryRedis) -> Channel:
        return RedisChannel(server)


def test_the_command_for_the_node_works(server: TemporaryRedis) -> None:
    channel, heard = RedisChannel(server, channel="doge notify"), Heard()
    handler = channel.open(heard.take)
    handler.start()
    try:
        command = ["redis-cli", "-p", str(server.port), "-a", str(server.password), "--no-auth-warning"]
        subprocess.run([*command, "publish", "doge notify", txid(1)], check=True, stdout=subprocess.DEVNULL, timeout=30)
        heard.wait_for(bool)
    finally:
        handler.stop()
    assert heard.hints == [txid(1)]
    assert (handler.hints.taken, handler.hints.refused) == (1, 0)


def test_a_wrong_password_is_told_and_not_shown(server: TemporaryRedis, caplog: pytest.LogCaptureFixture) -> None:
    handler = RedisChannel(server, password="wr0ng-s3cret").open(Heard().take)
    handler.start()
    try:
        assert handler.is_alive()
        assert "it refuses the user name or the password" in str(handler.problem())
        assert f"Redis at 127.0.0.1:{server.port} brings no notifications" in str(handler.problem())
    finally:
        handler.stop()
    assert "s3cret" not in caplog.text + str(handler.problem())


def test_a_redis_that_is_down_does_not_stop_the_start(server: TemporaryRedis) -> None:
    channel, heard = RedisChannel(server), Heard()
    handler = channel.open(heard.take)
    with channel.interrupted():
        handler.start()
        assert handler.is_alive()
        assert "it cannot be reached" in str(handler.problem())
    try:
        heard.wait_for(bool)  # the look at the chain, for what was missed
        channel.tell(txid(1).encode())
        heard.wait_for(lambda hints: txid(1) in hints)
    finally:
        handler.stop()


def test_the_type_has_the_names_and_defaults_of_the_manual() -> None:
    (kind,) = cryptoassets_walletnotify_handlers()
    assert kind.legacy_names == ("cryptoassets.core.backend.rediswalletnotify.RedisWalletNotifyHandler",)
    options = RedisWalletNotifyOptions()
    assert (options.host, options.port, options.db) == ("localhost", 6379, 0)
    assert options.channel == "bitcoind_walletnotify_pubsub"


@pytest.mark.parametrize(
    "wrong", [{"port": 0}, {"port": "x"}, {"db": -1}, {"channel": ""}, {"host": ""}, {"passwort": "s3cret"}], ids=str
)
def test_bad_options_are_refused_without_showing_the_password(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        RedisWalletNotifyOptions.model_validate({"password": "s3cret-of-redis", **wrong})
    assert "s3cret-of-redis" not in str(refused.value)
    assert "s3cret" not in repr(RedisWalletNotifyOptions.model_validate({"password": "s3cret"}))
