"""``cryptoassets broadcasts``: what leaves, what waits, and what only a person can tell."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

import click
from rich.console import Console
from rich.table import Table

from cryptoassets_core.app import Subsystem
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.service.main import Service
from cryptoassets_core.tools.broadcastlist import (
    BroadcastSummary,
    carried_withdrawals,
    get_broadcast,
    held_withdrawals,
    list_broadcasts,
)
from cryptoassets_core.tools.broadcastresolve import BroadcastResolver

_CONFIG_FILE = click.argument("config_file", metavar="CONFIG")
_COIN = click.argument("coin_name", metavar="COIN")
_BROADCAST = click.argument("broadcast_id", metavar="ID", type=click.IntRange(min=1))
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line; amounts are text.")


@click.group("broadcasts")
def broadcasts() -> None:
    """Show how withdrawals leave, and resolve what was interrupted."""


@broadcasts.command("list")
@_CONFIG_FILE
@click.option("--recent", default=20, show_default=True, type=click.IntRange(min=0), help="How many settled ones.")
@_JSON
def list_(config_file: str, recent: int, as_json: bool) -> None:
    """List what is unsettled or died with its withdrawals, and the most recent broadcasts."""
    with one_sentence():
        service = _service(config_file, Subsystem.database)
        found, held = [], []
        with service.app.open_readonly_session() as session:
            for _, coin in service.app.coins.all():
                found.extend(list_broadcasts(session, coin, recent=recent))
                held.append(held_withdrawals(session, coin))
        held = [each for each in held if each.held_withdrawals]
        if as_json:
            for facts in [*map(asdict, found), *map(asdict, held)]:
                click.echo(_as_json(facts))
            return
        _print_list(found)
        for each in held:
            click.echo(
                f"Held, because their accounts are below zero: {each.held_withdrawals} {each.coin} withdrawals, "
                f"together {each.amount:f}."
            )


@broadcasts.command("show")
@_CONFIG_FILE
@_COIN
@_BROADCAST
@_JSON
def show(config_file: str, coin_name: str, broadcast_id: int, as_json: bool) -> None:
    """Show one broadcast and the withdrawals that it carries."""
    with one_sentence():
        service = _service(config_file, Subsystem.database)
        coin = service.app.coins.get(coin_name)
        with service.app.open_readonly_session() as session:
            facts = asdict(get_broadcast(session, coin, broadcast_id))
            carried = [asdict(each) for each in carried_withdrawals(session, coin, broadcast_id)]
        if as_json:
            click.echo(_as_json({**facts, "carries": carried}))
        else:
            _print_facts(facts)
            _print_rows("Withdrawals", carried)


@broadcasts.command("resolve")
@_CONFIG_FILE
@_COIN
@_BROADCAST
@click.option("--txid", metavar="TXID", help="It was sent, as this network transaction.")
@click.option("--never-sent", is_flag=True, help="It was not sent and never will be: its withdrawals are queued again.")
@click.option("--yes", is_flag=True, help="Resolve without asking.")
@_JSON
def resolve(
    config_file: str,
    coin_name: str,
    broadcast_id: int,
    txid: str | None,
    never_sent: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Say what became of an interrupted broadcast.

    Find out first: look for its label, addresses and amounts at the backend. A wrong --never-sent pays everybody twice,
    a wrong --txid pays nobody. Who said so, and when, is kept with the broadcast.
    """
    if (txid is None) is not never_sent:
        raise click.UsageError("Say either --txid TXID or --never-sent.")
    with one_sentence():
        service = _service(config_file, Subsystem.database, *([] if txid is None else [Subsystem.backend]))
        coin = service.app.coins.get(coin_name)
        resolver = BroadcastResolver(coin, service.app.conflict_resolver, who=_who())
        summary = resolver.look_at(broadcast_id)
        if not yes and not _agreed(summary, txid):
            click.echo("Nothing was changed.", err=True)
            return
        if txid is None:
            resolver.was_never_sent(broadcast_id)
        elif coin.backend is None:
            raise ConfigurationError(f"coins.{coin_name}: it has no backend that could know the txid; configure one")
        else:
            coin.backend.check()
            resolver.was_sent(broadcast_id, txid, backend=coin.backend)
        with service.app.open_readonly_session() as session:
            facts = asdict(get_broadcast(session, coin, broadcast_id))
        if as_json:
            click.echo(_as_json(facts))
        else:
            click.echo(f"The {coin_name} broadcast {broadcast_id} {facts['reason']}.")


def _agreed(summary: BroadcastSummary, txid: str | None) -> bool:
    _print_facts(asdict(summary), err=True)
    said = f"It was sent as {txid}" if txid is not None else "It was never sent, and everybody in it shall be paid anew"
    return click.confirm(f"{said}. Is that certain?", err=True)


def _service(config_file: str, *subsystems: Subsystem) -> Service:
    service = Service(Configurator.prepare_yaml_file(config_file), list(subsystems), logging=False)
    service.app.check_tables()
    return service


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return f"user {os.getuid()}"


def _as_json(facts: Mapping[str, object]) -> str:
    return json.dumps(facts, default=_text)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _print_list(found: list[BroadcastSummary]) -> None:
    if not found:
        click.echo("There are no broadcasts.")
        return
    columns = ("coin", "id", "state", "withdrawals", "amount", "fee", "attempts", "next_attempt_at", "txid", "reason")
    rows = []
    for broadcast in found:
        facts = asdict(broadcast)
        facts["state"] = _state(broadcast)
        rows.append({column: facts[column] for column in columns})
    _print_rows("Broadcasts", rows)


def _state(broadcast: BroadcastSummary) -> str:
    if broadcast.interrupted:
        return "INTERRUPTED"
    if broadcast.state == "dead" and broadcast.withdrawals:
        return "DEAD, coins reserved"
    return str(broadcast.state)


def _print_rows(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _text(value) for value in row.values()))
    _console().print(table, markup=False)


def _print_facts(facts: Mapping[str, object], *, err: bool = False) -> None:
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), "" if value is None else _text(value))
    _console(err=err).print(table, markup=False)


def _console(*, err: bool = False) -> Console:
    # Markup would eat brackets in what backends say.
    return Console(stderr=err, markup=False)
