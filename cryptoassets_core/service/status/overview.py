"""The first page, and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from flask import Flask, render_template
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core.clock import utc_now
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.service.status.asked import asked_coin
from cryptoassets_core.service.status.cells import Cell, amount, hash_, number, text, time, value_cell
from cryptoassets_core.service.status.charts import Chart, count_chart, history_chart
from cryptoassets_core.service.status.figures import Figures
from cryptoassets_core.service.status.panels import Panels, ShownPanel
from cryptoassets_core.service.status.report import CoinReport, Report, make_report
from cryptoassets_core.tools.listing.activity import read_confirmations, read_history, read_latencies
from cryptoassets_core.tools.listing.paging import COUNTED

if TYPE_CHECKING:
    from cryptoassets_core.service.main import Service


def add_overview(flask: Flask, service: Service, figures: Figures) -> None:
    """Add them to the web application."""
    panels = Panels(service.app)
    flask.jinja_env.globals.update(ago=_ago, queue=_queue, value_cell=value_cell)
    flask.jinja_env.filters["words"] = text

    @flask.get("/")
    def overview() -> str:
        report = make_report(service, figures)
        return render_template(
            "overview.html",
            page="overview",
            coin=None,
            report=report,
            coin_facts={coin.name: _coin_facts(coin) for coin in report.coins},
            panels=_shown(service, panels, report),
        )

    @flask.get("/activity")
    def activity() -> str:
        coin = asked_coin(service.app)
        sinks = [sink.name for sink in service.app.event_handler_registry.get_all()]
        with service.app.open_readonly_session(wait=False) as session:
            charts = _charts(session, coin, sinks)
        return render_template("activity.html", page="activity", coin=coin.name, charts=charts)


def _coin_facts(coin: CoinReport) -> list[tuple[str, Cell]]:
    unit = f" {coin.name.upper()}"
    return [
        ("All accounts", amount(coin.balance, unit)),
        ("Hot wallet", amount(coin.hot_wallet, unit) if coin.hot_wallet is not None else Cell("not asked yet")),
        ("Withdrawals queued", _queue(coin.queued)),
        ("Deposits incoming", _queue(coin.incoming)),
        ("Broadcasts not settled", number(coin.unsettled)),
        ("Broadcasts in conflict", number(coin.conflicted)),
        ("Backend", text(coin.backend)),
        ("Backend answered", _ago(coin.last_success_at, "not yet")),
        ("Last notification", _ago(coin.last_wallet_notify, "none yet")),
        ("Last broadcast", _ago(coin.last_broadcast_at, "none lately")),
        ("Chain followed", _ago(coin.synced_at, "not yet")),
        ("Best block", hash_(coin.tip) if coin.tip else Cell("not followed yet")),
        ("Daemon in charge", text(coin.leader) if coin.leader else Cell("none")),
    ]


def _charts(session: Session, coin: Coin, sinks: Sequence[str]) -> list[Chart]:
    return [
        history_chart(read_history(session, coin, now=utc_now()), coin.name.upper()),
        count_chart(
            "confirmations",
            "Network transactions by confirmations",
            "Those that are still followed; below zero it is in conflict with the chain, or not broadcast yet.",
            "Confirmations",
            read_confirmations(session, coin),
        ),
        count_chart(
            "latency",
            "Deliveries by the time they took",
            "Deliveries of the newest thousand events, of all coins, from the change to the sink's yes.",
            "Time",
            read_latencies(session, sinks),
        ),
    ]


def _shown(service: Service, panels: Panels, report: Report) -> list[ShownPanel]:
    try:
        with service.app.open_readonly_session(wait=False) as session:
            return panels.show(session)
    except DBAPIError:
        # The report says what is wrong with the database.
        return []


def _ago(value: datetime | None, otherwise: str) -> Cell:
    """Say how long ago something was; the exact time is with it."""
    if value is None:
        return Cell(otherwise)
    seconds = max(0, int((utc_now() - value).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return Cell(f"{seconds // size} {unit} ago", "time", more=time(value).more)
    return Cell(f"{seconds} s ago", "time", more=time(value).more)


def _queue(count: int | None) -> Cell:
    """Write a count that ends at some point."""
    return Cell(f"more than {COUNTED:,}", "number") if count is not None and count > COUNTED else number(count)
