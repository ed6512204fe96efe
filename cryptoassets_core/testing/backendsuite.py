"""The conformance suite for backends, the successor of ``CoinTestCase``: what the kernel relies on, as tests.

An author inherits it, says which class is under test and what it can do, and supplies the outside world::

    class TestMyBackend(BackendSuite):
        backend_class = MyBackend
        can_receive = can_mine = can_send = True

        @pytest.fixture
        def world(self):
            with closing(MyWorld()) as world:
                yield world
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from cryptoassets_core.backend.base import BlockHash, CoinBackend, OneShotBackend, TwoStepBackend
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_core.errors import (
    BackendRejectedError,
    BackendUnavailableError,
    OutcomeUnknownError,
)
from cryptoassets_core.testing.backendbooks import Bookkeeping
from cryptoassets_core.testing.backendreceiving import UNKNOWN_TXID, Receiving
from cryptoassets_core.testing.backendsending import Sending, send, try_to_send, two_step
from cryptoassets_core.testing.backendworld import BackendWorld
from cryptoassets_core.testing.suite import needs


class BackendSuite(Receiving, Sending, Bookkeeping, defines_capabilities=True):
    """Inherit it in a class whose name begins with ``Test``; define the fixture ``world`` in it or beside it.

    Declare what the backend can do by setting capabilities to True; whether it sends in one step or in two is read off
    its class. Tests of what is not declared are not collected.
    """

    #: The class under test.
    backend_class: ClassVar[type[CoinBackend]] = CoinBackend

    #: It makes receiving addresses.
    can_create_addresses = False
    #: ``world.pay()`` pays the wallet, and the backend tells of it.
    can_receive = False
    #: ``world.mine()`` adds blocks.
    can_mine = False
    #: ``list_since`` leaves out what is deep and was told before.
    can_list_changes = False
    #: ``world.reorganise()`` replaces blocks.
    can_reorg = False
    #: ``world.double_spend()`` makes a deposit impossible.
    can_double_spend = False
    #: ``world.reward()`` pays block rewards to the wallet.
    can_reward = False
    #: ``world.fund()`` gives coins to spend, and the backend spends them.
    can_send = False
    #: The fee is known when something is sent, and told with the transaction later.
    can_tell_fee = False
    #: An address that cannot be paid is refused by name.
    can_tell_bad_recipient = False
    #: A payment too small for the network is refused by name.
    can_tell_dust = False
    #: The backend names blocks: the tip is the best block's hash and changes with every block, and each confirmed
    #: transaction tells its own. A hosted service may not say; then what it tells changes with its transactions only.
    knows_blocks = True
    #: ``hold()`` reserves coins in the wallet itself, for every backend on it. Where nobody can, the kernel's books and
    #: this process keep others from the coins.
    can_reserve = True
    #: ``check()`` finds out on which network the backend is; ``world.misplaced_backend()`` is on a wrong one.
    can_tell_network = False
    #: ``world.down()`` makes the network's side unreachable.
    can_go_down = False
    #: ``world.losing_answers()`` loses answers of calls that were carried out.
    can_lose_answers = False
    # Read off the class under test.
    can_send_in_two_steps = can_send_in_one_go = False

    def __init_subclass__(cls, **options: Any) -> None:
        cls.can_send_in_two_steps = issubclass(cls.backend_class, TwoStepBackend)
        cls.can_send_in_one_go = issubclass(cls.backend_class, OneShotBackend) and not cls.can_send_in_two_steps
        super().__init_subclass__(**options)

    def test_the_world_has_the_backend_that_the_suite_names(self, world: BackendWorld) -> None:
        assert isinstance(world.backend, self.backend_class)
        assert self.backend_class is not CoinBackend, "name the class under test: backend_class = …"

    def test_it_is_ready(self, world: BackendWorld) -> None:
        world.backend.check()
        assert type(world.backend.get_tip()) is str

    @needs("can_tell_network")
    def test_another_network_is_refused(self, world: BackendWorld) -> None:
        """Or deposits of play money are credited, and withdrawals go to addresses that look alike."""
        with pytest.raises(BackendRejectedError):
            world.misplaced_backend().check()

    # --- Addresses and balance ------------------------------------------------------------------------------

    @needs("can_create_addresses")
    def test_addresses_are_new_valid_and_canonical(self, world: BackendWorld) -> None:
        rules = world.backend.coin.networks[world.backend.network]
        addresses = [world.backend.create_address(f"label-{number}") for number in range(3)]
        assert len(set(addresses)) == 3
        assert [canonical_address(address, rules) for address in addresses] == addresses

    @needs("can_create_addresses")
    @pytest.mark.parametrize("label", ["a", "btc-account-12-0f3a5b7c9d1e2f40", "A_b-9", "x" * 80])
    def test_every_label_of_the_kernel_is_taken(self, world: BackendWorld, label: str) -> None:
        assert world.backend.create_address(label)

    @needs("can_create_addresses")
    def test_threads_make_different_addresses(self, world: BackendWorld) -> None:
        labels = [f"thread-{number}" for number in range(12)]
        with ThreadPoolExecutor(4) as pool:
            addresses = list(pool.map(world.backend.create_address, labels))
        assert len(set(addresses)) == len(labels)

    def test_threads_share_a_backend(self, world: BackendWorld) -> None:
        with ThreadPoolExecutor(4) as pool:
            tips = list(pool.map(lambda _: _read_all(world.backend), range(12)))
        assert len(set(tips)) == 1

    def test_an_empty_wallet_has_nothing_and_knows_nothing(self, world: BackendWorld) -> None:
        balance = world.backend.get_backend_balance()
        assert type(balance) is Decimal
        assert balance == 0
        assert world.backend.get_transactions([UNKNOWN_TXID]) == {}
        assert world.backend.get_transactions([]) == {}
        assert list(world.backend.list_since(None, depth=1).transactions) == []

    # --- Errors told apart ----------------------------------------------------------------------------------

    @needs("can_go_down")
    def test_what_is_down_is_unavailable_and_comes_back(self, world: BackendWorld) -> None:
        """Catches a swallowed error, which would look like an empty wallet."""
        with world.down():
            for name, call in _reads(world.backend).items():
                with pytest.raises(BackendUnavailableError):
                    pytest.fail(f"{name} answered {call()!r}")
        _read_all(world.backend)

    @needs("can_go_down", "can_create_addresses")
    def test_an_address_that_is_not_made_is_said(self, world: BackendWorld) -> None:
        with world.down(), pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
            world.backend.create_address("label")
        assert world.backend.create_address("label-2")

    @needs("can_go_down", "can_send")
    def test_what_is_down_sends_nothing_for_certain(self, world: BackendWorld) -> None:
        world.fund(world.payment)
        recipients = {world.outside_address(): world.payment / 2}
        with world.down(), pytest.raises(BackendUnavailableError):
            try_to_send(world, recipients)
        assert world.backend.get_backend_balance() == world.payment
        send(world, recipients)

    @needs("can_lose_answers")
    def test_a_read_without_an_answer_is_no_answer(self, world: BackendWorld) -> None:
        with world.losing_answers():
            for name, call in _reads(world.backend).items():
                with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
                    pytest.fail(f"{name} answered {call()!r}")
        world.backend.check()

    @needs("can_lose_answers", "can_send", "can_send_in_two_steps")
    def test_a_submission_without_an_answer_is_in_doubt_until_it_is_repeated(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        backend = two_step(world)
        prepared = backend.prepare({world.outside_address(): world.payment})
        with world.losing_answers(), pytest.raises((BackendUnavailableError, OutcomeUnknownError)) as lost:
            backend.submit(prepared)
        world.sync()
        left = backend.get_backend_balance()
        if left != world.payment * 10:
            assert isinstance(lost.value, OutcomeUnknownError), "it was published: nobody may think it was not"
        backend.submit(prepared)
        world.sync()
        assert backend.get_backend_balance() == world.payment * 9 - prepared.fee

    @needs("can_lose_answers", "can_send", "can_send_in_one_go")
    def test_a_payment_without_an_answer_is_in_doubt(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        with world.losing_answers(), pytest.raises((BackendUnavailableError, OutcomeUnknownError)) as lost:
            try_to_send(world, {world.outside_address(): world.payment})
        world.sync()
        if world.backend.get_backend_balance() != world.payment * 10:
            assert isinstance(lost.value, OutcomeUnknownError), "it was sent: nobody may think it was not"


def _read_all(backend: CoinBackend) -> BlockHash:
    for call in _reads(backend).values():
        call()
    return backend.get_tip()


def _reads(backend: CoinBackend) -> dict[str, Callable[[], object]]:
    return {
        "check": backend.check,
        "get_tip": backend.get_tip,
        "list_since": lambda: backend.list_since(None, depth=1),
        "list_since with a checkpoint": lambda: backend.list_since(BlockHash("ab" * 32), depth=1),
        "get_transactions": lambda: backend.get_transactions([UNKNOWN_TXID]),
        "get_backend_balance": backend.get_backend_balance,
    }
