"""The application hears of an outage of a backend that lasts, once, and of its end."""

from __future__ import annotations

import json

from kit import Till
from sqlalchemy import select

from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.service.outage import OUTAGE_SECONDS, OutageReporter


class Watch:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def told(till: Till) -> list[str]:
    with till.engine.connect() as connection:
        return list(connection.scalars(select(event_table.c.name).order_by(event_table.c.id)))


def reporter(till: Till, watch: Watch) -> OutageReporter:
    return OutageReporter(till.app.conflict_resolver, "btc", steady_clock=watch)


def test_outage_is_told_once_when_it_lasts_and_so_is_its_end(till: Till) -> None:
    watch = Watch()
    reports = reporter(till, watch)
    assert not reports.is_up()
    for _ in range(5):
        watch.seconds += OUTAGE_SECONDS / 5
        assert not reports.is_down("connection refused")
    watch.seconds += OUTAGE_SECONDS / 5
    assert reports.is_down("connection refused")
    watch.seconds += 3600
    assert not reports.is_down("connection refused")
    assert reports.is_up()
    assert not reports.is_up()
    assert told(till) == ["backend_down", "backend_up"]
    with till.engine.connect() as connection:
        data = json.loads(connection.scalars(select(event_table.c.data)).first() or "")
    assert (data["coin_name"], data["reason"]) == ("btc", "connection refused")


def test_short_trouble_is_no_news(till: Till) -> None:
    watch = Watch()
    reports = reporter(till, watch)
    for _ in range(10):
        reports.is_down("busy")
        watch.seconds += OUTAGE_SECONDS * 0.9
        reports.is_up()
    assert told(till) == []


def test_next_daemon_knows_what_was_told(till: Till) -> None:
    watch = Watch()
    first, second = reporter(till, watch), reporter(till, watch)
    first.is_down("gone")
    second.is_down("gone")
    watch.seconds += OUTAGE_SECONDS
    first.is_down("gone")
    second.is_down("gone")
    assert told(till) == ["backend_down"]
    assert reporter(till, watch).is_up()
    assert told(till) == ["backend_down", "backend_up"]
