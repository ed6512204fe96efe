"""``cryptoassets events``: what happened, who heard of it, and who shall hear of it again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, JSON, YES, open_app
from cryptoassets_core.cli.output import print_facts, print_json, print_rows
from cryptoassets_core.clock import utc_now
from cryptoassets_core.event.history import Selection, prune, replay
from cryptoassets_core.event.outbox import DeliveryState
from cryptoassets_core.tools.listing.events import EventRecord, get_event, list_events
from cryptoassets_core.tools.listing.paging import Slice

_SINK = click.option("--sink", metavar="NAME", help="Only at this event sink.")
_STATE = click.option(
    "--state", type=click.Choice([state.value for state in DeliveryState]), help="Only in this state."
)


class Moment(click.DateTime):
    """A time in UTC, or how long ago: ``90m``, ``36h`` or ``7d``."""

    _UNITS = {"m": "minutes", "h": "hours", "d": "days"}  # noqa: RUF012 - nobody changes it

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """To an aware time."""
        if isinstance(value, str) and value[:-1].isdecimal() and len(value) < 8 and value[-1] in self._UNITS:
            return utc_now() - timedelta(**{self._UNITS[value[-1]]: int(value[:-1])})
        moment: datetime = super().convert(value.removesuffix("Z") if isinstance(value, str) else value, param, ctx)
        return moment.replace(tzinfo=UTC)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What --help shows."""
        return "TIME"


_SINCE = click.option(
    "--since", type=Moment(), help="Written at or after: 2026-11-25T13:00 in UTC, or 90m, 36h, 7d ago."
)
_UNTIL = click.option("--until", type=Moment(), help="Written before, likewise.")


@click.group("events")
def events() -> None:
    """Show what the application was told, and tell it again."""


@events.command("list")
@CONFIG_FILE
@click.option("--name", metavar="EVENT", help="Only events of this name, such as txupdate.")
@click.option("--subject", metavar="SUBJECT", help="Only about this, such as btc:12 for the transaction 12.")
@_SINK
@_STATE
@_SINCE
@_UNTIL
@click.option("--before", metavar="NUMBER", type=click.IntRange(min=1), help="Only older than this: the next page.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@JSON
def list_(config_file: str, before: int | None, limit: int, as_json: bool, **selected: Any) -> None:
    """List events, the newest first, and how they fare at each event sink."""
    with one_sentence():
        with open_app(config_file).open_readonly_session() as session:
            page = list_events(session, Slice(beyond=before, limit=limit), _selection(**selected))
        if as_json:
            print_json(page.rows)
        elif not page.rows:
            click.echo("There are no such events.")
        else:
            print_rows("Events", [_row(event) for event in page.rows], right=["number"])
            if page.beyond is not None:
                click.echo(f"There are older ones: --before {page.beyond}")


@events.command("show")
@CONFIG_FILE
@click.argument("event_id", metavar="ID")
@JSON
def show(config_file: str, event_id: str, as_json: bool) -> None:
    """Show one event, by the id under which it is delivered."""
    with one_sentence():
        with open_app(config_file).open_readonly_session() as session:
            event = get_event(session, event_id)
        if as_json:
            print_json([event])
            return
        facts = asdict(event)
        del facts["deliveries"], facts["data"]
        print_facts(facts)
        print_facts(event.data)
        print_rows("Deliveries", [asdict(delivery) for delivery in event.deliveries])


@events.command("replay")
@CONFIG_FILE
@click.argument("event_ids", metavar="[ID]...", nargs=-1)
@_SINK
@_STATE
@_SINCE
@_UNTIL
@click.option("--name", metavar="EVENT", help="Only events of this name.")
@click.option("--subject", metavar="SUBJECT", help="Only about this, such as btc:12.")
@YES
def replay_(config_file: str, event_ids: tuple[str, ...], yes: bool, **selected: Any) -> None:
    """Deliver events again, by their ids, or all that fit the options.

    They come under their ids and in their order, so that receivers can tell repeats. --state dead takes what was given
    up. --sink with a new event sink and --since gives it what happened before it was there.
    """
    selection = _selection(ids=event_ids, **selected)
    if selection == Selection():
        raise click.UsageError("Say which events: by ID, or with --since, --until, --sink, --state, --name, --subject.")
    with one_sentence():
        app = open_app(config_file)
        if event_ids:
            with app.open_readonly_session() as session:
                for event_id in event_ids:
                    get_event(session, event_id)
        elif not yes and not click.confirm("Deliver all events that fit again?", err=True):
            click.echo("Nothing was changed.", err=True)
            return
        count = replay(app.conflict_resolver, selection, sinks=app.event_handler_registry.names())
        click.echo(f"{count} events are queued again; the daemon delivers them.")


@events.command("prune")
@CONFIG_FILE
@click.option("--days", required=True, type=click.IntRange(min=1), help="Keep what is younger.")
@click.option("--dead", "dead_too", is_flag=True, help="Also what was given up.")
@YES
def prune_(config_file: str, days: int, dead_too: bool, yes: bool) -> None:
    """Delete old events that every event sink has; the daemon does so daily.

    What waits for an event sink is never deleted.
    """
    with one_sentence():
        app = open_app(config_file)
        if not yes and not click.confirm(f"Delete delivered events that are older than {days} days?", err=True):
            click.echo("Nothing was changed.", err=True)
            return
        count = prune(app.conflict_resolver, utc_now() - timedelta(days=days), dead_too=dead_too)
        click.echo(f"{count} events are deleted.")


def _selection(*, state: str | None, **selected: Any) -> Selection:
    return Selection(state=None if state is None else DeliveryState(state), **selected)


def _row(event: EventRecord) -> dict[str, object]:
    return {
        "number": event.number,
        "created_at": event.created_at,
        "name": event.name,
        "subject": event.subject,
        "id": event.id,
        "deliveries": ", ".join(f"{each.sink}: {each.state}" for each in event.deliveries) or "not queued yet",
    }
