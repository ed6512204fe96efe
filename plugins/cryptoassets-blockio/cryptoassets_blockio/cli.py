"""The command ``cryptoassets blockio``."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from cryptoassets_core.cli.errors import one_sentence


@click.group("blockio")
def blockio_group() -> None:
    """Look after wallets at block.io."""


@blockio_group.command("check")
@click.argument("config_file", metavar="CONFIG")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; amounts are text.")
def check(config_file: str, as_json: bool) -> None:
    """See whether keys, PINs, networks, fee limits and notifications are right.

    Nothing is sent, signed, made or registered. A PIN is tried on a transaction that the service prepares and nobody
    submits, for which the wallet must hold something. Exit code 0 if nothing is wrong, 1 if something is.
    """
    # The command line is built for every command; what this one needs takes a second to import.
    diagnosis: Any = importlib.import_module("cryptoassets_blockio.diagnosis")
    with one_sentence():
        sys.exit(diagnosis.run(config_file, as_json=as_json))
