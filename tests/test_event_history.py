"""Looking back at events: what is listed, what comes again, and what is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from kit import Till
from sqlalchemy import func, select, text, update
from test_outbox import deliver, due, event, fail, numbers, write

from cryptoassets_core.clock import utc_now
from cryptoassets_core.errors import ConfigurationError, UnknownRowError
from cryptoassets_core.event import history, outbox
from cryptoassets_core.event.history import Selection, prune, replay
from cryptoassets_core.event.outbox import DeliveryState, delivery_table, event_table
from cryptoassets_core.tools.listing.events import EventRecord, get_event, list_events
from cryptoassets_core.tools.listing.paging import Slice

LATER = utc_now() + timedelta(hours=1)


def listed(till: Till, *, before: int | None = None, limit: int = 50, **selected: object) -> list[EventRecord]:
    selection = Selection(**selected)  # type: ignore[arg-type]
    return till.run(lambda session: list_events(session, Slice(beyond=before, limit=limit), selection).rows)


def said(events: list[EventRecord]) -> list[object]:
    return [event.data["number"] for event in events]


def take_all(till: Till, sink: str = "shop") -> list[object]:
    """Deliver all there is, and return it in its order."""
    taken = []
    while deliveries := due(till, sink):
        for delivery in deliveries:
            taken.extend(numbers([delivery]))
            till.run(lambda session, d=delivery: outbox.mark_delivered(session, sink, [d.row_id], now=utc_now()))
    return taken


def kill(till: Till, number: int) -> None:
    """Let the delivery of an event be given up."""
    till.execute(
        "UPDATE cryptoassets_event_delivery SET state = 'dead', attempts = 20 WHERE event_row_id = :number",
        number=number,
    )


def backdate(till: Till, number: int, when: datetime) -> None:
    with till.engine.begin() as connection:
        connection.execute(update(event_table).where(event_table.c.id == number).values(created_at=when))


def again(till: Till, *sinks: str, **selected: object) -> int:
    return replay(till.app.conflict_resolver, Selection(**selected), sinks=sinks or ("shop",))  # type: ignore[arg-type]


def events_left(till: Till) -> list[int]:
    with till.engine.connect() as connection:
        return list(connection.scalars(select(event_table.c.id).order_by(event_table.c.id)))


# --- List -------------------------------------------------------------------------------------------------------


def test_events_are_listed_the_newest_first_and_page_by_page(till: Till) -> None:
    write(till, *(event("a", number) for number in range(5)))
    first = listed(till, limit=2)
    assert said(first) == [4, 3]
    assert said(listed(till, limit=2, before=first[-1].number)) == [2, 1]


def test_events_are_found_by_what_they_are_about_and_how_they_fare(till: Till) -> None:
    write(till, event("a", 1), event("a", 2), event("b", 3), sinks=("shop", "log"))
    deliver(till, due(till)[0])
    kill(till, 3)
    assert said(listed(till, subject="a")) == [2, 1]
    assert said(listed(till, name="another")) == []
    assert said(listed(till, sink="shop", state=DeliveryState.DELIVERED)) == [1]
    assert said(listed(till, state=DeliveryState.DEAD)) == [3]
    assert said(listed(till, sink="log", state=DeliveryState.PENDING)) == [2, 1]
    assert said(listed(till, since=LATER)) == []
    assert said(listed(till, until=LATER)) == [3, 2, 1]


def test_one_event_is_shown_with_its_deliveries(till: Till) -> None:
    write(till, event("a", 1), sinks=("shop", "log"))
    (delivery,) = due(till)
    fail(till, delivery)
    shown = till.run(lambda session: get_event(session, delivery.event.id))
    assert [(each.sink, each.attempts, each.last_error) for each in shown.deliveries] == [
        ("log", 0, None),
        ("shop", 1, "no"),
    ]
    with pytest.raises(UnknownRowError, match="there is no event 'x'"):
        till.run(lambda session: get_event(session, "x"))


# --- Replay -----------------------------------------------------------------------------------------------------


def test_replayed_events_come_again_under_their_ids_and_in_their_order(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHUNK", 2)
    write(till, *(event("ab"[number % 2], number) for number in range(7)))
    ids = [each.id for each in listed(till)]
    take_all(till)
    assert again(till, since=utc_now() - timedelta(hours=1)) == 7
    taken = take_all(till)
    assert [number for number in taken if number in (0, 2, 4, 6)] == [0, 2, 4, 6]
    assert [number for number in taken if number in (1, 3, 5)] == [1, 3, 5]
    assert [each.id for each in listed(till)] == ids


def test_replay_by_id_at_one_sink_leaves_the_others_alone(till: Till) -> None:
    write(till, event("a", 1), event("b", 2), sinks=("shop", "log"))
    for sink in ("shop", "log"):
        take_all(till, sink)
    wanted = listed(till)[0].id
    assert again(till, "shop", "log", ids=[wanted], sink="log") == 1
    assert take_all(till, "shop") == []
    assert take_all(till, "log") == [2]


def test_what_was_given_up_is_tried_anew(till: Till) -> None:
    write(till, event("a", 1), event("b", 2))
    kill(till, 1)
    take_all(till)
    assert again(till, state=DeliveryState.DEAD) == 1
    (delivery,) = due(till)
    # It is not given up again at the first failure.
    assert delivery.attempts == 0
    assert fail(till, delivery, now=utc_now() + timedelta(days=9)) is DeliveryState.PENDING


def test_new_sink_gets_what_happened_before_it_was_there(till: Till) -> None:
    write(till, event("a", 1), event("a", 2))
    take_all(till)
    assert again(till, "shop", "new", sink="new") == 2
    assert take_all(till, "new") == [1, 2]
    assert take_all(till, "shop") == []


def test_replay_at_a_sink_that_is_not_configured_is_refused(till: Till) -> None:
    with pytest.raises(ConfigurationError, match=r"^events\.shpo: there is no such event sink; configured: shop$"):
        again(till, sink="shpo")


def test_event_that_is_not_queued_yet_is_queued_once(till: Till) -> None:
    till.run(lambda session: outbox.record(session, [event("a", 1)]))
    assert again(till, since=utc_now() - timedelta(hours=1)) == 0
    write(till)
    assert take_all(till) == [1]


# --- Prune ------------------------------------------------------------------------------------------------------


def test_only_old_events_that_every_sink_has_are_pruned(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "CHUNK", 2)
    write(till, *(event(str(number), number) for number in range(1, 8)), sinks=("shop", "log"))
    for sink in ("shop", "log"):
        take_all(till, sink)
    till.execute("UPDATE cryptoassets_event_delivery SET state = 'pending' WHERE event_row_id = 2 AND sink = 'log'")
    kill(till, 3)
    till.run(lambda session: outbox.record(session, [event("x", 8)]))
    now = utc_now()
    for number in (1, 2, 3, 4, 5, 6, 8):
        backdate(till, number, now - timedelta(days=90))
    resolver = till.app.conflict_resolver
    assert prune(resolver, now - timedelta(days=91)) == 0
    assert prune(resolver, now - timedelta(days=89)) == 4
    assert events_left(till) == [2, 3, 7, 8]
    assert prune(resolver, now - timedelta(days=89), dead_too=True) == 1
    assert events_left(till) == [2, 7, 8]
    with till.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(delivery_table)) == 4


@pytest.mark.parametrize(
    "query",
    [
        # What a foreign key looks for at each event that is pruned.
        "SELECT 1 FROM cryptoassets_event_delivery WHERE event_row_id = 1",
        "SELECT 1 FROM cryptoassets_event WHERE subject = 'a' ORDER BY id DESC LIMIT 50",
        "SELECT 1 FROM cryptoassets_event WHERE name = 'a' ORDER BY id DESC LIMIT 50",
        "SELECT event_row_id FROM cryptoassets_event_delivery WHERE state = 'dead'",
    ],
)
def test_no_query_goes_through_all_events(query: str, till: Till) -> None:
    explain = "EXPLAIN QUERY PLAN " if till.engine.dialect.name == "sqlite" else "EXPLAIN "
    with till.engine.connect() as connection:
        if till.engine.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))
        plan = " ".join(str(row) for row in connection.execute(text(explain + query)))
    assert "Seq Scan" not in plan
    assert "SCAN cryptoassets" not in plan or "USING" in plan
