"""Whatever happens on the network and to the node, the books are right at every step and agree with it in the end."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from chain_world import World, outside
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cryptoassets_core.backend.base import Txid
from cryptoassets_core.errors import BackendError, LedgerError, NotEnoughAccountBalance
from cryptoassets_core.tools.receivescan import scan
from cryptoassets_core.tools.teller import Teller
from cryptoassets_simnet import SimnetError

ADDRESSES = 5
AMOUNTS = st.integers(10_000, 300_000_000).map(lambda minor: Decimal(minor).scaleb(-8))
PICK = st.integers(0, 10_000)
#: Enough to pay everything that the accounts could ever ask for.
TOP_UP = Decimal(1_000_000)


class AnyHistory(RuleBasedStateMachine):
    """An application, its daemon, customers, thieves and miners."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="chain-history-"))
        shutil.copy(self.template, self.directory / "books")
        self.world = World(f"sqlite:///{self.directory / 'books'}", self.directory)
        self.accounts = [self.world.account("alice"), self.world.account("bob"), self.world.account("carol", "other")]
        self.addresses = [self.world.address(self.accounts[number % 3]) for number in range(ADDRESSES)]
        self.txids: list[Txid] = []
        self.rivals: list[Txid] = []
        #: The payee of each withdrawal that goes outside, by the withdrawal's id.
        self.payees: dict[int, str] = {}

    @initialize(amount=AMOUNTS)
    def begin(self, amount: Decimal) -> None:
        for address in self.addresses[:3]:
            self.txids.append(self.world.net.pay(address, amount + 1))
        self.world.step(3)

    # --- Customers, thieves and miners ---------------------------------------------------------------------------

    @rule(outputs=st.lists(st.tuples(st.integers(0, ADDRESSES - 1), AMOUNTS), min_size=1, max_size=4))
    def pay(self, outputs: list[tuple[int, Decimal]]) -> None:
        self.txids.append(self.world.net.pay_many([(self.addresses[to], amount) for to, amount in outputs]))

    @rule(amount=AMOUNTS, to=st.integers(0, ADDRESSES - 1))
    def reward(self, amount: Decimal, to: int) -> None:
        self.txids.append(self.world.net.reward(self.addresses[to], amount))

    @rule(blocks=st.integers(1, 6))
    def mine(self, blocks: int) -> None:
        self.world.net.mine(blocks)

    @rule(depth=st.integers(1, 18), dropped=st.one_of(st.none(), PICK))
    def reorganise(self, depth: int, dropped: int | None) -> None:
        candidates = self.rivals + self.txids
        drop = [] if dropped is None or not candidates else [candidates[dropped % len(candidates)]]
        with suppress(SimnetError):
            self.world.net.reorg(depth, drop=drop)

    @rule(which=PICK)
    def double_spend(self, which: int) -> None:
        with suppress(SimnetError):
            self.rivals.append(self.world.net.double_spend(self.txids[which % len(self.txids)]).rival)

    # --- The node ------------------------------------------------------------------------------------------------

    @rule(
        method=st.sampled_from(["list_since", "get_transactions", "prepare", "submit", "hold", "release"]),
        kind=st.sampled_from(["refuse", "timeout-before", "timeout-after"]),
    )
    def fail(self, method: str, kind: str) -> None:
        self.world.net.fault(method, kind)

    @rule()
    def restart_node(self) -> None:
        self.world.net.forget_locks()

    # --- The daemon ----------------------------------------------------------------------------------------------

    @rule(which=PICK)
    def notify(self, which: int) -> None:
        self.attempt(lambda: self.world.updater.handle_wallet_notify(self.txids[which % len(self.txids)]))

    @rule()
    def poll(self) -> None:
        self.attempt(self.world.updater.poll)

    @rule()
    def rescan(self) -> None:
        self.attempt(lambda: scan(self.world.updater))

    @rule(wallet=st.sampled_from(["shop", "other"]))
    def broadcast(self, wallet: str) -> None:
        self.attempt(lambda: self.world.broadcast(wallet))

    def attempt(self, work: Callable[[], object]) -> None:
        with suppress(BackendError):
            work()

    # --- The application -----------------------------------------------------------------------------------------

    @rule(sender=st.integers(0, 2), amount=AMOUNTS)
    def withdraw(self, sender: int, amount: Decimal) -> None:
        payee = outside(len(self.payees))
        with suppress(NotEnoughAccountBalance):
            self.payees[self.world.withdraw(payee, str(amount), self.accounts[sender])] = payee

    @rule(sender=st.integers(0, 2), amount=AMOUNTS, to=st.integers(0, ADDRESSES - 1))
    def withdraw_to_ourselves(self, sender: int, amount: Decimal, to: int) -> None:
        with suppress(NotEnoughAccountBalance):
            self.world.withdraw(self.addresses[to], str(amount), self.accounts[sender], force_external=True)

    @precondition(lambda self: self.payees)
    @rule(which=PICK)
    def cancel(self, which: int) -> None:
        withdrawal = sorted(self.payees)[which % len(self.payees)]
        with suppress(LedgerError):
            Teller(self.world.coin, self.world.app.conflict_resolver).cancel_withdrawal(
                self.world.row(withdrawal).wallet_id, withdrawal
            )

    @rule(which=PICK)
    def acknowledge(self, which: int) -> None:
        rows = self.world.rows("deposit", "withdrawal")
        with suppress(LedgerError):
            self.world.acknowledge(rows[which % len(rows)].id)

    # --- What must hold ------------------------------------------------------------------------------------------

    @invariant()
    def books_are_right_in_themselves(self) -> None:
        self.world.check()

    @invariant()
    def nobody_is_paid_twice_or_after_a_refund(self) -> None:
        for row in self.world.rows("withdrawal"):
            payee = self.payees.get(row.id)
            if payee is not None:
                paid = self.world.paid(payee)
                assert paid in ([], [row.amount])
                assert not (paid and row.state in ("cancelled", "failed"))

    def teardown(self) -> None:
        try:
            self.settle()
            self.books_are_right_in_themselves()
            self.nobody_is_paid_twice_or_after_a_refund()
            expected = self.world.total() + TOP_UP + self.in_flight() - self.forgotten()
            assert expected == self.world.net.balance()
        finally:
            self.world.close()
            shutil.rmtree(self.directory)

    def settle(self) -> None:
        """Let everything calm down: the node works, the hot wallet is full, blocks come, and all has been looked at."""
        world = self.world
        world.net.clear_faults()
        world.net.forget_locks()
        world.net.fund(TOP_UP)
        world.updater.follow()
        blocks = world.coin.description.coinbase_maturity + 1
        # What is credited, a reward that is mature or a payment to ourselves, may lift an account to zero, and let go
        # what was held; so until nothing leaves any more.
        for _ in range(20):
            world.net.mine(blocks)
            world.updater.poll()
            blocks = world.coin.confirmation_count
            if sum(world.broadcast(wallet).count for wallet in ("shop", "other")) == 0:
                break
        # Whose coins are only reserved, and whose broadcast the chain has not refused for certain, waits; and so does
        # what an account below zero has asked for.
        for row in world.rows("withdrawal"):
            if row.state == "pending" and world.balance(row.sending_account_id) >= 0:
                assert [each.state for each in world.network_rows("broadcast") if each.closed_at is None]

    def in_flight(self) -> Decimal:
        """Add up what left the books and is still, or again, in the hot wallet."""
        carriers = {row.id: row for row in self.world.network_rows("broadcast")}
        carried = {id_ for id_, row in carriers.items() if self.world.is_carried(row.txid)}
        amounts = [
            row.amount
            for row in self.world.rows("withdrawal")
            if row.state not in ("cancelled", "failed") and row.network_transaction_id not in carried
        ]
        fees = [row.amount for row in self.world.rows("network_fee") if row.network_transaction_id not in carried]
        return sum(amounts + fees, Decimal(0))

    def forgotten(self) -> Decimal:
        """Add up what was credited, was reorganised away, and is neither waiting in a mempool nor double-spent.

        A node calls it unconfirmed. It may come back at any time, so its credit stands.
        """
        carriers = {row.id: row.txid for row in self.world.network_rows("deposit")}
        return sum(
            (
                row.amount
                for row in self.world.rows("deposit")
                if row.credited_at is not None
                and row.state != "reversed"
                and not self.world.is_carried(carriers[row.network_transaction_id])
            ),
            Decimal(0),
        )


def explore(template: Path, **options: int | bool) -> None:
    AnyHistory.template = template
    logging.disable(logging.ERROR)  # the simulated network says at each opening that it is one
    try:
        run_state_machine_as_test(
            AnyHistory,
            settings=settings(deadline=None, suppress_health_check=list(HealthCheck), **options),  # type: ignore[arg-type]
        )
    finally:
        logging.disable(logging.NOTSET)


def test_books_survive_any_history(sqlite_template: Path) -> None:
    explore(sqlite_template, max_examples=20, stateful_step_count=25, derandomize=True)


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_books_survive_many_histories(sqlite_template: Path) -> None:
    explore(sqlite_template, max_examples=150, stateful_step_count=50)
