"""``cryptoassets broadcasts``: a person sees what waits, and says what the machine cannot know."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from chain_world import FEE, Crash, World, outside
from click.testing import CliRunner, Result
from one_shot import OneShotSimnet

from cryptoassets_core.cli.main import cryptoassets
from cryptoassets_core.errors import LedgerError, OutcomeUnknownError
from cryptoassets_core.tools.broadcastresolve import BroadcastResolver


class Operator:
    """Runs the commands on a world's books."""

    def __init__(self, world: World) -> None:
        self.config = str(world.directory / "config.yaml")
        backend = {"name": "simnet", "path": str(world.directory / "chain")}
        config = {"database": {"url": world.url}, "coins": {"btc": {"network": "regtest", "backend": backend}}}
        Path(self.config).write_text(yaml.safe_dump(config), encoding="utf-8")

    def run(self, task: str, *arguments: object, answer: str | None = None) -> Result:
        words = ["broadcasts", task, self.config, *(str(each) for each in arguments)]
        return CliRunner().invoke(cryptoassets, words, input=answer)

    def read(self, task: str, *arguments: object) -> list[dict[str, Any]]:
        result = self.run(task, *arguments, "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world)


def interrupted(world: World, *, sent: bool) -> int:
    """Leave a broadcast of two withdrawals interrupted, and return its id."""
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.withdraw(outside(2), "0.5")

    def lose(*_: object) -> None:
        raise OutcomeUnknownError("the answer was lost")

    backend = OneShotSimnet(world, after=lose) if sent else OneShotSimnet(world, before=lose)
    assert world.broadcast(backend=backend).count == 0
    return int(world.network_rows("broadcast")[0].id)


def txid_of_payment(world: World, number: int) -> str:
    with world.net.file.read() as db:
        return str(db.execute("SELECT txid FROM coin WHERE address = ?", (outside(number),)).fetchone()[0])


def test_list_shows_what_is_interrupted(world: World, operator: Operator) -> None:
    broadcast = interrupted(world, sent=True)
    (shown,) = operator.read("list")
    assert (shown["id"], shown["state"], shown["interrupted"], shown["label"]) == (
        broadcast,
        "opened",
        True,
        f"btc-broadcast-{broadcast}",
    )
    assert (shown["withdrawals"], shown["amount"], shown["fee"], shown["txid"]) == (2, "1.50000000", None, None)
    assert "the answer was lost" in shown["reason"]
    table = operator.run("list")
    assert (table.exit_code, "INTER" in table.stdout) == (0, True)
    (facts,) = operator.read("show", "btc", broadcast)
    assert [(each["address"], each["amount"], each["state"]) for each in facts["carries"]] == [
        (outside(1), "1.00000000", "pending"),
        (outside(2), "0.50000000", "pending"),
    ]
    assert operator.run("show", "btc", broadcast).exit_code == 0


def test_list_shows_why_a_broadcast_waits_and_until_when(world: World, operator: Operator) -> None:
    assert operator.read("list") == []
    assert operator.run("list").stdout == "There are no broadcasts.\n"
    world.funded("5")
    for number in range(3):
        world.withdraw(outside(number), "1")
        assert world.broadcast().count == 1
    world.withdraw(outside(9), "1")
    world.net.set_down(True)
    world.broadcast()
    waiting, newest = operator.read("list", "--recent", "2")
    assert (waiting["state"], waiting["attempts"], waiting["interrupted"]) == ("collected", 1, False)
    assert waiting["next_attempt_at"] >= world.now.isoformat(timespec="seconds")
    assert (newest["state"], newest["fee"], newest["amount"]) == ("live", f"{FEE:f}0000", "1.00000000")
    assert len(newest["txid"]) == 64


def test_what_was_sent_is_settled_with_its_txid_and_its_fee(world: World, operator: Operator) -> None:
    broadcast = interrupted(world, sent=True)
    txid = txid_of_payment(world, 1)
    (facts,) = operator.read("resolve", "btc", broadcast, "--txid", txid, "--yes")
    assert (facts["state"], facts["txid"], facts["interrupted"]) == ("live", txid, False)
    assert "was sent, says " in facts["reason"]
    assert [row.state for row in world.rows("withdrawal")] == ["broadcasted", "broadcasted"]
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    world.broadcast()
    assert (world.paid(outside(1)), len(world.paid(outside(2)))) == ([1], 1)
    world.step(3)
    assert world.network_rows("broadcast")[0].confirmations == 3
    assert world.total() == world.net.balance()
    world.check()


def test_what_was_never_sent_is_queued_again_and_paid_once(world: World, operator: Operator) -> None:
    broadcast = interrupted(world, sent=False)
    (facts,) = operator.read("resolve", "btc", broadcast, "--never-sent", "--yes")
    assert (facts["state"], facts["withdrawals"], "was never sent, says " in facts["reason"]) == ("dead", 0, True)
    assert world.broadcast(backend=OneShotSimnet(world)).count == 1
    assert (world.paid(outside(1)), len(world.paid(outside(2)))) == ([1], 1)
    world.check()


def test_nothing_is_resolved_without_consent(world: World, operator: Operator) -> None:
    broadcast = interrupted(world, sent=False)
    refused = operator.run("resolve", "btc", broadcast, "--never-sent", answer="n\n")
    assert (refused.exit_code, "Nothing was changed." in refused.stderr) == (0, True)
    assert operator.read("list")[0]["interrupted"]
    agreed = operator.run("resolve", "btc", broadcast, "--never-sent", answer="y\n")
    assert (agreed.exit_code, "was never sent" in agreed.stdout) == (0, True)


@pytest.mark.parametrize("answer", [[], ["--never-sent", "--txid", "ab" * 32]])
def test_it_must_be_said_which(world: World, operator: Operator, answer: list[str]) -> None:
    broadcast = interrupted(world, sent=False)
    assert operator.run("resolve", "btc", broadcast, *answer, "--yes").exit_code == 2
    assert operator.read("list")[0]["interrupted"]


@pytest.mark.parametrize(
    ("txid", "words"), [("ab" * 32, "knows no transaction"), ("AB" * 32, "64 lowercase"), ("", "64 lowercase")]
)
def test_wrong_txid_settles_nothing(world: World, operator: Operator, txid: str, words: str) -> None:
    broadcast = interrupted(world, sent=True)
    result = operator.run("resolve", "btc", broadcast, "--txid", txid, "--yes")
    assert (result.exit_code, words in result.stderr) == (1, True)
    assert operator.read("list")[0]["interrupted"]


def test_txid_of_another_broadcast_settles_nothing(world: World, operator: Operator) -> None:
    world.funded("5")
    world.withdraw(outside(7), "1")
    world.broadcast()
    interrupted(world, sent=True)
    earlier, waiting = world.network_rows("broadcast")
    result = operator.run("resolve", "btc", waiting.id, "--txid", earlier.txid, "--yes")
    assert (result.exit_code, f"is the txid of btc broadcast {earlier.id}" in result.stderr) == (1, True)


@pytest.mark.parametrize("state", ["collected", "prepared", "live", "dead"])
def test_what_is_not_interrupted_is_not_resolved(world: World, operator: Operator, state: str) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    if state == "collected":
        world.net.set_down(True)
    elif state == "prepared":
        world.net.fault("submit", "refuse")
    world.broadcast()
    if state == "dead":
        world.net.double_spend(world.network_rows("deposit")[0].txid)  # what it spends
        world.updater.follow()
    (broadcast,) = world.network_rows("broadcast")
    assert broadcast.state == state
    result = operator.run("resolve", "btc", broadcast.id, "--never-sent", "--yes")
    assert (result.exit_code, f"is not interrupted but {state}" in " ".join(result.stderr.split())) == (1, True)
    assert world.network_rows("broadcast") == [broadcast]


def test_what_may_be_under_way_is_not_resolved(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")

    def die() -> None:
        raise Crash

    with pytest.raises(Crash):
        world.broadcast(backend=OneShotSimnet(world, before=die))
    (opened,) = world.network_rows("broadcast")
    resolver = BroadcastResolver(world.coin, world.app.conflict_resolver, who="somebody", clock=lambda: world.now)
    with pytest.raises(LedgerError, match="may be just under way"):
        resolver.was_never_sent(opened.id)
    world.now += timedelta(minutes=11)
    resolver.was_never_sent(opened.id)
    assert world.network_rows("broadcast")[0].reason == "was never sent, says somebody at 2030-01-01 01:11:00 UTC"


def test_unknown_broadcast_is_refused(world: World, operator: Operator) -> None:
    for task in (["show", "btc", 77], ["resolve", "btc", 77, "--never-sent", "--yes"]):
        result = operator.run(*task)
        assert (result.exit_code, "btc has no broadcast 77" in result.stderr) == (1, True)


def dead(world: World, *, depth: int) -> int:
    """Leave a broadcast of 1 whose input was double-spent so many blocks ago, and return its id."""
    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast()
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.net.fund(Decimal(20))
    world.updater.follow()
    (broadcast,) = world.network_rows("broadcast")
    if depth + broadcast.confirmations:
        world.step(depth + broadcast.confirmations)
    return int(broadcast.id)


@pytest.mark.parametrize("what", ["--rebuild", "--refund"])
def test_what_can_still_confirm_is_neither_paid_anew_nor_refunded(world: World, operator: Operator, what: str) -> None:
    broadcast = dead(world, depth=14)
    (before,) = world.network_rows("broadcast")
    result = operator.run("resolve", "btc", broadcast, what, "--yes")
    said = " ".join(result.stderr.split())
    assert (result.exit_code, "can still confirm: what keeps it out is 14 blocks deep" in said) == (1, True)
    assert world.network_rows("broadcast") == [before]


def test_what_died_for_good_is_paid_anew_by_hand(world: World, operator: Operator) -> None:
    broadcast = dead(world, depth=15)
    world.funded("3")
    (facts,) = operator.read("resolve", "btc", broadcast, "--rebuild", "--yes")
    assert (facts["state"], facts["withdrawals"], "is dead, says " in facts["reason"]) == ("dead", 0, True)
    world.broadcast()
    world.broadcast()
    assert (world.paid(outside(1)), world.balance()) == ([1], 2)
    world.check()


def test_what_died_for_good_is_refunded_by_hand(world: World, operator: Operator) -> None:
    broadcast = dead(world, depth=15)
    assert world.balance() == -1  # the deposit is gone, and 1 is reserved
    assert operator.run("resolve", "btc", broadcast, "--refund", "--yes").exit_code == 0
    assert [row.state for row in world.rows("withdrawal")] == ["failed"]
    assert (world.balance(), world.balance(world.fee_account())) == (0, 0)
    (told,) = world.events("withdrawal_failed")
    assert (told["address"], told["amount"]) == (outside(1), "1.00000000")
    world.broadcast()
    assert world.paid(outside(1)) == []
    again = operator.run("resolve", "btc", broadcast, "--refund", "--yes")
    assert (again.exit_code, len(world.rows("refund"))) == (1, 2)
    world.check()


@pytest.mark.parametrize("what", ["--rebuild", "--refund"])
@pytest.mark.parametrize("state", ["collected", "prepared", "opened", "live"])
def test_what_is_not_dead_is_neither_paid_anew_nor_refunded(sqlite_world: World, what: str, state: str) -> None:
    world = sqlite_world
    operator = Operator(world)
    if state == "opened":
        interrupted(world, sent=True)
    else:
        world.funded("5")
        world.withdraw(outside(1), "1")
        if state == "collected":
            world.net.set_down(True)
        if state == "prepared":
            world.net.fault("submit", "refuse")
        world.broadcast()
        world.net.set_down(False)
    (broadcast,) = world.network_rows("broadcast")
    assert broadcast.state == state
    assert operator.run("resolve", "btc", broadcast.id, what, "--yes").exit_code == 1
    assert world.network_rows("broadcast") == [broadcast]
    world.broadcast()
    assert len(world.paid(outside(1))) == 1


def test_payment_that_the_chain_has_under_another_txid_is_settled_by_hand(world: World, operator: Operator) -> None:
    broadcast = dead(world, depth=3)
    twin = world.backend.prepare({outside(1): Decimal(1)})
    world.backend.submit(twin)
    world.net.mine()
    (facts,) = operator.read("resolve", "btc", broadcast, "--txid", twin.txid, "--yes")
    assert (facts["state"], facts["txid"], facts["withdrawals"]) == ("live", twin.txid, 1)
    world.step(3)
    assert world.network_rows("broadcast")[0].confirmations == 4
    assert [row.amount for row in world.rows("network_fee")] == [FEE]
    world.check()


def test_txid_that_pays_another_amount_or_is_in_no_block_settles_nothing(world: World, operator: Operator) -> None:
    broadcast = dead(world, depth=3)
    for amount, mined, words in (("2", True, "pays 2.00000000, and"), ("1", False, "is in no block")):
        prepared = world.backend.prepare({outside(1): Decimal(amount)})
        world.backend.submit(prepared)
        if mined:
            world.net.mine()
        result = operator.run("resolve", "btc", broadcast, "--txid", prepared.txid, "--yes")
        assert (result.exit_code, words in " ".join(result.stderr.split())) == (1, True)
    assert world.network_rows("broadcast")[0].state == "dead"


def test_what_a_backend_sent_in_one_go_and_the_chain_refused_is_paid_anew_by_hand(world: World) -> None:
    world.funded("5")
    world.withdraw(outside(1), "1")
    backend = OneShotSimnet(world)
    world.broadcast(backend=backend)
    world.net.fund(Decimal(20))
    world.net.double_spend(world.network_rows("deposit")[0].txid)
    world.funded("3")
    resolver = BroadcastResolver(world.coin, world.app.conflict_resolver, who="somebody", clock=lambda: world.now)
    (broadcast,) = world.network_rows("broadcast")
    with pytest.raises(LedgerError, match="can still confirm"):
        resolver.is_dead(broadcast.id, backend=backend, refund=False)
    world.step(15)
    resolver.is_dead(broadcast.id, backend=backend, refund=False)
    assert world.broadcast(backend=backend).count == 1
    assert world.paid(outside(1)) == [1]
    world.check()
