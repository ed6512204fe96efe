"""What the processes of the concurrency tests do; each opens the books by itself."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from kit import PaperBackend, Till, address, open_till, seen

from cryptoassets_core.errors import CannotResolveDatabaseConflict, LedgerError, NotEnoughAccountBalance
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer


def in_threads_of(url: str, barrier: Any, results: Any, work: str, jobs: Sequence[Any]) -> None:
    """Do a share of many calls at once, and report how each ended."""
    with open_till(url, retries=200) as till:
        barrier.wait()
        outcomes: Counter[str] = Counter()
        for job in jobs:
            try:
                CALLS[work](till, *job)
                outcomes["done"] += 1
            except NotEnoughAccountBalance:
                outcomes["refused"] += 1
        results.put(outcomes)


def send_everything(till: Till, sender: int, receiver: int) -> None:
    """Read a balance and send it all, as an application would."""

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, sender)
        if account.balance <= 0:
            raise NotEnoughAccountBalance(account_id=sender, needed=Decimal(1), available=account.balance, symbol="btc")
        wallet.send_internal(account, receiver, account.balance, None)

    till.do("shop", work)


def send_amount(till: Till, sender: int, receiver: int, amount: Decimal) -> None:
    """Send a fixed amount on its own, without reading first."""
    till.teller.send_internal(
        TransferOrder(wallet_id=1, sending_account_id=sender, receiving_account_id=receiver, amount=amount)
    )


def withdraw_amount(till: Till, sender: int, amount: Decimal) -> None:
    till.do("shop", lambda wallet: wallet.send_external(sender, address("payee"), amount, None))


CALLS: dict[str, Callable[..., None]] = {
    "send everything": send_everything,
    "send amount": send_amount,
    "withdraw": withdraw_amount,
}


class Customer:
    """Does at random what an application and its daemon do, and keeps count."""

    def __init__(self, till: Till, accounts: Sequence[int], seed: int) -> None:
        self.till, self.accounts = till, list(accounts)
        self.random = random.Random(seed)
        self.seed = seed
        self.serial = count()
        self.outcomes: Counter[str] = Counter()
        self.withdrawals: list[int] = []
        self.backend = PaperBackend(fee="0.00000001")

    def step(self) -> None:
        action = self.random.choices(
            [self.transfer, self.teller, self.batch, self.withdraw, self.cancel, self.deposit, self.broadcast],
            [6, 6, 1, 3, 3, 3, 1],
        )[0]
        try:
            action()
            self.outcomes[action.__name__] += 1
        except NotEnoughAccountBalance:
            self.outcomes["refused"] += 1
        except CannotResolveDatabaseConflict:
            self.outcomes["gave up"] += 1

    def order(self) -> TransferOrder:
        sender, receiver = self.random.sample(self.accounts, 2)
        amount = Decimal(self.random.randint(1, 30)).scaleb(-1)
        return TransferOrder(wallet_id=1, sending_account_id=sender, receiving_account_id=receiver, amount=amount)

    def transfer(self) -> None:
        order = self.order()
        key = f"{self.seed} {next(self.serial)}"
        for _ in range(self.random.choice([1, 1, 2])):
            self.till.do(
                1,
                lambda wallet: wallet.send_internal(
                    order.sending_account_id, order.receiving_account_id, order.amount, None, idempotency_key=key
                ),
            )

    def teller(self) -> None:
        order = replace(self.order(), idempotency_key=f"common {self.random.randint(1, 10**9)}")
        self.till.teller.send_internal(order)

    def batch(self) -> None:
        orders = [self.order() for _ in range(5)]
        self.till.do(
            1,
            lambda wallet: wallet.send_internal_many(
                [Transfer(order.sending_account_id, order.receiving_account_id, order.amount) for order in orders]
            ),
        )

    def withdraw(self) -> None:
        order = self.order()
        to = address(self.random.randint(1, 5))
        self.withdrawals.append(
            self.till.do(1, lambda wallet: wallet.send_external(order.sending_account_id, to, order.amount, None).id)
        )

    def cancel(self) -> None:
        if self.withdrawals:
            id_ = self.withdrawals.pop(self.random.randrange(len(self.withdrawals)))
            try:
                if self.random.random() < 0.5:
                    self.till.teller.cancel_withdrawal(1, id_)
                else:
                    self.till.do(1, lambda wallet: wallet.cancel_withdrawal(id_))
            except LedgerError:
                self.outcomes["too late"] += 1

    def deposit(self) -> None:
        """The chain says something about one of a few transactions, sometimes that it is gone."""
        name = self.random.randint(1, 20)
        confirmations = self.random.choice([-1, 0, 1, 3, 4, 5])
        # All outputs of a transaction stay what they were.
        received = {} if confirmations < 0 else {address(("in", name % len(self.accounts))): "0.7"}
        self.till.chain_says(seen(name, received, confirmations))

    def broadcast(self) -> None:
        self.till.broadcaster(self.backend, wallet="shop").do_broadcasts()


def live(url: str, accounts: Sequence[int], seed: int, seconds: float, results: Any) -> None:
    """Be a customer for some time, then report what happened."""
    with open_till(url, retries=200) as till:
        customer = Customer(till, accounts, seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            customer.step()
        results.put((customer.outcomes, dict(till.app.conflict_resolver.stats)))
