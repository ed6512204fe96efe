"""The structures of the configuration examples in the manual of 2015, with credentials of our own making."""

from __future__ import annotations

from typing import Any

HTTP_NOTIFY = {
    "class": "cryptoassets.core.backend.httpwalletnotify.HTTPWalletNotifyHandler",
    "ip": "127.0.0.1",
    "port": 28882,
}
BLOCKIO_SOCKET = {"class": "cryptoassets.core.backend.blockiowebsocket.BlockIoWebsocketNotifyHandler"}
DATABASE = {"url": "sqlite://"}


def bitcoind(port: int, **more: object) -> dict[str, Any]:
    url = f"http://x:y@127.0.0.1:{port}/"
    return {"class": "cryptoassets.core.backend.bitcoind.Bitcoind", "url": url, **more}


def blockio(network: str) -> dict[str, Any]:
    return {
        "class": "cryptoassets.core.backend.blockio.BlockIo",
        "api_key": "0000-0000-0000-0000",
        "pin": "NoRealPin1",
        "network": network,
        "walletnotify": BLOCKIO_SOCKET,
    }


#: By the section of the manual.
EXAMPLES: dict[str, dict[str, Any]] = {
    "3.4.3 and 5.2.1": {
        "database": {"url": "sqlite:///tmp/cryptoassets.example.sqlite"},
        "coins": {"btc": {"backend": blockio("btctest")}},
        "events": {
            "example_app": {
                "class": "cryptoassets.core.event.http.HTTPEventHandler",
                "url": "http://localhost:10000",
            }
        },
    },
    "5.2.2": {
        "database": {"url": "postgresql://localhost/cryptoassets", "echo": True},
        "coins": {
            "btc": {"backend": bitcoind(9999, timeout=60, walletnotify=HTTP_NOTIFY)},
            "testnet": True,
        },
    },
    "5.3.1": {"database": {"url": "postgresql://localhost/cryptoassets", "echo": True}},
    "5.3.2": {
        "database": DATABASE,
        "coins": {
            "aby": {"backend": bitcoind(8607, walletnotify=HTTP_NOTIFY)},
            # The manual calls it "bitcoin" here, and demands acronyms two lines above.
            "btc": {
                "backend": bitcoind(
                    8332,
                    max_tracked_incoming_confirmations=20,
                    walletnotify={
                        "class": "cryptoassets.core.backend.pipewalletnotify.PipedWalletNotifyHandler",
                        "fname": "/tmp/cryptoassets-unittest-walletnotify",
                    },
                )
            },
        },
    },
    "5.3.2 models": {
        "database": DATABASE,
        "coins": {"jesuscoin": {"backend": bitcoind(8607, walletnotify=HTTP_NOTIFY), "models": "mycoin.models"}},
    },
    "5.3.2 testnet": {
        "database": DATABASE,
        # The manual leaves out the models, which are needed.
        "coins": {"jesuscoin": {"backend": bitcoind(8607), "testnet": True, "models": "mycoin.models"}},
    },
    "5.3.2 backend": {
        "database": DATABASE,
        "coins": {"btc": {"backend": bitcoind(8607, walletnotify=HTTP_NOTIFY)}},
    },
    "5.3.3": {
        "database": DATABASE,
        "events": {
            "django": {
                "class": "cryptoassets.core.event.python.InProcessNotifier",
                "callback": "cryptoassets.django.incoming.handle_tx_update",
            }
        },
    },
    "5.3.4": {
        "database": {"url": "sqlite:///tmp/payments.sqlite"},
        "status-server": {"ip": "127.0.0.1", "port": 9000},
    },
    "5.3.5": {
        "database": DATABASE,
        "service": {
            "broadcast_period": 60,
            "logging": {
                "formatters": {"verbose": {"format": "%(levelname)s %(asctime)s %(module)s %(message)s"}},
                "handlers": {
                    "file": {
                        "level": "DEBUG",
                        "class": "logging.FileHandler",
                        "filename": "/tmp/cryptoassets-startstop-test.log",
                        "formatter": "verbose",
                    },
                    "console": {
                        "level": "DEBUG",
                        "class": "logging.StreamHandler",
                        "formatter": "verbose",
                        "stream": "ext://sys.stdout",
                    },
                },
                "root": {"handlers": ["file", "console"], "level": "DEBUG"},
            },
        },
    },
    "6.3.1 pipe": {
        "database": DATABASE,
        "coins": {
            "btc": {
                "backend": bitcoind(
                    8332,
                    walletnotify={
                        "class": "cryptoassets.core.backend.pipewalletnotify.PipedWalletNotifyHandler",
                        "fname": "/tmp/cryptoassets-walletnotify-pipe",
                    },
                )
            }
        },
    },
    "6.3.1 redis": {
        "database": DATABASE,
        "coins": {
            "btc": {
                "backend": bitcoind(
                    8332,
                    walletnotify={
                        "class": "cryptoassets.core.backend.rediswalletnotify.RedisWalletNotifyHandler",
                        "host": "localhost",
                        "port": 6379,
                        "db": 0,
                        "username": "shop",
                        "password": "NoRealPassword",
                        "channel": "bitcoind_walletnotify_pubsub",
                    },
                )
            }
        },
    },
    "6.3.2": {
        "database": {"url": "sqlite:///tmp/cryptoassts-unittest-blockio.sqlite"},
        "coins": {"doge": {"backend": blockio("dogetest")}},
    },
    "6.3.2 web hooks": {
        "database": DATABASE,
        "coins": {
            "btc": {
                "backend": {
                    **blockio("btctest"),
                    "walletnotify": {
                        "class": "cryptoassets.core.backend.blockiowebhook.BlockIoWebhookNotifyHandler",
                        "url": "https://shop.example/blockio-account-notify/5cfd6b1f7e4b4f6f8e7a",
                        "ip": "127.0.0.1",
                        "port": 33233,
                    },
                }
            }
        },
    },
    "6.3.4": {
        "database": DATABASE,
        "coins": {"btc": {"backend": {"class": "cryptoassets.core.backend.null.DummyCoinBackend"}}},
    },
    "8.3.3 script": {
        "database": DATABASE,
        "events": {
            "shell": {
                "class": "cryptoassets.core.event.script.ScriptEventHandler",
                "script": "/bin/true",
                "log_output": True,
            }
        },
    },
    "8.3.3 python": {
        "database": DATABASE,
        "events": {
            "app": {
                "class": "cryptoassets.core.event.python.InProcessEventHandler",
                "callback": "shop.incoming.handle_tx_update",
            }
        },
    },
}
