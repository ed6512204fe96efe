"""Missed notifications, downtime, strange checkpoints and rescans."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from chain_world import Books, Crash, Observed, World
from kit import seen
from sqlalchemy import update

from cryptoassets_core.backend.base import WalletTransaction
from cryptoassets_core.backend.syncstate import read_sync_state
from cryptoassets_core.backend.transactionupdater import ScanProgress, TransactionUpdater
from cryptoassets_core.errors import BackendError, BackendUnavailableError
from cryptoassets_core.service.coinworker import CoinWorker
from cryptoassets_core.tools.receivescan import scan
from cryptoassets_core.walletnotify.base import MISSED, NEW_BLOCK


def forget(world: Books, **values: object) -> None:
    """Put something else in the place of what was noted of the chain."""
    world.run(lambda session: session.execute(update(world.tables.sync_state).values(**values)))


def test_deposit_without_notification_is_found_with_the_next_block(world: World) -> None:
    world.net.pay(world.address(), Decimal(1))
    world.step(3)
    assert world.balance() == 1


def test_blocks_missed_while_off_are_caught_up(world: World) -> None:
    address = world.address()
    world.step(2)
    world.net.pay(address, Decimal(1))
    world.net.mine(40)
    world.net.pay(address, Decimal(2))
    world.net.mine(2)
    world.updater.poll()
    assert world.balance() == 1
    world.step()
    assert world.balance() == 3
    world.check()


def test_daemon_looks_at_its_start_also_without_a_new_block(world: World) -> None:
    address = world.address()
    world.step()
    world.net.pay(address, Decimal(1))
    told: list[str] = []
    worker = CoinWorker(
        world.coin,
        world.backend,
        world.app.conflict_resolver,
        walletnotify=None,
        on_events=lambda: told.append("events"),
    )
    worker.poll()
    assert [row.state for row in world.rows()] == ["incoming"]
    assert told == ["events"]


def test_notified_block_is_followed_at_once(world: World) -> None:
    worker = CoinWorker(
        world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None
    )
    worker.poll()
    world.net.pay(world.address(), Decimal(1))
    world.net.mine(3)
    assert worker.look_at([NEW_BLOCK])
    assert world.balance() == 1


def test_deposit_whose_notification_was_missed_does_not_wait_for_the_next_block(world: World) -> None:
    worker = CoinWorker(
        world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None
    )
    worker.poll()
    world.net.pay(world.address(), Decimal(1))
    assert worker.look_at([MISSED])
    assert [row.state for row in world.rows()] == ["incoming"]


def test_node_that_is_down_loses_nothing(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    worker = CoinWorker(
        world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None
    )
    world.net.set_down(True)
    assert not worker.look_at([txid])
    worker.poll()
    worker.broadcast()
    assert worker.health.problem is not None
    world.net.set_down(False)
    world.net.mine(3)
    worker.poll()
    assert (worker.health.problem, world.balance()) == (None, 1)


def test_failed_attempts_are_counted(world: World) -> None:
    worker = CoinWorker(
        world.coin, world.backend, world.app.conflict_resolver, walletnotify=None, on_events=lambda: None
    )
    world.net.set_down(True)
    for _ in range(3):
        worker.poll()
    assert worker.health.failed_attempts == 3
    world.net.set_down(False)
    worker.poll()
    assert (worker.health.failed_attempts, worker.health.problem) == (3, None)


def test_notification_through_a_node_behind_its_network_credits_nothing(world: World) -> None:
    """What such a node says of confirmations may be long untrue (F21)."""
    txid = world.net.pay(world.address(), Decimal(1))
    world.net.mine(3)

    def behind(name: str) -> None:
        if name == "get_tip":
            raise BackendUnavailableError("the newest block is two days old")

    worker = CoinWorker(
        world.coin,
        Observed(world.backend, before=behind),  # type: ignore[arg-type]
        world.app.conflict_resolver,
        walletnotify=None,
        on_events=lambda: None,
    )
    assert not worker.look_at([txid])
    assert (world.rows(), worker.health.problem) == ([], "the newest block is two days old")


@pytest.mark.parametrize("method", ["get_tip", "list_since", "get_transactions"])
@pytest.mark.parametrize("kind", ["refuse", "timeout-before", "timeout-after"])
def test_question_that_fails_changes_nothing_and_is_asked_again(world: World, method: str, kind: str) -> None:
    lost = world.net.pay(world.address(), Decimal(5))
    world.step(3)
    world.net.pay(world.address(), Decimal(1))
    world.net.double_spend(lost)
    world.net.mine(3)
    world.net.fault(method, kind)
    before = world.rows(), world.events()
    with pytest.raises(BackendError):
        world.updater.poll()
    assert (world.rows(), world.events()) == before
    world.updater.poll()
    assert world.balance() == 1 == world.net.balance()
    world.check()


@pytest.mark.parametrize("checkpoint", [None, "00" * 32, "stale"])
def test_checkpoint_that_helps_nobody_finds_everything_and_credits_nothing_twice(
    world: World, checkpoint: str | None
) -> None:
    address = world.address()
    for amount in (1, 2, 4):
        world.net.pay(address, Decimal(amount))
        world.step(20)
    if checkpoint == "stale":
        checkpoint = world.net.mine(30)[0]
        world.net.reorg(30)
    forget(world, checkpoint=checkpoint, tip=None)
    world.net.pay(address, Decimal(8))
    world.net.mine(3)
    world.updater.poll()
    assert world.balance() == 15 == world.net.balance()
    assert len(world.rows()) == 4
    world.check()


def test_rescan_finds_what_is_missing_and_a_second_one_nothing(world: World) -> None:
    address = world.address()
    world.net.pay(address, Decimal(1))
    world.step(3)
    world.net.pay(address, Decimal(2))
    tip = world.net.mine(40)[-1]
    forget(world, checkpoint=tip, tip=tip)  # a follower that believes to know it all
    assert (world.updater.poll(), world.balance()) == (0, 1)
    assert scan(world.updater) == 2  # the first deposit has 43 confirmations now, the second one is new
    assert world.balance() == 3
    before = world.rows()
    assert [scan(world.updater), world.updater.follow()] == [0, 0]
    later = world.reopened()
    assert scan(later.updater) == 0
    later.close()
    assert (world.rows(), world.balance()) == (before, 3)
    world.check()


def test_rescan_that_is_interrupted_goes_on_where_it_ended(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 4)
    world = make_world()
    for _ in range(10):
        world.net.pay(world.address(), Decimal(1))
    world.net.mine(40)
    for _ in range(2):  # a scan that was finished leaves nothing for the next one to skip
        seen: list[int] = []

        def interrupt(progress: ScanProgress, seen: list[int] = seen) -> None:
            seen.append(progress.done)
            if progress.done == 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scan(world.updater, interrupt)
        later = world.reopened()
        scan(later.updater, lambda progress, seen=seen: seen.append(progress.done))  # type: ignore[misc]
        later.close()
        assert seen == [0, 4, 8, 8, 10]
    assert world.balance() == 10
    world.check()


def test_rescan_interrupted_for_long_misses_nothing_that_came_meanwhile(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes with a txid below the position, and is deep in the chain before it goes on, is the follower's."""
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 2)
    world = make_world()
    addresses = [world.address() for _ in range(12)]
    for address in addresses[:6]:
        world.net.pay(address, Decimal(1))
    world.net.mine(40)

    def interrupt(progress: ScanProgress) -> None:
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(world.updater, interrupt)
    for address in addresses[6:]:
        world.net.pay(address, Decimal(1))
    world.net.mine(40)
    scan(world.updater)
    assert world.balance() == 12 == world.net.balance()
    world.check()


def test_long_listing_is_written_in_chunks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 7)
    address = world.address()
    for _ in range(24):
        world.net.pay(address, Decimal(1))
    world.net.mine(3)
    assert world.updater.poll() == 24
    assert world.balance() == 24
    world.check()


def long_listing(world: Books, number: int, on_read: Callable[[int], None]) -> TransactionUpdater:
    """Return an updater whose node lists so many deposits, one at a time; each is met by a test when it is read."""
    address = world.address()

    def read() -> Iterator[WalletTransaction]:
        for each in range(number):
            on_read(each)
            yield seen(f"deposit {each}", {address: "0.01"}, 20)

    def tell(name: str, answer: Any) -> Any:
        return replace(answer, transactions=read()) if name == "list_since" else answer

    return TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=tell), world.coin)  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", ["follow", "rescan"])
def test_long_listing_is_never_held_whole(world: World, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 5)
    alive: list[int] = []

    def count(number: int) -> None:
        if number % 20 == 19:
            gc.collect()
            alive.append(sum(type(each) is WalletTransaction for each in gc.get_objects()))

    updater = long_listing(world, 60, count)
    assert getattr(updater, ask)() == 60
    assert max(alive) <= 3 * 5
    assert world.balance() == Decimal("0.6")
    world.check()


@pytest.mark.parametrize("read", [0, 3, 11, 23, 24])
@pytest.mark.parametrize("error", [BackendUnavailableError("the node went away"), Crash("killed")])
def test_catch_up_that_ends_in_the_middle_begins_again_and_credits_once(
    world: World, monkeypatch: pytest.MonkeyPatch, read: int, error: BaseException
) -> None:
    monkeypatch.setattr("cryptoassets_core.backend.transactionupdater.CHUNK", 5)
    world.step()
    before = world.run(lambda session: read_sync_state(session, world.tables))
    world.net.mine(20)

    def fail(each: int) -> None:
        if each == read:
            raise error

    with pytest.raises(type(error)):
        long_listing(world, 25, fail).follow()
    # What is stored by then is right, and the next one is told everything again.
    stored = len(world.rows())
    assert stored == max(read // 5 - 1, 0) * 5
    assert world.run(lambda session: read_sync_state(session, world.tables)) == before
    world.check()
    assert long_listing(world, 25, lambda each: None).follow() == 25 - stored
    assert (len(world.rows()), world.balance()) == (25, Decimal("0.25"))
    assert len(world.events("txupdate")) == 25
    assert world.run(lambda session: read_sync_state(session, world.tables)) != before
    world.check()


def test_news_of_yesterday_is_not_written_over_todays(world: World) -> None:
    """A rescan asks the node, and before it writes, a follower sees the double spend."""
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(3)
    other = world.reopened()
    overtaken = []

    def meanwhile(name: str, answer: Any) -> Any:
        if name == "list_since" and not overtaken:
            overtaken.append(name)
            world.net.double_spend(txid)
            other.updater.poll()
        return answer

    slow = TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=meanwhile), world.coin)  # type: ignore[arg-type]
    scan(slow)
    other.close()
    assert [row.state for row in world.rows("deposit")] == ["reversed"]
    assert world.balance() == 0
    world.check()


def test_notification_of_yesterday_is_not_written_over_todays_chain(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.step(3)
    other = world.reopened()
    overtaken = []

    def meanwhile(name: str, answer: Any) -> Any:
        if name == "get_transactions" and not overtaken:
            overtaken.append(name)
            world.net.double_spend(txid)
            other.updater.poll()
        return answer

    slow = TransactionUpdater(world.app.conflict_resolver, Observed(world.backend, after=meanwhile), world.coin)  # type: ignore[arg-type]
    slow.handle_wallet_notify(txid)
    other.close()
    assert [row.state for row in world.rows("deposit")] == ["reversed"]
    assert world.balance() == 0
