"""``cryptoassets broadcasts``: what leaves, what waits, and what only a person can tell."""

from __future__ import annotations

from dataclasses import asdict

import click

from cryptoassets_core.app import Subsystem
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import COIN, CONFIG_FILE, JSON, coin_with_backend, open_app, who
from cryptoassets_core.cli.output import json_line, print_facts, print_json, print_rows
from cryptoassets_core.tools.broadcastlist import (
    BroadcastSummary,
    carried_withdrawals,
    get_broadcast,
    held_withdrawals,
    list_broadcasts,
)
from cryptoassets_core.tools.broadcastresolve import BroadcastResolver

_BROADCAST = click.argument("broadcast_id", metavar="ID", type=click.IntRange(min=1))


@click.group("broadcasts")
def broadcasts() -> None:
    """Show how withdrawals leave, and resolve what was interrupted."""


@broadcasts.command("list")
@CONFIG_FILE
@click.option("--recent", default=20, show_default=True, type=click.IntRange(min=0), help="How many settled ones.")
@JSON
def list_(config_file: str, recent: int, as_json: bool) -> None:
    """List what is not settled or in conflict with the chain, and the most recent broadcasts."""
    with one_sentence():
        app = open_app(config_file)
        found, held = [], []
        with app.open_readonly_session() as session:
            for _, coin in app.coins.all():
                found.extend(list_broadcasts(session, coin, recent=recent))
                held.append(held_withdrawals(session, coin))
        held = [each for each in held if each.held_withdrawals]
        if as_json:
            print_json([*found, *held])
            return
        _print_list(found)
        for each in held:
            click.echo(
                f"Held, because their accounts are below zero: {each.held_withdrawals} {each.coin} withdrawals, "
                f"together {each.amount:f}."
            )


@broadcasts.command("show")
@CONFIG_FILE
@COIN
@_BROADCAST
@JSON
def show(config_file: str, coin_name: str, broadcast_id: int, as_json: bool) -> None:
    """Show one broadcast and the withdrawals that it carries."""
    with one_sentence():
        app = open_app(config_file)
        coin = app.coins.get(coin_name)
        with app.open_readonly_session() as session:
            facts = asdict(get_broadcast(session, coin, broadcast_id))
            carried = [asdict(each) for each in carried_withdrawals(session, coin, broadcast_id)]
        if as_json:
            click.echo(json_line({**facts, "carries": carried}))
        else:
            print_facts(facts)
            print_rows("Withdrawals", carried)


@broadcasts.command("resolve")
@CONFIG_FILE
@COIN
@_BROADCAST
@click.option("--txid", metavar="TXID", help="It was sent, as this network transaction.")
@click.option("--never-sent", is_flag=True, help="It was not sent and never will be: its withdrawals are queued again.")
@click.option("--rebuild", is_flag=True, help="It can never confirm: its withdrawals are queued again.")
@click.option("--refund", is_flag=True, help="It can never confirm: its withdrawals fail and are refunded.")
@click.option("--yes", is_flag=True, help="Resolve without asking.")
@JSON
def resolve(
    config_file: str,
    coin_name: str,
    broadcast_id: int,
    txid: str | None,
    never_sent: bool,
    rebuild: bool,
    refund: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Say what became of a broadcast that was interrupted, or is dead.

    Find out first: look for its label, addresses and amounts at the backend. A wrong --never-sent pays everybody twice,
    a wrong --txid pays nobody. What was signed and stored is resolved with proof from the backend only: --txid, where
    the chain has it under another txid, and --rebuild or --refund, where a double spend is too deep to be taken back.
    The daemon does the first two by itself where the backend can prove it. Who said so, and when, is kept.
    """
    if [txid is not None, never_sent, rebuild, refund].count(True) != 1:
        raise click.UsageError("Say one of --txid TXID, --never-sent, --rebuild and --refund.")
    with one_sentence():
        app = open_app(config_file, Subsystem.database, *([] if never_sent else [Subsystem.backend]))
        coin = app.coins.get(coin_name)
        resolver = BroadcastResolver(coin, app.conflict_resolver, who=who())
        summary = resolver.look_at(broadcast_id, never_sent=never_sent)
        if not yes and not _agreed(summary, txid, never_sent=never_sent, refund=refund):
            click.echo("Nothing was changed.", err=True)
            return
        if never_sent:
            resolver.was_never_sent(broadcast_id)
        else:
            _, backend = coin_with_backend(app, coin_name)
            if txid is not None:
                resolver.was_sent(broadcast_id, txid, backend=backend)
            else:
                resolver.is_dead(broadcast_id, backend=backend, refund=refund)
        with app.open_readonly_session() as session:
            facts = asdict(get_broadcast(session, coin, broadcast_id))
        if as_json:
            click.echo(json_line(facts))
        else:
            click.echo(f"The {coin_name} broadcast {broadcast_id} {facts['reason']}.")


def _agreed(summary: BroadcastSummary, txid: str | None, *, never_sent: bool, refund: bool) -> bool:
    print_facts(asdict(summary), err=True)
    if txid is not None:
        said = f"It was sent as {txid}"
    else:
        said = "It was never sent, and " if never_sent else "It can never confirm, and "
        said += "everybody in it shall be refunded" if refund else "everybody in it shall be paid anew"
    return click.confirm(f"{said}. Is that certain?", err=True)


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
    print_rows("Broadcasts", rows)
    for broadcast in found:
        if broadcast.interrupted or broadcast.conflicted:
            click.echo(f"{broadcast.coin} broadcast {broadcast.id} is {_state(broadcast)}: {broadcast.next_step}.")


def _state(broadcast: BroadcastSummary) -> str:
    if broadcast.interrupted:
        return "INTERRUPTED"
    if broadcast.conflicted:
        return "CONFLICTED, coins reserved"
    return str(broadcast.state)
