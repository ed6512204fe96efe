"""How commands get from CONFIG to what they work on, and the arguments that they share."""

from __future__ import annotations

import getpass
import os

import click

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError

CONFIG_FILE = click.argument("config_file", metavar="CONFIG")
COIN = click.argument("coin_name", metavar="COIN")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line; amounts are text.")
YES = click.option("--yes", is_flag=True, help="Do it without asking.")


def open_app(config_file: str, *subsystems: Subsystem, tables: bool = True) -> CryptoAssetsApp:
    """Return the app that a configuration file describes, ready to work.

    :param subsystems: what the command needs; the database if none is named.
    :param tables: see that the database is there and has the tables.
    :raises ConfigurationError: something in the configuration cannot make sense, or the database is not there.
    """
    app = CryptoAssetsApp(list(subsystems or [Subsystem.database]))
    Configurator(app).load_yaml_file(config_file)
    app.setup_session()
    if tables:
        app.check_tables()
    return app


def coin_names(app: CryptoAssetsApp) -> str:
    """Write which coins an app has, for a sentence."""
    return ", ".join(name for name, _ in app.coins.all()) or "no coins"


def coin_with_backend(app: CryptoAssetsApp, name: str) -> tuple[Coin, CoinBackend]:
    """Return a coin and its backend, which is there and serves the right network.

    :raises ConfigurationError: the coin is not configured, or has no backend.
    :raises BackendError: the backend cannot be asked.
    """
    coin = app.coins.get(name)
    if coin.backend is None:
        raise ConfigurationError(f"coins.{name}: it has no backend to ask; configure one")
    coin.backend.check()
    return coin, coin.backend


def who() -> str:
    """Return the name of the person at the keyboard, for what is kept of who decided."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"user {os.getuid()}"
