"""Daemons, customers and the network all at once, each statement at a moment of its own: nobody is paid twice."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_world import World, outside
from sqlalchemy import event

from cryptoassets_core.errors import BackendError, LedgerError, NotEnoughAccountBalance
from cryptoassets_core.tools.broadcastagain import submit_again
from cryptoassets_core.tools.teller import Teller
from cryptoassets_simnet.errors import SimnetError

#: How long the storm lasts; a minute and more for those who have the time.
SECONDS = float(os.environ.get("CRYPTOASSETS_STRESS_SECONDS", "3"))

WALLETS = ("shop", "other shop")

#: How long a statement is kept waiting at most.
LONGEST_WAIT_SECONDS = 0.02


@dataclass
class Storm:
    """What all of them share.

    :ivar asked: payee of each withdrawal, by its id.
    """

    world: World
    rnd: random.Random
    accounts: list[int]
    until: float
    asked: dict[int, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=lambda: list(range(100_000)))

    def payee(self) -> str:
        return outside(self._numbers.pop())

    def begin(self, turn: Callable[[World, random.Random], None]) -> threading.Thread:
        """Have somebody take turns, on connections of its own, until time is up."""
        world, rnd = self.world.reopened(), random.Random(self.rnd.random())

        def jitter(*_: Any) -> None:
            if rnd.random() < 0.3:
                time.sleep(rnd.random() * LONGEST_WAIT_SECONDS)

        event.listen(world.app.engine, "before_cursor_execute", jitter)
        event.listen(world.app.engine, "commit", jitter)

        def work() -> None:
            try:
                while time.monotonic() < self.until and not self.failures:
                    turn(world, rnd)
            except BaseException as error:
                self.failures.append(error)
            finally:
                world.close()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    # --- Who takes part -------------------------------------------------------------------------------------

    def daemon(self, world: World, rnd: random.Random) -> None:
        jobs: list[Callable[[], object]] = [
            world.updater.poll,
            world.updater.follow,
            lambda: world.updater.handle_wallet_notifies(rnd.sample(known(world), min(3, len(known(world))))),
            lambda: submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now),
            *(lambda wallet=wallet: world.broadcast(wallet) for wallet in WALLETS),
        ]
        try:
            rnd.choice(jobs)()
            self.done["daemon"] += 1
        except BackendError:
            self.done["trouble"] += 1

    def customer(self, world: World, rnd: random.Random) -> None:
        if self.asked and rnd.random() < 0.3:
            id_ = rnd.choice(list(self.asked))
            try:
                Teller(world.coin, world.app.conflict_resolver).cancel_withdrawal(world.row(id_).wallet_id, id_)
                self.done["cancelled"] += 1
            except LedgerError:
                self.done["too late"] += 1
            return
        payee, amount = self.payee(), f"0.{rnd.randint(10, 40)}"
        try:
            self.asked[world.withdraw(payee, amount, rnd.choice(self.accounts))] = payee
        except NotEnoughAccountBalance:
            self.done["poor"] += 1

    def network(self, world: World, rnd: random.Random) -> None:
        time.sleep(rnd.random() * 0.05)
        with suppress(SimnetError):  # which knows that something cannot be, as the chain is now
            self.happening(world, rnd)
            self.done["network"] += 1

    def happening(self, world: World, rnd: random.Random) -> None:
        match rnd.randrange(8):
            case 0 | 1:
                world.net.pay(world.address(rnd.choice(self.accounts)), Decimal(1))
            case 2 | 3:
                world.net.mine(rnd.randint(1, 3))
            case 4:
                depth = rnd.randint(1, 4)
                waiting = [row.txid for row in world.network_rows("broadcast") if row.txid and row.confirmations >= 0]
                world.net.reorg(depth, drop=rnd.sample(waiting, min(2, len(waiting))))
            case 5:
                world.net.fault("submit", rnd.choice(["timeout-after", "refuse"]))
            case 6:
                world.net.forget_locks()
            case 7:
                stray = world.net.pay(world.address(world.account("carol")), Decimal(1))
                world.net.mine(rnd.randint(0, 4))
                world.net.double_spend(stray)


def known(world: World) -> list[Any]:
    return [row.txid for row in world.network_rows() if row.txid]


@pytest.mark.postgres
def test_everybody_at_once_at_any_moment(postgres_world: World) -> None:
    world = postgres_world
    accounts = [
        world.funded("5", world.account(name, wallet), coins=3) for wallet in WALLETS for name in ("alice", "bob")
    ]
    storm = Storm(world, random.Random(), accounts, time.monotonic() + SECONDS)
    team = [storm.daemon, storm.daemon, storm.daemon, storm.customer, storm.customer, storm.network]
    threads = [storm.begin(turn) for turn in team]
    for thread in threads:
        thread.join()
    if storm.failures:
        raise storm.failures[0]
    calm_down(world)
    world.check()
    for id_, payee in storm.asked.items():
        row = world.row(id_)
        refunded = row.state in ("cancelled", "failed")
        assert (refunded, row.state, world.paid(payee)) == (refunded, row.state, [] if refunded else [row.amount])
    assert world.total() == world.net.balance()
    assert storm.done["daemon"] > 0 < len(storm.asked)


def calm_down(world: World) -> None:
    """Let the node work and blocks come until every withdrawal is paid or refunded, with nobody's help."""
    world.net.clear_faults()
    under_way: list[Any] = []
    for _ in range(60):
        world.net.mine(1)
        world.updater.poll()
        world.now += timedelta(hours=1)
        submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)
        for wallet in WALLETS:
            world.broadcast(wallet)
        under_way = [row for row in world.network_rows("broadcast") if row.closed_at is None or row.confirmations < 3]
        carried = {row.network_transaction_id for row in world.rows("withdrawal")}
        if "pending" not in world.withdrawal_states() and not any(row.id in carried for row in under_way):
            return
    raise AssertionError(f"something waits for ever: {under_way} {Counter(world.withdrawal_states())}")
