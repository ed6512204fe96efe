"""The three commands of 2015, under their old names."""

from __future__ import annotations

import sys

import click

from cryptoassets_core.cli import daemon, initializing
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE

_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_SETTINGS)
@CONFIG_FILE
def initialize_database(config_file: str) -> None:
    """Create the database tables of all coins in the configuration file CONFIG."""
    with one_sentence():
        initializing.initialize_database(config_file)


@click.command(context_settings=_SETTINGS)
@CONFIG_FILE
def helper_service(config_file: str) -> None:
    """Run the helper daemon by the configuration file CONFIG until SIGTERM or Ctrl-C."""
    with one_sentence():
        sys.exit(daemon.run_daemon(config_file))


@click.command(context_settings=_SETTINGS)
@CONFIG_FILE
def scan_received(config_file: str) -> None:
    """Look for missed deposits of all coins in the configuration file CONFIG."""
    with one_sentence():
        daemon.scan_received(config_file)
