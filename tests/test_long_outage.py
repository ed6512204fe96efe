"""An endpoint that fails in every way for hours, and a dispatcher that is killed ten times meanwhile (F27)."""

from __future__ import annotations

import math
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from kit import Till, open_till, processes

from cryptoassets_core.clock import utc_now
from cryptoassets_core.event import outbox
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions
from cryptoassets_core.event.dispatcher import EventDispatcher
from cryptoassets_core.event.events import NewEvent
from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.event.outbox import DeliveryState
from cryptoassets_core.tools.listing.events import list_events
from cryptoassets_core.tools.listing.paging import Slice

#: A hundred thousand are for the benchmark; CRYPTOASSETS_STRESS_EVENTS makes it more here, too.
EVENTS = int(os.environ.get("CRYPTOASSETS_STRESS_EVENTS", "60"))
SUBJECTS = max(6, EVENTS // 10)
KILLS = 10
HOURS = 5


class Endpoint:
    """Answers at random: well, with 500, with a redirect, with nothing, or by dropping the connection.

    :ivar taken: event ids in the order in which they were answered well, and all that were ever asked about.
    """

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.asked: list[str] = []
        self.mood: list[str] = ["500", "redirect", "drop", "half", "hang"]
        self._random = random.Random(7)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (length := _content_length(stream)) is not None:
                    event_id = parse_qs(stream.read(length).decode())["event_id"][0]
                    self.asked.append(event_id)
                    mood = self._random.choice(self.mood)
                    if mood == "200":
                        self.taken.append(event_id)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    elif mood == "500":
                        connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                    elif mood == "redirect":
                        connection.sendall(b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
                    elif mood == "half":
                        # It was handled, and nobody hears of it.
                        self.taken.append(event_id)
                        connection.sendall(b"HTT")
                        return
                    elif mood == "drop":
                        return
                    else:
                        stream.read(1)  # until the other side gives up
                        return
            except OSError:
                pass


def _content_length(stream: object) -> int | None:
    length = None
    while line := stream.readline().strip():  # type: ignore[attr-defined]
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return length


class NoteBook(EventSink):
    """Another sink, which is well: a file with a line an event."""

    def __init__(self, path: Path) -> None:
        super().__init__("notebook", EventSinkOptions())
        self._path = path

    def deliver(self, event: Event) -> None:
        with self._path.open("a") as stream:
            stream.write(f"{event.id}\n")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class Doomed(HTTPEventHandler):
    """The real sink, in a process that is killed before or after one of its posts."""

    posts_to_live: float = math.inf

    def deliver(self, event: Event) -> None:
        self.posts_to_live -= 1
        if self.posts_to_live < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            super().deliver(event)
        finally:
            if self.posts_to_live <= 0.5:
                os.kill(os.getpid(), signal.SIGKILL)


class Ahead:
    """A clock that runs through hours in no time."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes

    def __call__(self) -> datetime:
        return utc_now() + timedelta(minutes=self.minutes)


def deliver(till: Till, endpoint_url: str, notes: Path, clock: Ahead) -> bool:
    """Deliver what is due at both sinks; returns whether anything was taken."""
    with closing(HTTPEventHandler("shop", HTTPEventOptions(url=endpoint_url, timeout_seconds=5))) as shop:
        sinks = [NoteBook(notes), shop]
        dispatcher = EventDispatcher(till.app.conflict_resolver, sinks, clock=clock)
        taken = [dispatcher.deliver_due(sink) for sink in sinks]
    return any(taken)


def _deliver_and_be_killed(url: str, endpoint_url: str, notes: Path, hour: float, posts_to_live: float) -> None:
    with open_till(url) as till:
        shop = Doomed("shop", HTTPEventOptions(url=endpoint_url, timeout_seconds=0.1))
        shop.posts_to_live = posts_to_live
        clock = Ahead(hour * 60)
        dispatcher = EventDispatcher(till.app.conflict_resolver, [NoteBook(notes), shop], clock=clock)
        while clock.minutes < (hour + HOURS / KILLS) * 60:
            dispatcher.deliver_due(NoteBook(notes))
            dispatcher.deliver_due(shop)
            clock.minutes += 2
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.postgres
def test_everything_arrives_in_order_after_hours_of_trouble_and_ten_kills(
    postgres_till: Till, endpoint: Endpoint, tmp_path: Path
) -> None:
    till = postgres_till
    books_url = till.engine.url.render_as_string(hide_password=False)
    notes = tmp_path / "notes"
    chance = random.Random(11)
    per_round = EVENTS // KILLS
    for round_ in range(KILLS):
        written = [
            NewEvent("txupdate", f"btc:{number % SUBJECTS}", {"number": number})
            for number in range(round_ * per_round, (round_ + 1) * per_round)
        ]
        till.run(lambda session, written=written: outbox.record(session, written))
        if round_ == KILLS // 2:
            endpoint.mood = ["200", "half", "500", "drop"]
        # A half more lets it die after its last post and before that is recorded.
        posts_to_live = chance.randrange(3, 12) + chance.choice([0, 0.5])
        victim = processes.Process(
            target=_deliver_and_be_killed,
            args=(books_url, endpoint.url, notes, round_ * HOURS / KILLS, posts_to_live),
        )
        victim.start()
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
    # The other sink was never delayed.
    assert len(set(notes.read_text().split())) == EVENTS
    endpoint.mood = ["200"]
    while deliver(till, endpoint.url, notes, Ahead((HOURS + 2) * 60)):
        pass
    with till.app.open_session() as session:
        events = list_events(session, Slice(limit=EVENTS + 1)).rows
    assert {delivery.state for event in events for delivery in event.deliveries} == {DeliveryState.DELIVERED}
    ids = {event.id: event for event in events}
    assert set(endpoint.taken) == set(endpoint.asked) == set(ids)
    assert set(notes.read_text().split()) == set(ids)
    for came in (endpoint.taken, notes.read_text().split()):
        first_times = [ids[event_id] for event_id in dict.fromkeys(came)]
        for subject in {event.subject for event in events}:
            numbers = [event.data["number"] for event in first_times if event.subject == subject]
            assert numbers == sorted(numbers)
