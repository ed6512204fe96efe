"""``cryptoassets events``: see what was told to whom, and tell it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from commands import simnet_config, write
from kit import Till, create_tables, open_till

from cryptoassets_core.cli.main import cryptoassets
from cryptoassets_core.clock import utc_now
from cryptoassets_core.event import outbox
from cryptoassets_core.event.events import NewEvent


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write(tmp_path, simnet_config(tmp_path, events={"shop": {"name": "http", "url": "http://127.0.0.1:9/"}}))


@pytest.fixture
def books(config: Path, tmp_path: Path) -> Iterator[Till]:
    url = f"sqlite:///{tmp_path}/books.sqlite"
    create_tables(url)
    with open_till(url) as till:
        till.run(
            lambda session: outbox.record(
                session, [NewEvent("txupdate", f"btc:{number}", {"label": "[red]\u202e"}) for number in range(3)]
            )
        )
        till.run(lambda session: outbox.fan_out(session, ["shop"]))
        till.execute("UPDATE cryptoassets_event_delivery SET state = 'dead', last_error = 'closed'")
        yield till


def events(*words: object) -> Result:
    return CliRunner().invoke(cryptoassets, ["events", *map(str, words)])


def listed(config: Path, *words: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in events("list", config, "--json", *words).stdout.splitlines()]


def test_list_and_show(config: Path, books: Till) -> None:
    found = listed(config)
    assert [event["subject"] for event in found] == ["btc:2", "btc:1", "btc:0"]
    assert found[0]["deliveries"][0]["state"] == "dead"
    table = events("list", config, "--limit", 2)
    assert "shop: dead" in table.stdout
    assert f"--before {found[1]['number']}" in table.stdout
    assert listed(config, "--before", found[1]["number"])[0]["subject"] == "btc:0"
    assert listed(config, "--since", "1h") == found
    assert listed(config, "--until", "1h") == []
    shown = events("show", config, found[0]["id"])
    assert "closed" in shown.stdout
    assert "[red]" in shown.stdout
    assert json.loads(events("show", config, found[0]["id"], "--json").stdout) == found[0]


def test_event_that_is_not_there_is_one_sentence(config: Path, books: Till) -> None:
    result = events("show", config, "nothing")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no event 'nothing'; perhaps it was pruned\n")


def test_replay_by_id_and_by_state(config: Path, books: Till) -> None:
    wanted = listed(config)[1]["id"]
    assert events("replay", config, wanted).stdout.startswith("1 events are queued again")
    assert [event["id"] for event in listed(config, "--state", "pending")] == [wanted]
    assert events("replay", config, "--state", "dead", "--yes").stdout.startswith("2 events")
    assert len(listed(config, "--state", "pending", "--sink", "shop")) == 3


def test_replay_of_everything_by_accident_is_refused(config: Path, books: Till) -> None:
    result = events("replay", config)
    assert result.exit_code == 2
    assert "Say which events" in result.stderr
    assert (
        CliRunner().invoke(cryptoassets, ["events", "replay", str(config), "--since", "1h"], input="n\n").exit_code == 0
    )
    assert len(listed(config, "--state", "dead")) == 3
    assert "there is no such event sink; configured: shop" in events("replay", config, "--sink", "x", "--yes").stderr


def test_prune(config: Path, books: Till) -> None:
    long_ago = (utc_now() - timedelta(days=9)).replace(tzinfo=None).isoformat(sep=" ")
    books.execute("UPDATE cryptoassets_event SET created_at = :at WHERE id < 3", at=long_ago)
    assert events("prune", config, "--days", 8, "--yes").stdout == "0 events are deleted.\n"
    assert events("prune", config, "--days", 8, "--dead", "--yes").stdout == "2 events are deleted.\n"
    assert len(listed(config)) == 1
