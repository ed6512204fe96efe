"""The part of the backend suite that keeps books: what a shop does all day, with the backend under its accounts.

The other parts ask the backend; these ask the books that the kernel makes of its answers. A backend may be right in
each answer and the whole still be wrong, above all by a fee that nobody booked.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_core.amounts import BIGINT_DECIMALS
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.database import connect
from cryptoassets_core.errors import NotEnoughAccountBalance, SameAccount
from cryptoassets_core.testing.apps import CoinUnderTest
from cryptoassets_core.testing.backendreceiving import odd
from cryptoassets_core.testing.backendworld import BackendWorld
from cryptoassets_core.testing.models import models_of
from cryptoassets_core.testing.suite import ConformanceSuite, needs

#: Confirmations after which the shop credits a deposit.
_CREDITED_AT = 3


def paid_in(world: BackendWorld, shop: CoinUnderTest, account: int, payments: int) -> Decimal:
    """Have somebody outside pay an account so many usual payments and a bit, until it is credited."""
    amount = odd(world, payments)
    world.pay([(shop.new_address(account), amount)])
    world.mine(_CREDITED_AT)
    shop.follow()
    assert shop.balance(account) == amount
    return amount


def settle(world: BackendWorld, shop: CoinUnderTest) -> int:
    """Send what waits, and mine until the books consider it final; returns how many transactions were sent."""
    sent = shop.broadcast()
    world.sync()
    world.mine(_CREDITED_AT)
    shop.follow()
    return sent


class Bookkeeping(ConformanceSuite, defines_capabilities=True):
    """Tests of a shop with two customers."""

    can_tell_fee = False

    @pytest.fixture
    def books_url(self, request: pytest.FixtureRequest, tmp_path: Path, world: BackendWorld) -> str:
        """URL of an empty database: SQLite, or PostgreSQL if the coin has more decimals than that can hold."""
        if world.backend.coin.decimals > BIGINT_DECIMALS:
            return str(request.getfixturevalue("postgres_url"))
        return f"sqlite:///{tmp_path / 'shop.sqlite'}"

    @pytest.fixture
    def shop(self, books_url: str, world: BackendWorld) -> Iterator[CoinUnderTest]:
        """Books of the backend's coin, in which nothing is written yet."""
        app = CryptoAssetsApp()
        app.engine = connect(books_url)
        backend = world.backend
        coin = Coin(models_of(backend.coin), backend, network=backend.network, confirmation_count=_CREDITED_AT)
        app.coins.register(coin)
        app.setup_session()
        app.create_tables()
        yield CoinUnderTest(app, coin.name)
        coin.backend = None  # the world closes it
        app.close()

    def test_customers_pay_each_other_whatever_the_backend_is(self, world: BackendWorld, shop: CoinUnderTest) -> None:
        alice, bob = shop.new_account("alice"), shop.new_account("bob")
        shop.top_up(alice, odd(world, 2))
        shop.pay_inside(alice, bob, odd(world))
        with pytest.raises(NotEnoughAccountBalance):
            shop.pay_inside(alice, bob, odd(world))
        with pytest.raises(SameAccount):
            shop.pay_inside(bob, bob, odd(world))
        assert (shop.balance(alice), shop.balance(bob)) == (odd(world, 2) - odd(world), odd(world))
        assert shop.audit() == []

    @needs("can_create_addresses")
    def test_each_customer_gets_addresses_that_the_books_take(self, world: BackendWorld, shop: CoinUnderTest) -> None:
        accounts = [shop.new_account(name) for name in ("alice", "bob")]
        addresses = [shop.new_address(account) for account in accounts for _ in range(2)]
        assert len(set(addresses)) == 4
        assert [shop.owner(address) for address in addresses] == [account for account in accounts for _ in range(2)]

    @needs("can_receive", "can_mine")
    def test_a_deposit_is_credited_when_it_is_deep_enough_and_once(
        self, world: BackendWorld, shop: CoinUnderTest
    ) -> None:
        alice = shop.new_account("alice")
        world.pay([(shop.new_address(alice), odd(world))])
        balances = []
        for _ in range(_CREDITED_AT + 3):
            shop.follow()
            balances.append(shop.balance(alice))
            world.mine()
        assert balances == [Decimal(0)] * _CREDITED_AT + [odd(world)] * 3
        assert shop.audit() == []

    @needs("can_receive", "can_mine")
    def test_every_output_reaches_its_customer(self, world: BackendWorld, shop: CoinUnderTest) -> None:
        alice, bob = shop.new_account("alice"), shop.new_account("bob")
        hers, his = shop.new_address(alice), shop.new_address(bob)
        world.pay([(hers, odd(world)), (his, odd(world, 2)), (hers, odd(world, 3))])
        world.pay([(his, odd(world, 4))])
        world.mine(_CREDITED_AT)
        shop.follow()
        assert shop.balance(alice) == odd(world) + odd(world, 3)
        assert shop.balance(bob) == odd(world, 2) + odd(world, 4)
        assert shop.unexplained() == 0

    @needs("can_receive", "can_mine", "can_send")
    def test_a_withdrawal_is_paid_once_and_all_it_cost_is_booked(
        self, world: BackendWorld, shop: CoinUnderTest
    ) -> None:
        """What the books owe is what the wallet holds, to the smallest unit."""
        alice = shop.new_account("alice")
        amount = paid_in(world, shop, alice, 9)
        for number in (1, 2):
            shop.withdraw(alice, world.outside_address(), odd(world, number))
        assert shop.balance(alice) == amount - odd(world) - odd(world, 2), "withdrawals are reserved when asked for"
        assert settle(world, shop) == 1, "they are paid together"
        assert settle(world, shop) == 0, "they are paid once"
        assert shop.balance(alice) == amount - odd(world) - odd(world, 2)
        if self.can_tell_fee:
            assert shop.unexplained() == 0
        assert shop.audit() == []

    @needs("can_receive", "can_mine", "can_send")
    def test_a_withdrawal_to_a_customer_is_one_debit_and_one_credit(
        self, world: BackendWorld, shop: CoinUnderTest
    ) -> None:
        alice, bob = shop.new_account("alice"), shop.new_account("bob")
        amount = paid_in(world, shop, alice, 9)
        shop.withdraw(alice, shop.new_address(bob), odd(world), force_external=True)
        settle(world, shop)
        assert (shop.balance(alice), shop.balance(bob)) == (amount - odd(world), odd(world))
        if self.can_tell_fee:
            assert shop.unexplained() == 0
        assert shop.audit() == []

    @needs("can_receive", "can_mine", "can_send", "can_go_down")
    def test_what_happens_while_the_backend_is_down_happens_afterwards(
        self, world: BackendWorld, shop: CoinUnderTest
    ) -> None:
        alice, bob = shop.new_account("alice"), shop.new_account("bob")
        amount = paid_in(world, shop, alice, 9)
        his = shop.new_address(bob)
        world.pay([(his, odd(world, 2))])
        with world.down():
            shop.withdraw(alice, world.outside_address(), odd(world))
            shop.pay_inside(alice, bob, odd(world))
        world.mine(_CREDITED_AT + 2)
        shop.follow()
        assert settle(world, shop) == 1
        assert (shop.balance(alice), shop.balance(bob)) == (amount - odd(world) * 2, odd(world) + odd(world, 2))
        assert shop.audit() == []

    @needs("can_receive", "can_mine", "can_double_spend")
    def test_a_deposit_that_the_chain_takes_back_is_taken_back(self, world: BackendWorld, shop: CoinUnderTest) -> None:
        alice = shop.new_account("alice")
        txid = world.pay([(shop.new_address(alice), odd(world))])
        world.mine(_CREDITED_AT)
        shop.follow()
        assert shop.balance(alice) == odd(world)
        world.double_spend(txid)
        shop.follow()
        assert shop.balance(alice) == 0
        assert shop.audit() == []
