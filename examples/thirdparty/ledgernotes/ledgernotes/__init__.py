"""What hooks can do: limit withdrawals, note credited deposits in a file, and add a command.

The file is named by the environment variable LEDGERNOTES.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import click

from cryptoassets_core.errors import WithdrawalRefused
from cryptoassets_core.event.base import Event
from cryptoassets_core.hookspecs import hookimpl

#: Whole coins that leave at once at most.
LIMIT = Decimal(5)


def notes() -> Path:
    """Return the file."""
    return Path(os.environ.get("LEDGERNOTES", "ledgernotes.txt"))


@hookimpl
def cryptoassets_approve_withdrawal(amount: Decimal) -> None:
    """Refuse what is too much."""
    if amount > LIMIT:
        raise WithdrawalRefused(f"at most {LIMIT} coins can be withdrawn at once")


@hookimpl
def cryptoassets_event(event: Event) -> None:
    """Note a deposit when it is credited. An event may come again, so what is noted already is left."""
    if event.name != "txupdate" or event.data["transaction_type"] != "deposit" or not event.data["credited"]:
        return
    line = f"{event.data['transaction']} {event.data['amount']} {event.data['coin_name']}\n"
    seen = notes().read_text() if notes().exists() else ""
    if line not in seen:
        with notes().open("a") as stream:
            stream.write(line)


@hookimpl
def cryptoassets_cli_commands(group: click.Group) -> None:
    """Add ``cryptoassets ledgernotes``."""

    @group.command("ledgernotes")
    def show() -> None:
        """Show the deposits that were credited."""
        click.echo(notes().read_text() if notes().exists() else "nothing was credited yet")
