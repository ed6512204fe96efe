"""The ``cryptoassets`` command."""

from __future__ import annotations

import sys

import click

from cryptoassets_core import __version__
from cryptoassets_core.cli import asking, reconciling, tasks
from cryptoassets_core.cli.additions import add_commands_of_plugins
from cryptoassets_core.cli.broadcasts import broadcasts
from cryptoassets_core.cli.completion import completion
from cryptoassets_core.cli.config import config
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.events import events
from cryptoassets_core.cli.lists import accounts, addresses, transactions
from cryptoassets_core.cli.newplugin import new_plugin
from cryptoassets_core.cli.opening import COIN, CONFIG_FILE, JSON
from cryptoassets_core.cli.plugins import plugins
from cryptoassets_core.cli.sections import SectionedGroup
from cryptoassets_core.cli.withdrawals import withdrawals
from cryptoassets_core.plugins import Plugins


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryptoassets-core")
def cryptoassets() -> None:
    """Hold, receive and send Bitcoin-like coins from a Python application.

    CONFIG is the application's YAML configuration file. Exit codes: 0 is fine; 1 means refused, not found or not well,
    with a sentence on stderr; 2 is a wrong use of the command, or a component of the daemon that died.
    """


@cryptoassets.command("run")
@CONFIG_FILE
def run(config_file: str) -> None:
    """Run the helper daemon until SIGTERM or Ctrl-C.

    It follows the chains, credits deposits, broadcasts withdrawals and delivers events. Exit code 0 after a clean stop,
    1 if it cannot start, 2 if a component died.
    """
    with one_sentence():
        sys.exit(tasks.run_daemon(config_file))


@cryptoassets.command("init-db")
@CONFIG_FILE
def init_db(config_file: str) -> None:
    """Create the database tables of all configured coins; those that exist stay as they are."""
    with one_sentence():
        tasks.initialize_database(config_file)


@cryptoassets.command("scan")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step, a line each; the last has the updates.")
def scan(config_file: str, as_json: bool) -> None:
    """Look through everything the backends know for deposits that the books lack.

    Safe at any time, also beside a running daemon, which catches up by itself when it starts. Ctrl-C interrupts it, and
    the next scan goes on where it ended.
    """
    with one_sentence():
        tasks.scan_received(config_file, as_json=as_json)


@cryptoassets.command("status", epilog="Example: cryptoassets status shop.yaml --json | jq .coins[0].queued")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object; amounts are text.")
def status(config_file: str, as_json: bool) -> None:
    """Ask the running daemon how it is; where there is none, say so and tell what the books know.

    Exit code 0 if all is well, 1 if not or if no daemon answers.
    """
    with one_sentence():
        sys.exit(asking.status(config_file, as_json=as_json))


@cryptoassets.command("audit")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, a line each.")
def audit(config_file: str, as_json: bool) -> None:
    """Recompute every account from its rows and check every rule of the books.

    Each row that does not fit is named. Reads only, and may run beside everything else. Exit code 0 if all is well, 1
    if not.
    """
    with one_sentence():
        sys.exit(tasks.audit(config_file, as_json=as_json))


@cryptoassets.command("reconcile")
@CONFIG_FILE
@JSON
def reconcile(config_file: str, as_json: bool) -> None:
    """Hold the books against what the backends hold, to the smallest unit.

    Each network transaction on which they do not agree is named. Reads only. Beside a running daemon it may name what
    the daemon is about to enter: run it again then. Exit code 0 if all agrees, 1 if not.
    """
    with one_sentence():
        sys.exit(reconciling.reconcile(config_file, as_json=as_json))


@cryptoassets.command("import-wallet")
@CONFIG_FILE
@COIN
@click.option("--wallet", "wallet_name", metavar="NAME", required=True, help="The wallet, made if need be.")
@click.option("--account", "account_name", metavar="NAME", required=True, help="Its account, made if need be.")
@click.option("--yes", is_flag=True, help="Import without asking.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; without --yes it only tells what there is.")
def import_wallet(
    config_file: str, coin_name: str, wallet_name: str, account_name: str, yes: bool, as_json: bool
) -> None:
    """Credit to an account what the backend of COIN holds beyond what the books explain.

    That is what its wallet held before the books began, and what it was topped up with past all accounts. It shows the
    amount and asks first. Deposits to accounts never count, whether the books have them yet or not.
    """
    with one_sentence():
        reconciling.import_wallet(
            config_file,
            coin_name,
            reconciling.Target(wallet_name, account_name),
            agreed=yes,
            as_json=as_json,
        )


for command in (
    accounts,
    addresses,
    broadcasts,
    completion,
    config,
    events,
    new_plugin,
    plugins,
    transactions,
    withdrawals,
):
    cryptoassets.add_command(command)


def main() -> None:
    """Run the command with what the plugins add to it."""
    with one_sentence():
        # What does not fit together stops what needs it, and not the commands that tell about it.
        installed = Plugins(strict=False)
        contested = add_commands_of_plugins(cryptoassets, installed)
        # Where people look who miss a plugin's command.
        cryptoassets.epilog = "\n\n".join(
            [f"Broken: {broken}." for broken in installed.broken]
            + [f"Contested: {sentence}." for sentence in contested]
        )
        cryptoassets()
