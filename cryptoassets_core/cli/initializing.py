"""``cryptoassets init-db``: creates the tables."""

from __future__ import annotations

import click

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, coin_names, open_app
from cryptoassets_core.database import shown


@click.command("init-db")
@CONFIG_FILE
def init_db(config_file: str) -> None:
    """Create the database tables of all configured coins; those that exist stay as they are."""
    with one_sentence():
        initialize_database(config_file)


def initialize_database(config_file: str) -> None:
    """Create the tables of all configured coins."""
    app = open_app(config_file, tables=False)
    app.create_tables()
    where = "" if app.engine is None else f" in {shown(app.engine)}"
    click.echo(f"The tables of {coin_names(app)} are ready{where}.")
