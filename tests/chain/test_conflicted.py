"""A broadcast in conflict with the chain says so wherever somebody looks, why, and what comes of it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chain_world import FEE, World, outside, stolen
from commands import ask, write
from flask.testing import FlaskClient
from one_shot import OneShotSimnet
from reconciling import assert_explained, look
from status_stage import opened_service, words

from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.tools.broadcastagain import overdue, submit_again
from cryptoassets_core.tools.reconciliation import Cause

#: What a command or a page tells.
Tell = Callable[..., Any]

COIN = "btc"


@pytest.fixture
def tell(world: World, tmp_path: Path) -> Tell:
    """Run a command of cryptoassets on the world's books and return its JSON lines, or its text."""
    backend = {"name": "simnet", "path": str(world.directory / "chain")}
    coins = {COIN: {"network": "regtest", "backend": backend}}
    config = write(tmp_path, {"database": {"url": world.url}, "coins": coins})

    def run(command: str, *arguments: object, as_json: bool = True) -> Any:
        done = ask(f"cryptoassets {command}", config, *arguments, *(["--json"] if as_json else []))
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()] if as_json else " ".join(done.stdout.split())

    return run


@pytest.fixture
def client(world: World) -> Iterator[FlaskClient]:
    with opened_service(world.url, world.directory) as service:
        yield make_wsgi_app(service).test_client()


def set_aside(world: World) -> Any:
    """Leave a broadcast of 2 whose coins were stolen in the newest block, and return it."""
    stolen(world)
    world.net.mine()
    world.broadcast()
    (broadcast,) = world.network_rows("broadcast")
    return broadcast


def test_operator_is_told_by_the_broadcasts(world: World, tell: Tell) -> None:
    dead = set_aside(world)
    (listed,) = tell("broadcasts list", "--recent", 0)
    (shown,) = tell("broadcasts show", COIN, dead.id)
    assert (listed["conflicted"], listed["state"], listed["interrupted"]) == (True, "dead", False)
    assert shown == listed | {"carries": shown["carries"]}
    assert [(each["state"], each["amount"]) for each in shown["carries"]] == [("broadcasted", "2.00000000")]
    assert "that is 1 block deep, and it is built anew at 15" in listed["reason"]
    assert listed["next_attempt_at"] == (world.now + timedelta(minutes=10)).isoformat(timespec="seconds")
    assert "not paid" in listed["next_step"]
    assert "15 blocks deep its withdrawals are queued again" in listed["next_step"]
    table = tell("broadcasts list", as_json=False)
    assert f"btc broadcast {dead.id} is CONFLICTED, coins reserved: its withdrawals are not paid" in table
    assert "conflicted True" in tell("broadcasts show", COIN, dead.id, as_json=False).replace("│ ", "")


@pytest.mark.parametrize("command", ["transactions", "withdrawals list"])
def test_operator_is_told_by_the_lists_and_among_what_is_open(world: World, tell: Tell, command: str) -> None:
    dead = set_aside(world)
    (withdrawal,) = [row.id for row in world.rows("withdrawal")]
    for options in (["--open"], []):
        (row,) = [each for each in tell(command, *options) if each["id"] == withdrawal]
        assert (row["state"], row["conflicted"], row["reason"]) == ("broadcasted", True, dead.reason)
        assert row["next_attempt_at"] == dead.next_attempt_at.isoformat(timespec="seconds")
        assert "broadcasted, CONFLICTED" in tell(command, *options, as_json=False)
    assert not any(row["conflicted"] for row in tell("transactions") if row["id"] != withdrawal)
    account = tell("transactions", "--coin", COIN, "--account", world.account())
    assert [entry["transaction"]["conflicted"] for entry in account] == [True, False]


def test_operator_is_told_by_the_status(world: World, client: FlaskClient, tell: Tell) -> None:
    assert client.get("/api/status").json["coins"][0]["conflicted"] == 0
    dead = set_aside(world)
    (withdrawal,) = [row.id for row in world.rows("withdrawal")]
    report = client.get("/api/status").json
    assert (report["healthy"], report["coins"][0]["conflicted"], report["coins"][0]["unsettled"]) == (False, 1, 0)
    problem = (
        "btc: broadcasts in conflict with the chain, whose withdrawals are not paid: 1; see cryptoassets broadcasts"
    )
    assert problem in report["problems"]
    assert client.get("/readyz").status_code == 503
    assert 'cryptoassets_broadcasts_conflicted{coin="btc"} 1.0' in client.get("/metrics").text
    assert problem in words(html.unescape(client.get("/").text))
    page = words(html.unescape(client.get("/broadcasts").text))
    waiting = page[page.index("Not settled, or in conflict with the chain") :]
    assert "conflicted" in waiting
    assert dead.reason in waiting
    assert f"{dead.next_attempt_at:%Y-%m-%d %H:%M:%S}" in waiting
    carrier = words(html.unescape(client.get(f"/network_transactions/btc/{dead.id}").text))
    assert "conflicted" in carrier
    assert "its withdrawals are queued again" in carrier
    for path in ("/transactions", "/transactions?state=open", f"/accounts/btc/{world.account()}"):
        assert "conflicted" in words(client.get(path).text), path
    story = words(html.unescape(client.get(f"/transactions/btc/{withdrawal}").text))
    assert "in conflict with the chain" in story
    assert dead.reason in story
    (coin,) = tell("status")[0]["coins"]
    assert coin["conflicted"] == 1


def test_application_is_told_by_the_withdrawal_itself_until_it_is_paid_anew(world: World) -> None:
    dead = set_aside(world)

    def facts() -> tuple[Any, ...]:
        with world.app.open_readonly_session() as session:
            found = session.get_one(world.coin.transaction_model, world.rows("withdrawal")[0].id)
            return str(found.state), found.conflicted, found.confirmations, found.reason, found.next_attempt_at

    assert facts() == ("broadcasted", True, -1, dead.reason, dead.next_attempt_at)
    (told,) = world.events("broadcast_dead")
    assert (told["network_transaction"], told["reason"]) == (dead.id, dead.reason)
    world.net.mine(14)
    world.now += timedelta(minutes=11)
    submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
    assert facts() == ("pending", False, None, None, None)
    world.broadcast()
    assert facts()[:3] == ("broadcasted", False, 0)
    assert world.paid(outside(1)) == [2]


def test_what_is_dead_for_good_is_no_conflict_and_never_published_again(world: World, tell: Tell) -> None:
    """Its fee and the refund of it stay with it, and are nothing that could be paid."""
    dead = set_aside(world)
    world.net.mine(14)
    world.now += timedelta(minutes=11)
    submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
    assert [row.network_transaction_id for row in world.rows("network_fee", "refund")] == [dead.id] * 2
    assert [each["conflicted"] for each in tell("broadcasts list")] == [False]
    assert tell("broadcasts list", "--recent", 0) == []
    later = world.now + timedelta(days=1)
    assert world.run(lambda session: [row.id for row in overdue(session, world.tables, now=later)]) == []


def test_reconcile_names_it_and_its_thief_to_the_satoshi(world: World, tell: Tell) -> None:
    dead = set_aside(world)
    thief = next(each for each in world.backend.list_since(None, depth=1).transactions if each.sent)
    found = look(world)
    (top_up,) = [each.txid for each in found.differences if each.cause is Cause.TOP_UP]
    past_the_books = (
        (Cause.UNKNOWN_PAYMENT, thief.txid, str(-Decimal("4.9") - FEE)),
        (Cause.TOP_UP, top_up, "3"),
    )
    assert_explained(found, (Cause.CONFLICTED_BROADCAST, dead.txid, str(2 + FEE)), *past_the_books)
    assert f"2.00000000 is not paid and stays reserved, with a fee of {FEE:f}0000: {dead.reason}" in {
        each.message for each in found.differences
    }
    assert "conflicted broadcast" in tell("reconcile", as_json=False)
    # Once it is dead for good and paid anew, only what came and went past the books is left.
    world.net.mine(14)
    world.now += timedelta(minutes=11)
    submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
    world.broadcast()
    assert_explained(look(world), *past_the_books)


def test_what_was_sent_in_one_go_waits_for_a_person(world: World, tell: Tell) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast(backend=OneShotSimnet(world))
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.updater.follow()
    (listed,) = tell("broadcasts list")
    assert (listed["conflicted"], listed["reason"]) == (True, "it is in conflict with the chain")
    assert (
        "once the conflict is 15 blocks deep a person decides: cryptoassets broadcasts resolve" in listed["next_step"]
    )
    world.check()


def test_what_comes_next_is_said_of_every_state(world: World, tell: Tell) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.net.set_down(True)
    world.broadcast()
    said = [tell("broadcasts list")[0]["next_step"]]
    world.net.set_down(False)
    world.net.fault("submit", "refuse")
    world.broadcast()
    said.append(tell("broadcasts list")[0]["next_step"])
    world.broadcast()
    said.append(tell("broadcasts list")[0]["next_step"])
    world.step(15)
    said.append(tell("broadcasts list")[0]["next_step"])
    assert said == [
        "it is signed, stored and published",
        "the same bytes are published until the network knows them",
        "its confirmations are followed",
        None,
    ]
