"""The daemon with Redis at both ends: it brings notifications of the node, and takes events to the application."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from commands import Daemon, daemon, eventually, run, simnet_config, write

from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.configure import Configurator
from cryptoassets_redis.testing import TemporaryRedis
from cryptoassets_simnet import Simnet

#: Seconds that no test lasts: only what Redis tells makes the daemon look.
NEVER = 3600

CHANNEL = "bitcoind_walletnotify_pubsub"


def config_with(server: TemporaryRedis, directory: Path) -> dict[str, Any]:
    redis = {"name": "redis", "port": server.port, "password": server.password}
    config = simnet_config(directory, events={"shop": redis}, service={"poll_period": NEVER})
    config["coins"]["btc"]["backend"]["walletnotify"] = redis
    return config


def new_address(config: dict[str, Any]) -> str:
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict(config)
    app.setup_session()

    def work(session: Any) -> str:
        wallet = app.coins.get("btc").wallet_model.get_or_create_by_name("shop", session)
        account = wallet.get_or_create_account_by_name("alice")
        return str(wallet.create_receiving_address(account, automatic_label=True).address)

    with closing(app):
        return app.conflict_resolver.run(work)


def notify(server: TemporaryRedis, message: str) -> None:
    """Do what ``redis-cli publish`` does; somebody must be listening."""
    with server.client() as client:
        eventually(lambda: client.publish(CHANNEL, message))


def updates_of(server: TemporaryRedis, txid: str) -> list[tuple[int, bool]]:
    """Return confirmations and whether it is credited, as the stream tells of a deposit, in order."""
    with server.client() as client:
        entries: Any = client.xrange("cryptoassets_events")
    told = [json.loads(entry["data"]) for _, entry in entries if entry["event_name"] == "txupdate"]
    return [(each["confirmations"], each["credited"]) for each in told if each["txid"] == txid]


def problem(running: Daemon) -> object:
    return "brings no notifications" in json.dumps(running.status())


def test_notifications_come_and_events_go_also_after_redis_was_down(server: TemporaryRedis, tmp_path: Path) -> None:
    config = config_with(server, tmp_path)
    assert run("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    chain = Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest")
    with closing(chain), daemon(config, tmp_path) as running:
        running.ready()

        txid = chain.pay(new_address(config), Decimal("0.3"))
        notify(server, txid)
        assert eventually(lambda: updates_of(server, txid)) == [(0, False)]
        for depth in (1, 2, 3):
            (block,) = chain.mine()
            notify(server, f"block {block}")
            eventually(lambda wanted=depth: len(updates_of(server, txid)) > wanted)  # type: ignore[misc]
        assert updates_of(server, txid) == [(0, False), (1, False), (2, False), (3, True)]

        server.stop()
        eventually(lambda: problem(running))
        missed = chain.pay(new_address(config), Decimal("0.4"))
        server.start()
        assert eventually(lambda: updates_of(server, missed)) == [(0, False)]
        eventually(lambda: not problem(running))

        assert running.end() == 0
        assert "Traceback" not in running.log
        assert str(server.password) not in running.log
