"""Several wallets, or daemons, pay from one node's wallet: no coin is signed away twice, and none stays reserved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World, outside
from test_forgotten import Carried, evict

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import BackendUnavailableError
from cryptoassets_core.tools.broadcastagain import submit_again


def two_wallets(world: World) -> None:
    """Ask for a withdrawal from each of two wallets, either of which one coin can pay."""
    world.funded("1")
    other = world.funded("1", world.account("bob", "other shop"))
    world.withdraw(outside(1), "0.6")
    world.withdraw(outside(2), "0.6", other)


def test_signing_reserves_nothing_until_it_is_stored(world: World) -> None:
    two_wallets(world)
    seen = []

    def look(name: str, answer: Any) -> Any:
        seen.append((name, bool(world.locked()), [row.state for row in world.network_rows("broadcast")]))
        return answer

    world.broadcast(backend=Observed(world.backend, after=look))
    assert seen[:2] == [("prepare", False, ["collected"]), ("hold", True, ["prepared"])]


def test_coins_that_two_wallets_sign_at_once_are_spent_by_one_of_them(world: World) -> None:
    two_wallets(world)
    calls: list[str] = []

    def other_is_quicker(name: str, answer: Any) -> Any:
        if name == "prepare" and not calls:
            calls.append(name)
            world.net.fault("submit", "refuse")
            world.broadcast("other shop")  # stored, with the same coins
        return answer

    assert world.broadcast(backend=Observed(world.backend, after=other_is_quicker)).count == 0
    other, waiting = sorted(world.network_rows("broadcast"), key=lambda row: row.wallet_id, reverse=True)
    assert (other.state, waiting.state, waiting.raw) == ("prepared", "collected", None)
    assert f"coins that broadcasts [{other.id}] spend" in waiting.reason
    world.broadcast()
    world.broadcast("other shop")
    world.step(3)
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([Decimal("0.6")], [Decimal("0.6")])
    assert [row.state for row in world.network_rows("broadcast")] == ["live", "live"]
    assert world.total() == world.net.balance()
    world.check()


def test_what_another_wallet_has_stored_is_held_before_anything_is_signed(world: World) -> None:
    two_wallets(world)
    world.net.fault("submit", "refuse")
    world.broadcast("other shop")
    (stored,) = world.network_rows("broadcast")
    world.net.forget_locks()  # the node was restarted
    backend = Observed(world.backend)
    assert world.broadcast(backend=backend).count == 1
    assert backend.calls["prepare"] == 1  # the first choice was a free coin
    sent = world.network_rows("broadcast")[-1]
    assert sent.inputs != stored.inputs
    world.broadcast("other shop")
    assert world.paid(outside(2)) == [Decimal("0.6")]


def test_coins_of_what_was_sent_are_not_signed_again_by_a_node_that_forgot_it(world: World) -> None:
    two_wallets(world)
    world.broadcast("other shop")
    (sent,) = world.network_rows("broadcast")
    first = world.backend.get_transactions([sent.txid])
    assert first
    stale: list[Any] = []

    def restored_from_a_backup(name: str, answer: Any) -> Any:
        if name != "prepare":
            return answer
        spent = tuple(replace(answer.inputs[0], txid=Txid(txid), vout=vout) for txid, vout in [coin(sent)])
        stale.append(replace(answer, inputs=spent))
        return stale[-1]

    backend = Observed(world.backend, after=restored_from_a_backup)
    assert world.broadcast(backend=backend).count == 0
    assert (len(stale), backend.calls["submit"]) == (1, 0)
    assert world.network_rows("broadcast")[-1].raw is None
    world.step()
    assert world.broadcast(backend=backend).count == 0  # it may not know of the block either
    world.broadcast()
    assert world.paid(outside(1)) == [Decimal("0.6")]


def test_other_coins_are_chosen_next_where_the_node_has_forgotten_what_was_sent(world: World) -> None:
    world.funded("1", coins=2)
    world.withdraw(outside(1), "0.6")
    world.broadcast()
    (first,) = world.network_rows("broadcast")
    evict(world, first.txid)
    with world.net.file.write() as db:
        db.execute("DELETE FROM lock")  # set back to a copy of before
    world.withdraw(outside(2), "0.6")
    assert world.broadcast().count == 0
    assert f"coins that broadcasts [{first.id}] spend" in world.network_rows("broadcast")[-1].reason
    assert world.broadcast().count == 1
    assert submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now) == 1
    assert (world.paid(outside(1)), world.paid(outside(2))) == ([Decimal("0.6")], [Decimal("0.6")])
    world.check()


def test_trouble_of_one_daemon_is_not_noted_on_what_another_one_has_sent_meanwhile(world: World) -> None:
    world.funded("1")
    world.withdraw(outside(1), "0.6")

    def other_is_quicker(name: str, answer: Any) -> Any:
        if name == "hold":
            world.broadcaster().do_broadcasts()
            raise BackendUnavailableError("down")
        return answer

    assert world.broadcast(backend=Observed(world.backend, after=other_is_quicker)).count == 0
    (sent,) = world.network_rows("broadcast")
    assert (sent.state, sent.attempts, sent.next_attempt_at, sent.reason) == ("live", 0, None, None)


def test_payment_that_another_broadcast_makes_too_is_still_to_be_made(world: World) -> None:
    """A backend knows of no withdrawals: it finds one transaction that pays what the other one should."""
    world.funded("1", coins=2)
    other = world.funded("1", world.account("bob", "other shop"))
    world.withdraw(outside(1), "0.6")
    world.withdraw(outside(1), "0.6", other)
    world.broadcast("other shop")
    (sent,) = world.network_rows("broadcast")
    confused = Carried(world.backend, sent.txid)
    world.broadcast(backend=confused)
    waiting = world.network_rows("broadcast")[-1]
    assert (waiting.state, f"which is broadcast {sent.id}" in waiting.reason) == ("prepared", True)
    world.step(2)
    world.broadcast(backend=confused)
    assert world.network_rows("broadcast")[-1].state == "dead"
    world.step(13)
    world.now += timedelta(hours=1)
    submit_again(world.coin, world.app.conflict_resolver, confused, clock=lambda: world.now)
    world.broadcast()
    assert world.paid(outside(1)) == [Decimal("0.6")] * 2
    assert [row.state for row in world.network_rows("broadcast")] == ["live", "dead", "live"]
    world.check()


def coin(row: Any) -> tuple[str, int]:
    """Return the first coin that a broadcast spends."""
    txid, vout = row.inputs.removeprefix("[[").split("]")[0].split(",")
    return txid.strip('" '), int(vout)


class SignedLast:
    """A service that signs last: what it publishes has another txid than what it prepared, or the first one."""

    def __init__(self, world: World, txid: Txid | None) -> None:
        self._backend = world.backend
        self._txid = txid
        self._real: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def prepare(self, recipients: dict[str, Decimal]) -> Any:
        prepared = self._backend.prepare(recipients)
        self._real[prepared.raw] = prepared
        return replace(prepared, txid=self._txid)

    def hold(self, prepared: Any) -> None:
        self._backend.hold(self._real[prepared.raw])

    def submit(self, prepared: Any) -> Any:
        return self._backend.submit(self._real[prepared.raw])


@pytest.mark.parametrize("before", [None, Txid("ab" * 32)], ids=["unknown before", "another one"])
def test_broadcast_is_known_by_the_txid_that_publishing_returned(world: World, before: Txid | None) -> None:
    world.funded("5")
    withdrawal = world.withdraw(outside(1), "1")
    service = SignedLast(world, before)
    world.net.fault("submit", "timeout-after")
    world.broadcast(backend=service)
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.state, waiting.txid) == ("prepared", before)
    world.broadcast(backend=service)
    (sent,) = world.network_rows("broadcast")
    assert (sent.state, world.is_carried(sent.txid)) == ("live", True)
    assert [told["txid"] for told in world.events("txupdate") if told["transaction"] == withdrawal] == [sent.txid]
    assert world.paid(outside(1)) == [1]
    world.step(3)
    assert world.confirmations_told(withdrawal)[-1] == (3, True)
    world.check()


@pytest.mark.parametrize("answer", [None, "", "AB" * 32, 7, b"ab" * 32])
def test_nonsense_as_txid_of_what_was_published_is_not_stored(sqlite_world: World, answer: object) -> None:
    world = sqlite_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    wrong = Observed(world.backend, after=lambda name, real: answer if name == "submit" else real)
    assert world.broadcast(backend=wrong).count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.state, "no txid" in waiting.reason) == ("prepared", True)
    assert world.broadcast().count == 1
    assert world.paid(outside(1)) == [1]
