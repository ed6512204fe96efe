"""The commands that hold the books against the backends, and import what the books lack."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import click
from rich.table import Table
from sqlalchemy.orm import Session

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import COIN, CONFIG_FILE, JSON, coin_with_backend, open_app
from cryptoassets_core.cli.output import console, json_line
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.models import GenericAccount
from cryptoassets_core.names import check_name
from cryptoassets_core.tools.reconcile import reconcile as run_reconcile
from cryptoassets_core.tools.reconciliation import UNEXPLAINED, Reconciliation
from cryptoassets_core.tools.walletimport import import_unaccounted_balance, importable

#: How often it is looked again when a backend changes while it is looked at.
LOOKS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """The account that gets what is imported, by the names of its wallet and its own."""

    wallet: str
    account: str

    def open(self, session: Session, coin: Coin) -> GenericAccount:
        """Return the account, made if need be."""
        wallet = coin.wallet_model.get_or_create_by_name(self.wallet, session)
        return wallet.get_or_create_account_by_name(self.account)


@click.command("reconcile")
@CONFIG_FILE
@JSON
def reconcile(config_file: str, as_json: bool) -> None:
    """Hold the books against what the backends hold, to the smallest unit.

    Each network transaction on which they do not agree is named. Reads only. Beside a running daemon it may name what
    the daemon is about to enter: run it again then. Exit code 0 if all agrees, 1 if not.
    """
    with one_sentence():
        sys.exit(_reconcile_all(config_file, as_json=as_json))


@click.command("import-wallet")
@CONFIG_FILE
@COIN
@click.option("--wallet", "wallet_name", metavar="NAME", required=True, help="The wallet, made if need be.")
@click.option("--account", "account_name", metavar="NAME", required=True, help="Its account, made if need be.")
@click.option("--yes", is_flag=True, help="Import without asking.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; without --yes it only tells what there is.")
def import_wallet(
    config_file: str, coin_name: str, wallet_name: str, account_name: str, yes: bool, as_json: bool
) -> None:
    """Credit to an account what only the backend knows of: what COIN's holds beyond what the books explain.

    That is what its wallet held before the books began, and what it was topped up with past all accounts. It shows the
    amount and asks first. Deposits to accounts never count, whether the books have them yet or not.
    """
    with one_sentence():
        _import(
            config_file,
            coin_name,
            Target(wallet_name, account_name),
            agreed=yes,
            as_json=as_json,
        )


def _reconcile_all(config_file: str, *, as_json: bool) -> int:
    app = open_app(config_file, Subsystem.database, Subsystem.backend)
    names = [name for name, coin in app.coins.all() if coin.backend is not None]
    if not names:
        raise ConfigurationError("coins: no coin has a backend, so there is nothing to compare the books with")
    balanced = True
    for name in names:
        coin, backend = coin_with_backend(app, name)
        with console(err=True).status(f"Comparing the books of {name} with its backend"):
            found = _reconcile_at_rest(app, coin, backend)
        balanced = balanced and found.balanced
        if as_json:
            click.echo(json_line(_as_json(found)))
        else:
            _show(found)
    return 0 if balanced else 1


def _import(config_file: str, symbol: str, target: Target, *, agreed: bool, as_json: bool) -> None:
    check_name(target.wallet, "a wallet's name")
    check_name(target.account, "an account's name")
    app = open_app(config_file, Subsystem.database, Subsystem.backend)
    coin, backend = coin_with_backend(app, symbol)
    amount = importable(_reconcile_at_rest(app, coin, backend))
    imported: int | None = None
    if amount and (agreed or (not as_json and _ask(amount, symbol, target))):

        def work(session: Session) -> int | None:
            account = target.open(session, coin)
            transaction = import_unaccounted_balance(backend, account.wallet, account, expected=amount)
            return None if transaction is None else transaction.id

        imported = app.conflict_resolver.run(work)
    if as_json:
        click.echo(json_line({"coin": symbol, **asdict(target), "amount": amount, "transaction": imported}))
    elif not amount:
        click.echo(f"The books explain all that the {symbol} backend holds; there is nothing to import.")
    else:
        click.echo("Nothing was imported." if imported is None else f"Imported as transaction {imported}.")


def _ask(amount: Decimal, symbol: str, target: Target) -> bool:
    click.echo(
        f"The {symbol} backend holds {amount:f} {symbol.upper()} that the books do not explain. "
        f"They would be credited to the account {target.account!r} of the wallet {target.wallet!r}."
    )
    return click.confirm("Import them?")


def _reconcile_at_rest(app: CryptoAssetsApp, coin: Coin, backend: CoinBackend) -> Reconciliation:
    for _ in range(LOOKS - 1):
        found = _reconcile(app, coin, backend)
        if found.balanced or not found.moved:
            return found
    return _reconcile(app, coin, backend)


def _reconcile(app: CryptoAssetsApp, coin: Coin, backend: CoinBackend) -> Reconciliation:
    # Anew each time: a session sees the books as they were when it began.
    with app.open_readonly_session() as session:
        return run_reconcile(session, coin, backend)


def _as_json(found: Reconciliation) -> dict[str, Any]:
    return asdict(found) | {
        "expected": found.expected,
        "difference": found.difference,
        "unexplained": found.unexplained,
        "balanced": found.balanced,
    }


def _show(found: Reconciliation) -> None:
    printer = console()
    sums = Table("", f"{found.coin.upper()}", title=f"The books of {found.coin} and its backend", title_justify="left")
    sums.columns[1].justify = "right"
    for words, amount in _sums(found):
        sums.add_row(words, f"{amount:f}")
    printer.print(sums)
    if found.differences:
        named = Table("network transaction", "what", found.coin.upper(), "why", show_lines=True)
        named.columns[0].overflow = named.columns[3].overflow = "fold"
        named.columns[2].justify = "right"
        for each in found.differences:
            named.add_row(each.txid, each.cause.value, f"{each.amount:+f}", each.message)
        printer.print(named)
    for sentence in _sentences(found):
        printer.print(sentence, highlight=False, soft_wrap=True, markup=False)


def _sums(found: Reconciliation) -> list[tuple[str, Decimal]]:
    return [
        ("all accounts", found.accounts),
        ("withdrawals queued", found.queued),
        ("withdrawals signed, not on the network", found.prepared),
        ("deposits not credited yet", found.incoming),
        ("deposits below the minimum, nobody's", found.below_minimum),
        ("block rewards not mature", -found.immature),
        ("fees not booked yet", -found.fees_not_booked),
        ("the backend must hold", found.expected),
        ("the backend holds", found.balance),
        ("difference", found.difference),
    ]


def _sentences(found: Reconciliation) -> list[str]:
    if found.balanced:
        return [f"The books of {found.coin} and its backend agree."]
    said = [f"The books of {found.coin} and its backend do not agree."]
    if found.import_differs:
        said.append(
            f"Imports and adjustments come to {found.imported:f}, network transactions past the accounts to "
            f"{found.passed:f}: cryptoassets import-wallet enters what was not imported yet."
        )
    if found.unexplained:
        said.append(f"No network transaction explains {found.unexplained:+f}. It may be {UNEXPLAINED}.")
    if found.moved:
        said.append("The backend was busy all the time: what it was just doing may be among the differences.")
    return said
