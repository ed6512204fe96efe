"""What the commands do, whatever they are called."""

from __future__ import annotations

from typing import Any

import click

from cryptoassets_core.app import Subsystem
from cryptoassets_core.configure import Configurator
from cryptoassets_core.database import shown
from cryptoassets_core.service.main import DAEMON_SUBSYSTEMS, Service


def initialize_database(config_file: str) -> None:
    """Create the tables of all configured coins."""
    service = Service(_read(config_file), [Subsystem.database], logging=False)
    service.initialize_db()
    click.echo(f"The tables of {_coins(service)} are ready in {shown(_engine(service))}.")


def run_daemon(config_file: str) -> int:
    """Run the helper daemon until SIGTERM or Ctrl-C; returns its exit code."""
    return Service(_read(config_file), DAEMON_SUBSYSTEMS, daemon=True).start()


def scan_received(config_file: str) -> None:
    """Look through everything the backends know for missed deposits."""
    service = Service(_read(config_file), [Subsystem.database, Subsystem.backend], logging=False)
    updates = service.scan_received()
    click.echo(f"Rescanned {_coins(service)}: {updates} updates.")


def _read(config_file: str) -> dict[str, Any]:
    return Configurator.prepare_yaml_file(config_file)


def _coins(service: Service) -> str:
    return ", ".join(name for name, _ in service.app.coins.all()) or "no coins"


def _engine(service: Service) -> Any:
    return service.app.engine
