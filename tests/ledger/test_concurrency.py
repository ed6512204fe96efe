"""Processes and threads at once: nothing is lost, doubled or overdrawn, and a killed one leaves no trace."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from queue import Empty
from typing import Any

import ledger_workers as workers
import pytest
from kit import Till, address, processes

from cryptoassets_core.errors import NotEnoughAccountBalance
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transfer import TransferOrder

#: How long the processes live; 60 for the long run.
SECONDS = float(os.environ.get("CRYPTOASSETS_STRESS_SECONDS", "3"))


def share(url: str, work: str, jobs: Sequence[Any], number: int = 8) -> Counter[str]:
    """Have processes do jobs at once; returns how they ended."""
    barrier, results = processes.Barrier(number), processes.Queue()
    team = [
        processes.Process(target=workers.in_threads_of, args=(url, barrier, results, work, jobs[place::number]))
        for place in range(number)
    ]
    for worker in team:
        worker.start()
    return sum(gather(team, results), Counter())


def gather(team: Sequence[Any], results: Any) -> list[Any]:
    """Wait for what each process reports, but not for one that has died."""
    reports: list[Any] = []
    while len(reports) < len(team):
        try:
            reports.append(results.get(timeout=1))
        except Empty:
            died = [worker.exitcode for worker in team if worker.exitcode]
            if died:
                pytest.fail(f"processes ended with {died}; see what they wrote")
    for worker in team:
        worker.join()
    return reports


@pytest.mark.parametrize("work", ["send everything", "send amount"])
def test_parallel_transfers_round_a_ring_neither_make_nor_lose_a_coin(till: Till, books_url: str, work: str) -> None:
    """Flexcoin, March 2014: thousands of transfers at once overdrew accounts, and 896 coins were gone."""
    ring = till.accounts(*["1"] * 5)
    extra = (Decimal(1),) if work == "send amount" else ()
    jobs = [(ring[n % 5], ring[(n + 1) % 5], *extra) for n in range(200)]

    outcomes = share(books_url, work, jobs)

    assert outcomes.total() == 200
    assert till.total() == 5
    assert min(till.balance(id_) for id_ in ring) >= 0
    assert len(till.rows(kind=TransactionKind.INTERNAL)) == outcomes["done"]
    assert till.audit() == []


def test_of_many_withdrawals_of_everything_one_goes(till: Till, books_url: str) -> None:
    """Poloniex, March 2014: withdrawals at the same instant were all let through."""
    a = till.account("a", "1")

    outcomes = share(books_url, "withdraw", [(a, Decimal(1))] * 50)

    assert outcomes == {"done": 1, "refused": 49}
    assert len(till.rows(kind=TransactionKind.WITHDRAWAL)) == 1
    assert (till.balance(a), till.audit()) == (0, [])


def test_twenty_threads_withdraw_everything_once(till: Till) -> None:
    a = till.account("a", "1")

    def withdraw(n: int) -> bool:
        try:
            till.do("shop", lambda wallet: wallet.send_external(a, address(n), Decimal(1), None))
        except NotEnoughAccountBalance:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        done = list(threads.map(withdraw, range(20)))

    assert sum(done) == 1
    assert (till.balance(a), till.audit()) == (0, [])


def test_accounts_and_wallets_made_at_once_are_made_once(till: Till) -> None:
    def make(_: int) -> tuple[int, int, int]:
        def work(wallet: Any) -> tuple[int, int, int]:
            return (
                wallet.id,
                wallet.get_or_create_account_by_name("a").id,
                wallet.get_or_create_external_address(address("x")).id,
            )

        return till.do("new", work)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(make, range(16)))) == 1


@pytest.mark.postgres
@pytest.mark.parametrize("overdraft", [False, True])
def test_opposite_transfers_queue_up_and_never_deadlock(postgres_till: Till, overdraft: bool) -> None:
    """Accounts are locked in id order before anything is written; else each would wait for the other's second."""
    till = postgres_till
    till.app.setup_session(transaction_retries=0)
    a, b = till.accounts("100", "100")

    def send(sender: int, receiver: int) -> None:
        order = TransferOrder(
            wallet_id=1,
            sending_account_id=sender,
            receiving_account_id=receiver,
            amount=Decimal("0.1"),
            overdraft=overdraft,
        )
        for _ in range(150):
            till.teller.send_internal(order)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(send, *pair) for pair in ((a, b), (b, a)) * 2]:
            done.result()

    assert [till.balance(id_) for id_ in (a, b)] == [100, 100]


@pytest.mark.postgres
def test_batches_at_once_see_each_others_balances(postgres_till: Till) -> None:
    till = postgres_till
    till.app.setup_session(transaction_retries=0)
    a, b, c = till.accounts("30", "0", "0")

    def send(first: int, second: int) -> int:
        orders = [
            TransferOrder(wallet_id=1, sending_account_id=a, receiving_account_id=receiver, amount=Decimal("0.5"))
            for receiver in (first, second)
        ]
        done = 0
        for _ in range(12):
            try:
                till.teller.send_internal_many(1, orders)
                done += 1
            except NotEnoughAccountBalance:
                pass
        return done

    with ThreadPoolExecutor(4) as threads:
        done = sum(share.result() for share in [threads.submit(send, *pair) for pair in ((b, c), (c, b)) * 2])

    assert done == 30
    assert ([till.balance(id_) for id_ in (a, b, c)], till.audit()) == ([0, 15, 15], [])


# --- Everything at once -------------------------------------------------------------------------------------


def worth(till: Till) -> Decimal:
    """What the accounts have, less what came in, plus what went out: it never changes."""
    rows = till.rows()

    def total(kind: TransactionKind, *states: TransactionState) -> Decimal:
        return sum((row.amount for row in rows if row.kind == kind and (not states or row.state in states)), Decimal(0))

    credited = sum((row.amount for row in rows if row.kind == "deposit" and row.credited_at is not None), Decimal(0))
    out = total(TransactionKind.WITHDRAWAL) - total(TransactionKind.REFUND)
    return till.total() - credited + total(TransactionKind.REVERSAL) + out + total(TransactionKind.NETWORK_FEE)


@pytest.fixture
def market(till: Till) -> list[int]:
    accounts = [till.account(f"account {n}", "5") for n in range(10)]
    for n, account in enumerate(accounts):
        till.receiving_address(account, ("in", n))
    return accounts


def start(url: str, accounts: list[int], seconds: float, results: Any, seeds: Sequence[int]) -> list[Any]:
    team = [processes.Process(target=workers.live, args=(url, accounts, seed, seconds, results)) for seed in seeds]
    for worker in team:
        worker.start()
    return team


def check_books(till: Till, accounts: list[int]) -> None:
    assert worth(till) == 50
    assert till.audit() == []
    reversed_of = {row.sending_account_id for row in till.rows(kind=TransactionKind.REVERSAL)}
    assert {id_ for id_ in accounts if till.balance(id_) < 0} <= reversed_of


def test_everything_at_once_in_eight_processes(till: Till, market: list[int], books_url: str) -> None:
    results = processes.Queue()

    team = start(books_url, market, SECONDS, results, range(8))
    reports = gather(team, results)

    outcomes: Counter[str] = sum((outcomes for outcomes, _ in reports), Counter())
    assert outcomes["gave up"] == 0
    assert all(outcomes[action] for action in ("transfer", "teller", "withdraw", "deposit", "broadcast"))
    check_books(till, market)


def test_killed_processes_leave_the_books_right(till: Till, market: list[int], books_url: str) -> None:
    results, chance = processes.Queue(), random.Random(7)
    team = start(books_url, market, 600, results, range(20, 24))
    kills = max(6, int(SECONDS))
    for n in range(kills):
        time.sleep(chance.uniform(0.1, 0.4))
        victim = chance.choice([worker for worker in team if worker.is_alive()])
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
        assert till.audit() == []
        if n < kills - 4:  # the last of the team are killed without replacement
            team += start(books_url, market, 600, results, [100 + n])
    for worker in team:
        worker.kill()
        worker.join()

    # Whoever comes next can work.
    till.do("shop", lambda wallet: wallet.import_balance(market[0], Decimal(1)))
    till.do("shop", lambda wallet: wallet.send_external(market[0], address("x"), Decimal("0.1"), None))
    assert worth(till) == 51
    assert till.audit() == []
