"""``cryptoassets withdrawals``: see what leaves, and call back what has not left."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy.orm import Session

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.lists import OPEN, SINCE, STATE, list_withdrawals, paged, transaction_columns
from cryptoassets_core.cli.opening import COIN, CONFIG_FILE, JSON, YES, open_app, who
from cryptoassets_core.cli.output import print_facts, print_json
from cryptoassets_core.errors import UnknownRowError
from cryptoassets_core.ledger.states import TransactionKind
from cryptoassets_core.names import MAX_ID
from cryptoassets_core.tools.listing.paging import Slice
from cryptoassets_core.tools.listing.transactions import get_transaction


@click.group("withdrawals")
def withdrawals() -> None:
    """Show withdrawals, and call back those that are not signed."""


@withdrawals.command("list", epilog="Example: cryptoassets withdrawals list shop.yaml --state failed --since 7d")
@paged
@click.option("--wallet", metavar="NAME", help="Only of this wallet.")
@STATE
@OPEN
@SINCE
def list_(config_file: str, coin_name: str | None, wanted: Slice, as_json: bool, **which: Any) -> None:
    """List withdrawals, the newest first."""
    list_withdrawals(config_file, coin_name, wanted, as_json=as_json, **which)


@withdrawals.command(
    "cancel", epilog="Example: cryptoassets withdrawals cancel shop.yaml btc 12 --reason 'wrong address'"
)
@CONFIG_FILE
@COIN
@click.argument("transaction_id", metavar="ID", type=click.IntRange(1, MAX_ID))
@click.option("--reason", metavar="TEXT", help="Why, for the label of the refund; by default who cancelled it.")
@YES
@JSON
def cancel(config_file: str, coin_name: str, transaction_id: int, reason: str | None, yes: bool, as_json: bool) -> None:
    """Call back a withdrawal that is not signed yet, and give its account the coins back.

    It shows the withdrawal and asks first. Exit code 1 if it is too late. Safe to repeat.
    """
    with one_sentence():
        app = open_app(config_file)
        coin = app.coins.get(coin_name)
        with app.open_readonly_session(wait=False) as session:
            row = get_transaction(session, coin, transaction_id)
        if row.kind is not TransactionKind.WITHDRAWAL:
            raise UnknownRowError(f"the {coin_name} transaction {transaction_id} is no withdrawal but: {row.kind}")
        if not yes:
            print_facts(transaction_columns(row), err=True)
            if not click.confirm("Cancel it, and give its account the coins back?", err=True):
                click.echo("Nothing was changed.", err=True)
                return

        def work(session: Session) -> int:
            wallet = coin.wallet_model.get_by_id(session, row.wallet)
            return int(wallet.cancel_withdrawal(row.id, reason or f"cancelled by {who()}").id)

        refund = app.conflict_resolver.run(work)
        if as_json:
            with app.open_readonly_session(wait=False) as session:
                print_json([get_transaction(session, coin, refund)])
        else:
            click.echo(f"The {coin_name} withdrawal {transaction_id} is cancelled; transaction {refund} is its refund.")
