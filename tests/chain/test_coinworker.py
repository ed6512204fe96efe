"""A daemon's turns at a coin: it follows only while it leads, and misses nothing when it begins again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from chain_world import Observed, World

from cryptoassets_core.service.coinworker import CoinWorker


class Post:
    """Whether the daemon leads, as somebody else decides."""

    leads = True


def worker_of(world: World, post: Post, *, backend: Any = None) -> CoinWorker:
    return CoinWorker(
        world.coin,
        backend or world.backend,
        world.app.conflict_resolver,
        walletnotify=None,
        on_events=lambda: None,
        leads=lambda: post.leads,
    )


def test_daemon_that_does_not_lead_asks_how_the_backend_is_and_writes_nothing(sqlite_world: World) -> None:
    world, post, backend = sqlite_world, Post(), Observed(sqlite_world.backend)
    post.leads = False
    worker = worker_of(world, post, backend=backend)
    world.net.pay(world.address(), Decimal(1))
    worker.poll()
    assert (world.rows(), set(backend.calls)) == ([], {"check"})


def test_daemon_that_leads_again_finds_what_was_notified_to_another_one(sqlite_world: World) -> None:
    world, post = sqlite_world, Post()
    worker = worker_of(world, post)
    worker.poll()
    post.leads = False
    worker.poll()
    world.net.pay(world.address(), Decimal(1))  # no block comes, and the other one dies before it looks
    post.leads = True
    worker.poll()
    assert [row.amount for row in world.rows()] == [1]


def test_notification_that_fails_in_an_unforeseen_way_is_made_up_for_without_a_block(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    worker = worker_of(world, Post())
    worker.poll()
    txid = world.net.pay(world.address(), Decimal(1))
    with monkeypatch.context() as patch:
        patch.setattr(world.backend, "get_transactions", lambda _: 1 // 0)
        assert worker.look_at([txid])  # nobody waits behind it
    assert "walletnotify failed with ZeroDivisionError" in str(worker.health.problem)
    worker.poll()
    assert [row.amount for row in world.rows()] == [1]
