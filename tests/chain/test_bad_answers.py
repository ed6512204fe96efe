"""Backends that answer nonsense or raise what they must not: a reason, a counted retry, and nothing published."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World, outside

from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, Txid, WalletTransaction
from cryptoassets_core.errors import BackendRejectedError, BackendUnavailableError, BroadcastDeadError
from cryptoassets_core.service.coinworker import CoinWorker

GOOD = PreparedTransaction(
    txid=Txid("ab" * 32), raw="00ff", fee=Decimal("0.0001"), inputs=(Outpoint(Txid("cd" * 32), 0),)
)

NONSENSE: list[Any] = [
    None,
    "00ff",
    replace(GOOD, txid=Txid("")),
    replace(GOOD, txid=Txid("AB" * 32)),
    replace(GOOD, txid=7),  # type: ignore[arg-type]
    replace(GOOD, raw=""),
    replace(GOOD, raw="xyz"),
    replace(GOOD, raw=b"00"),  # type: ignore[arg-type]
    replace(GOOD, fee=0.0001),  # type: ignore[arg-type]
    replace(GOOD, fee=Decimal(-1)),
    replace(GOOD, fee=Decimal("NaN")),
    replace(GOOD, fee=Decimal("1e30")),
    replace(GOOD, fee=Decimal("0.000000001")),
    replace(GOOD, inputs=()),
    replace(GOOD, inputs=None),  # type: ignore[arg-type]
    replace(GOOD, inputs=(Outpoint(Txid("cd" * 32), -1),)),
    replace(GOOD, inputs=(("cd" * 32, 0),)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_is_neither_stored_nor_published(sqlite_world: World, answer: object) -> None:
    world = sqlite_world
    world.funded("5", coins=2)  # the node keeps what it prepared in vain
    world.withdraw(outside(1), "1")
    backend = Observed(world.backend, after=lambda name, real: answer if name == "prepare" else real)
    for attempts in (1, 2):
        assert world.broadcast(backend=backend).count == 0
        (waiting,) = world.network_rows("broadcast")
        assert (waiting.state, waiting.raw, waiting.attempts) == ("collected", None, attempts)
    assert "nothing of it is used" in waiting.reason
    assert backend.calls["submit"] == 0
    world.check()


@pytest.mark.parametrize("method", ["prepare", "submit", "hold"])
@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), OSError("x"), MemoryError("x"), Exception("x")])
def test_whatever_is_raised_is_a_counted_retry(sqlite_world: World, method: str, error: Exception) -> None:
    world = sqlite_world
    world.funded("5")
    world.withdraw(outside(1), "1")
    if method == "hold":
        world.net.fault("submit", "refuse")
        world.broadcast()

    def fail(name: str) -> None:
        if name == method:
            raise error

    before = [row.attempts for row in world.network_rows("broadcast")] or [0]
    assert world.broadcast(backend=Observed(world.backend, before=fail)).count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.attempts, type(error).__name__ in waiting.reason) == (before[0] + 1, True)
    assert world.broadcast().count == 1
    assert world.paid(outside(1)) == [1]
    world.check()


@pytest.mark.parametrize(
    "wrong",
    [{"confirmations": "3"}, {"confirmations": None}, {"received": None}, {"received": ("address", 1)}],
)
def test_nonsense_about_deposits_credits_nothing_and_shows_on_the_status(
    sqlite_world: World, wrong: dict[str, Any]
) -> None:
    world = sqlite_world
    world.net.pay(world.address(), Decimal(1))
    world.net.mine(3)

    def spoil(name: str, answer: Any) -> Any:
        if name != "list_since":
            return answer
        spoiled: list[WalletTransaction] = [replace(each, **wrong) for each in answer.transactions]
        return replace(answer, transactions=spoiled)

    backend: Any = Observed(world.backend, after=spoil)
    worker = CoinWorker(world.coin, backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None)
    worker.poll()
    assert worker.health.problem is not None
    assert world.rows() == []
    world.updater.follow()
    assert world.balance() == 1
    world.check()


def test_backend_may_give_no_words_or_pass_an_error_on() -> None:
    assert [str(BackendUnavailableError()), str(BackendUnavailableError(OSError("gone")))] == ["", "gone"]


@pytest.mark.parametrize("state", ["collected", "prepared", "dead"])
def test_words_that_no_database_takes_are_stored_as_escapes(world: World, state: str) -> None:
    """What refuses a withdrawal may quote anybody; the withdrawal waits all the same, and whoever asks can read why."""
    words = "no \0 and \ud800\nand \x1b[31mred"
    errors = {
        "collected": BackendRejectedError(words),
        "prepared": BackendUnavailableError(words),
        "dead": BroadcastDeadError(words, depth=1),
    }

    def refuse(name: str) -> None:
        if name == ("prepare" if state == "collected" else "submit"):
            raise errors[state]

    world.funded("5")
    world.withdraw(outside(1), "1")
    world.broadcast(backend=Observed(world.backend, before=refuse))
    (waiting,) = world.network_rows("broadcast")
    assert (waiting.state, waiting.reason.isprintable()) == (state, True)
    assert waiting.reason.startswith(r"no \x00 and \ud800\nand \x1b[31mred")
    if state != "dead":
        assert world.broadcast().count == 1
    world.check()
