"""Any sequence of operations leaves the books as a plain model says, and the audit content."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from kit import PaperBackend, Till, address, seen

from cryptoassets_core.errors import (
    BackendUnavailableError,
    IdempotencyConflictError,
    LedgerError,
    NotEnoughAccountBalance,
    SameAccount,
)
from cryptoassets_core.ledger.withdrawal import fail_withdrawal
from cryptoassets_core.models.wallet import Transfer

WALLETS = ["first", "second"]
NAMES = ["a", "b", "c"]
NEEDED = 3
FEE = Decimal("0.00001")

accounts = st.sampled_from([(wallet, name) for wallet in WALLETS for name in NAMES])
names = st.sampled_from(NAMES)
wallets = st.sampled_from(WALLETS)
amounts = st.sampled_from([Decimal(text) for text in ("0.00001", "0.1", "0.3", "1", "2.5")])
keys = st.sampled_from([None, None, "k1", "k2", "k3"])


@dataclass
class Deposit:
    """What the model knows of a network transaction: one amount for one account."""

    account: tuple[str, str]
    amount: Decimal
    confirmations: int = -1
    credited: bool = False


@dataclass
class Withdrawal:
    id: int
    account: tuple[str, str]
    amount: Decimal
    state: str = "pending"
    carrier: int | None = None


@dataclass
class Broadcast:
    state: str = "collected"
    carried: list[Withdrawal] = field(default_factory=list)


class BooksMachine(RuleBasedStateMachine):
    """The books, and beside them a model of a few dictionaries."""

    till: Till
    withdrawals = Bundle("withdrawals")
    number = 0

    @initialize()
    def open_books(self) -> None:
        # Fresh wallets for each run, in the books of one test.
        BooksMachine.number += 1
        self.run = BooksMachine.number
        self.balances: dict[tuple[str, str], Decimal] = {(w, n): Decimal(0) for w in WALLETS for n in NAMES}
        self.fees = dict.fromkeys(WALLETS, Decimal(0))
        self.keys: dict[tuple[str, str], tuple[Any, int]] = {}
        self.deposits: dict[int, Deposit] = {}
        self.broadcasts: dict[str, Broadcast] = {}
        self.made: list[Withdrawal] = []
        self.ids = {(w, n): self.till.account(n, wallet=self.named(w)) for w, n in self.balances}
        self.addresses = {
            key: self.till.receiving_address(id_, (self.run, key), wallet=self.named(key[0]))
            for key, id_ in self.ids.items()
        }
        self.backends = {wallet: PaperBackend(fee=str(FEE)) for wallet in WALLETS}

    def named(self, wallet: str) -> str:
        return f"{wallet} {self.run}"

    def do(self, wallet: str, work: Any) -> Any:
        return self.till.do(self.named(wallet), work)

    def move(self, account: tuple[str, str], amount: Decimal) -> None:
        self.balances[account] += amount

    def expected(self, wallet: str, key: str | None, arguments: Any) -> int | type[LedgerError] | None:
        """What a key answers: an earlier id, a conflict, or nothing."""
        if key is None or (wallet, key) not in self.keys:
            return None
        before, id_ = self.keys[wallet, key]
        return id_ if before == arguments else IdempotencyConflictError

    # --- Rules ----------------------------------------------------------------------------------------------

    @rule(account=accounts, amount=amounts)
    def import_coins(self, account: tuple[str, str], amount: Decimal) -> None:
        self.do(account[0], lambda wallet: wallet.import_balance(self.ids[account], amount))
        self.move(account, amount)

    @rule(wallet=wallets, sender=names, receiver=names, amount=amounts, key=keys, by_address=st.booleans())
    def transfer(
        self, wallet: str, sender: str, receiver: str, amount: Decimal, key: str | None, by_address: bool
    ) -> None:
        a, b = (wallet, sender), (wallet, receiver)
        to = self.addresses[b] if by_address else self.ids[b]
        arguments = ("internal", sender, receiver, amount, by_address)

        def work(w: Any) -> int:
            send = w.send if by_address else w.send_internal
            return send(self.ids[a], to, amount, None, idempotency_key=key).id

        before = self.expected(wallet, key, arguments)
        if sender == receiver:
            with pytest.raises(SameAccount):
                self.do(wallet, work)
        elif before is IdempotencyConflictError:
            with pytest.raises(IdempotencyConflictError):
                self.do(wallet, work)
        elif before is not None:
            assert self.do(wallet, work) == before
        elif self.balances[a] < amount:
            with pytest.raises(NotEnoughAccountBalance) as refusal:
                self.do(wallet, work)
            assert refusal.value.available == self.balances[a]
        else:
            id_ = self.do(wallet, work)
            self.move(a, -amount)
            self.move(b, amount)
            if key:
                self.keys[wallet, key] = arguments, id_

    @rule(wallet=wallets, moves=st.lists(st.tuples(st.permutations(NAMES), amounts), min_size=1, max_size=4))
    def batch(self, wallet: str, moves: list[tuple[list[str], Decimal]]) -> None:
        after = dict(self.balances)
        failing = None
        for place, ((sender, receiver, _), amount) in enumerate(moves):
            if after[wallet, sender] < amount:
                failing = place
                break
            after[wallet, sender] -= amount
            after[wallet, receiver] += amount

        def work(w: Any) -> list[int]:
            return w.send_internal_many(
                [Transfer(self.ids[wallet, names[0]], self.ids[wallet, names[1]], amount) for names, amount in moves]
            )

        if failing is None:
            assert len(set(self.do(wallet, work))) == len(moves)
            self.balances = after
        else:
            with pytest.raises(NotEnoughAccountBalance) as refusal:
                self.do(wallet, work)
            assert refusal.value.item == failing

    @rule(account=accounts, other=accounts, amount=amounts)
    def other_wallets_account_is_refused(
        self, account: tuple[str, str], other: tuple[str, str], amount: Decimal
    ) -> None:
        if account[0] != other[0]:
            with pytest.raises(LedgerError):
                self.do(
                    account[0], lambda wallet: wallet.send_internal(self.ids[account], self.ids[other], amount, None)
                )

    @rule(target=withdrawals, account=accounts, amount=amounts, key=keys, payee=st.integers(1, 2))
    def withdraw(self, account: tuple[str, str], amount: Decimal, key: str | None, payee: int) -> Any:
        arguments = ("withdrawal", account[1], amount, payee)

        def work(wallet: Any) -> int:
            return wallet.send_external(self.ids[account], address(payee), amount, None, idempotency_key=key).id

        before = self.expected(account[0], key, arguments)
        if before is IdempotencyConflictError:
            with pytest.raises(IdempotencyConflictError):
                self.do(account[0], work)
        elif before is not None:
            assert self.do(account[0], work) == before
        elif self.balances[account] < amount:
            with pytest.raises(NotEnoughAccountBalance):
                self.do(account[0], work)
        else:
            made = Withdrawal(self.do(account[0], work), account, amount)
            self.move(account, -amount)
            self.made.append(made)
            if key:
                self.keys[account[0], key] = arguments, made.id
            return made
        return multiple()

    @rule(withdrawal=withdrawals, failed=st.booleans())
    def give_up(self, withdrawal: Withdrawal, failed: bool) -> None:
        wallet = withdrawal.account[0]

        def work(w: Any) -> None:
            if failed:
                fail_withdrawal(w.session(), w.books(), transaction_id=withdrawal.id, reason="dust")
            else:
                w.cancel_withdrawal(withdrawal.id)

        if withdrawal.state == "cancelled" and not failed:
            self.do(wallet, work)
        elif withdrawal.state == "pending" and not self.is_signed(withdrawal):
            self.do(wallet, work)
            withdrawal.state = "failed" if failed else "cancelled"
            self.move(withdrawal.account, withdrawal.amount)
            if wallet in self.broadcasts and withdrawal in self.broadcasts[wallet].carried:
                self.broadcasts[wallet].carried.remove(withdrawal)
        else:
            with pytest.raises(LedgerError):
                self.do(wallet, work)

    def is_signed(self, withdrawal: Withdrawal) -> bool:
        broadcast = self.broadcasts.get(withdrawal.account[0])
        return broadcast is not None and broadcast.state == "prepared" and withdrawal in broadcast.carried

    @rule(withdrawal=withdrawals)
    def cancel_from_another_wallet(self, withdrawal: Withdrawal) -> None:
        (other,) = {*WALLETS} - {withdrawal.account[0]}
        with pytest.raises(LedgerError):
            self.do(other, lambda wallet: wallet.cancel_withdrawal(withdrawal.id))

    @rule(wallet=wallets)
    def collect(self, wallet: str) -> None:
        carried = sorted(
            (w for w in self.made if w.account[0] == wallet and w.state == "pending"), key=lambda made: made.id
        )
        collected = self.broadcaster(wallet).collect_for_broadcast()
        if wallet in self.broadcasts or not carried:
            assert collected == 0
        else:
            assert collected == len(carried)
            self.broadcasts[wallet] = Broadcast(carried=carried)

    @rule(wallet=wallets, published=st.booleans())
    def send(self, wallet: str, published: bool) -> None:
        backend = self.backends[wallet]
        backend.submit_error = None if published else BackendUnavailableError("down")
        self.till.execute("UPDATE btc_network_transaction SET next_attempt_at = NULL WHERE next_attempt_at IS NOT NULL")
        self.broadcaster(wallet).send_broadcasts()
        broadcast = self.broadcasts.get(wallet)
        if broadcast is None:
            return
        if broadcast.state == "collected" and not broadcast.carried:
            del self.broadcasts[wallet]  # all of it was called back
            return
        broadcast.state = "prepared"
        if published:
            for withdrawal in broadcast.carried:
                withdrawal.state = "broadcasted"
            self.fees[wallet] -= FEE
            del self.broadcasts[wallet]

    def broadcaster(self, wallet: str) -> Any:
        return self.till.broadcaster(self.backends[wallet], wallet=self.named(wallet))

    @rule(withdrawal=withdrawals)
    def acknowledge(self, withdrawal: Withdrawal) -> None:
        wallet = withdrawal.account[0]
        if withdrawal.state in ("broadcasted", "processed"):
            self.do(wallet, lambda w: w.mark_transaction_processed(withdrawal.id))
            withdrawal.state = "processed"
        else:
            with pytest.raises(LedgerError):
                self.do(wallet, lambda w: w.mark_transaction_processed(withdrawal.id))

    @rule(account=accounts, amount=amounts, name=st.integers(1, 4), confirmations=st.integers(0, 5))
    def chain_grows(self, account: tuple[str, str], amount: Decimal, name: int, confirmations: int) -> None:
        deposit = self.deposits.setdefault(name, Deposit(account, amount))
        deposit.confirmations = confirmations
        to = self.addresses[deposit.account]
        self.till.chain_says(seen((self.run, name), {to: deposit.amount}, confirmations))
        if confirmations >= NEEDED and not deposit.credited:
            deposit.credited = True
            self.move(deposit.account, deposit.amount)

    @rule(name=st.integers(1, 4), confirmations=st.integers(-3, -1))
    def chain_takes_back(self, name: int, confirmations: int) -> None:
        self.till.chain_says(seen((self.run, name), {}, confirmations))
        deposit = self.deposits.get(name)
        if deposit is not None:
            deposit.confirmations = confirmations
            if deposit.credited:
                deposit.credited = False
                self.move(deposit.account, -deposit.amount)

    # --- What always holds ----------------------------------------------------------------------------------

    @invariant()
    def books_are_what_the_model_says(self) -> None:
        if not hasattr(self, "ids"):
            return
        assert {key: self.till.balance(id_) for key, id_ in self.ids.items()} == self.balances
        for wallet in WALLETS:
            own = sum((balance for (w, _), balance in self.balances.items() if w == wallet), Decimal(0))
            assert self.do(wallet, lambda w: w.balance) == own + self.fees[wallet]
        assert {w.id: str(self.till.row(w.id).state) for w in self.made} == {w.id: w.state for w in self.made}
        incoming = {key: Decimal(0) for key in self.ids}
        for deposit in self.deposits.values():
            if not deposit.credited and deposit.confirmations >= 0:
                incoming[deposit.account] += deposit.amount
        model = self.till.coin.account_model
        assert incoming == self.till.run(
            lambda session: {
                key: session.get_one(model, id_).get_unconfirmed_balance() for key, id_ in self.ids.items()
            }
        )

    @invariant()
    def audit_is_content(self) -> None:
        assert self.till.audit() == []


def test_books_follow_the_model(till: Till) -> None:
    BooksMachine.till = till
    run_state_machine_as_test(
        BooksMachine,
        settings=settings(
            max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
