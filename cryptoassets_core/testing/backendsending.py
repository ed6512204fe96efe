"""The part of the backend suite about coins that go out: exactly what was asked, once, or a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import pytest

from cryptoassets_core.backend.base import (
    CoinBackend,
    OneShotBackend,
    PreparedTransaction,
    SentTransaction,
    TwoStepBackend,
    Txid,
)
from cryptoassets_core.errors import (
    BackendRejectedError,
    BroadcastDeadError,
    InsufficientHotWalletFunds,
    InvalidAmountError,
    OutcomeUnknownError,
    RecipientRejectedError,
)
from cryptoassets_core.testing.backendreceiving import HASH, listed, odd, paid, seen
from cryptoassets_core.testing.backendworld import BackendWorld
from cryptoassets_core.testing.suite import ConformanceSuite, needs


def two_step(world: BackendWorld, backend: CoinBackend | None = None) -> TwoStepBackend:
    """Return the backend under test, or another one, as what it is."""
    return cast("TwoStepBackend", backend or world.backend)


def send(world: BackendWorld, recipients: dict[str, Decimal]) -> SentTransaction:
    """Send in the way that the backend has."""
    backend = world.backend
    if isinstance(backend, OneShotBackend):
        sent = backend.send(recipients, "conformance-1")
    else:
        prepared = two_step(world).prepare(recipients)
        two_step(world).hold(prepared)
        sent = SentTransaction(two_step(world).submit(prepared), prepared.fee)
    world.sync()
    return sent


def try_to_send(world: BackendWorld, recipients: dict[str, Decimal]) -> None:
    """Do what must be refused: with two steps that is found out in the first."""
    backend = world.backend
    if isinstance(backend, OneShotBackend):
        backend.send(recipients, "conformance-1")
    else:
        two_step(world).prepare(recipients)


class Sending(ConformanceSuite, defines_capabilities=True):
    """Tests of paying others, in one go or in two steps."""

    can_tell_fee = False

    # --- Either way -----------------------------------------------------------------------------------------

    @needs("can_send")
    def test_a_payment_costs_exactly_what_is_told(self, world: BackendWorld) -> None:
        """Catches a wrong unit, a wrong fee, and a recipient that is paid twice or not at all."""
        world.fund(world.payment * 10)
        before = world.backend.get_backend_balance()
        sent = send(world, {world.outside_address(): odd(world), world.outside_address(): odd(world, 2)})
        assert HASH.fullmatch(sent.txid)
        transaction = seen(world.backend, sent.txid)
        assert (transaction.confirmations, transaction.sent) == (0, odd(world) + odd(world, 2))
        assert transaction.received == (), "change is nobody's deposit"
        spent = before - world.backend.get_backend_balance()
        if transaction.fee is not None:
            assert transaction.fee > 0
            assert spent == transaction.sent + transaction.fee

    @needs("can_send", "can_tell_fee")
    def test_the_fee_is_told_and_exact(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        before = world.backend.get_backend_balance()
        sent = send(world, {world.outside_address(): odd(world)})
        assert type(sent.fee) is Decimal
        assert sent.fee == before - world.backend.get_backend_balance() - odd(world) > 0
        assert seen(world.backend, sent.txid).fee == sent.fee

    @needs("can_send", "can_receive")
    def test_a_payment_to_ourselves_comes_in_and_goes_out(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        own = world.backend.create_address("label")
        sent = send(world, {own: odd(world)})
        transaction = seen(world.backend, sent.txid)
        assert (paid(transaction), transaction.sent) == ([(own, odd(world))], odd(world))
        if self.can_tell_fee:
            assert transaction.fee == sent.fee
        assert listed(world.backend.list_since(None, depth=1))[sent.txid] == transaction

    @needs("can_send", "can_mine")
    def test_a_payment_confirms(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        txid = send(world, {world.outside_address(): world.payment}).txid
        world.mine(2)
        assert seen(world.backend, txid).confirmations == 2

    @needs("can_send")
    def test_too_little_in_the_wallet_is_said_and_spends_nothing(self, world: BackendWorld) -> None:
        world.fund(world.payment)
        with pytest.raises(InsufficientHotWalletFunds):
            try_to_send(world, {world.outside_address(): world.payment})
        assert world.backend.get_backend_balance() == world.payment
        send(world, {world.outside_address(): world.payment / 2})

    @needs("can_send", "can_tell_bad_recipient")
    @pytest.mark.parametrize("bad", ["nonsense", ""])
    def test_a_bad_recipient_is_named_and_the_others_can_be_paid(self, world: BackendWorld, bad: str) -> None:
        world.fund(world.payment * 10)
        batch = {world.outside_address(): world.payment, bad: world.payment, world.outside_address(): world.payment}
        with pytest.raises(RecipientRejectedError) as refused:
            try_to_send(world, batch)
        assert refused.value.address == bad
        assert world.backend.get_backend_balance() == world.payment * 10
        del batch[bad]
        send(world, batch)

    @needs("can_send", "can_tell_dust")
    def test_dust_is_refused_and_named(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        unit, small = world.backend.coin.minor_unit, world.outside_address()
        with pytest.raises(RecipientRejectedError) as refused:
            try_to_send(world, {world.outside_address(): world.payment, small: unit})
        assert refused.value.address == small

    @needs("can_send")
    @pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "1E-30"])
    def test_an_impossible_amount_is_refused(self, world: BackendWorld, amount: str) -> None:
        """Above all a negative one."""
        world.fund(world.payment * 10)
        with pytest.raises((BackendRejectedError, InvalidAmountError)):
            try_to_send(world, {world.outside_address(): Decimal(amount)})
        assert world.backend.get_backend_balance() == world.payment * 10

    # --- Two steps ------------------------------------------------------------------------------------------

    @needs("can_send", "can_send_in_two_steps")
    def test_preparing_publishes_nothing(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        prepared = two_step(world).prepare({world.outside_address(): world.payment})
        world.sync()
        assert isinstance(prepared, PreparedTransaction)
        assert prepared.inputs
        assert bytes.fromhex(prepared.raw)
        assert world.backend.get_backend_balance() == world.payment * 10
        if prepared.txid is not None:
            assert world.backend.get_transactions([prepared.txid]) == {}

    @needs("can_send", "can_send_in_two_steps")
    def test_preparing_reserves_nothing(self, world: BackendWorld) -> None:
        """What the kernel has not stored yet may be lost; its coins must not be."""
        world.fund(world.payment)
        for _ in range(3):
            two_step(world).prepare({world.outside_address(): world.payment / 2})

    @needs("can_send", "can_send_in_two_steps", "can_reserve")
    def test_held_coins_are_kept_until_they_are_released(self, world: BackendWorld) -> None:
        world.fund(world.payment)
        half = {world.outside_address(): world.payment / 2}
        backend, another = two_step(world), two_step(world, world.another_backend())
        prepared = backend.prepare(half)
        for _ in range(2):
            backend.hold(prepared)
        for each in (backend, another):
            with pytest.raises(InsufficientHotWalletFunds):
                each.prepare(half)
        assert backend.get_backend_balance() == world.payment, "held coins are still the wallet's"
        for _ in range(2):
            another.release(prepared)
        again = backend.prepare(half)
        assert set(again.inputs) == set(prepared.inputs)

    @needs("can_send", "can_send_in_two_steps", "can_reserve")
    def test_two_held_transactions_share_no_coin(self, world: BackendWorld) -> None:
        for _ in range(2):
            world.fund(world.payment)
        prepared = []
        for _ in range(2):
            prepared.append(two_step(world).prepare({world.outside_address(): world.payment / 2}))
            two_step(world).hold(prepared[-1])
        assert not set(prepared[0].inputs) & set(prepared[1].inputs)
        for each in prepared:
            two_step(world).submit(each)

    @needs("can_send", "can_send_in_two_steps")
    def test_submitting_says_under_which_name(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        prepared = two_step(world).prepare({world.outside_address(): world.payment})
        txid = two_step(world).submit(prepared)
        world.sync()
        assert prepared.txid in (None, txid)
        assert seen(world.backend, txid).txid == txid

    @needs("can_send", "can_send_in_two_steps", "can_mine")
    def test_submitting_again_is_success_and_pays_once(self, world: BackendWorld) -> None:
        """From another process too, in the mempool, in a block, and after the change was spent."""
        world.fund(world.payment * 10)
        backend, another = two_step(world), two_step(world, world.another_backend())
        prepared = backend.prepare({world.outside_address(): world.payment})
        txid = backend.submit(prepared)
        world.sync()
        left = backend.get_backend_balance()
        for each in (backend, another):
            assert each.submit(prepared) == txid
        world.mine()
        assert another.submit(prepared) == txid
        assert backend.get_backend_balance() == left == world.payment * 9 - prepared.fee
        send(world, {world.outside_address(): world.payment})
        world.mine()
        assert backend.submit(prepared) == txid
        assert seen(backend, txid).confirmations == 2

    @needs("can_send", "can_send_in_two_steps", "can_mine")
    def test_a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is(self, world: BackendWorld) -> None:
        """A false "dead" refunds a withdrawal that may still be paid."""
        world.fund(world.payment)
        backend = two_step(world)
        half = {world.outside_address(): world.payment / 2}
        loser, winner = backend.prepare(half), backend.prepare({world.outside_address(): world.payment / 4})
        backend.submit(winner)
        world.sync()
        with pytest.raises(OutcomeUnknownError):
            backend.submit(loser)
        world.mine()
        with pytest.raises(BroadcastDeadError):
            backend.submit(loser)

    @needs("can_send", "can_send_in_two_steps")
    def test_holding_and_releasing_a_published_transaction_harms_nothing(self, world: BackendWorld) -> None:
        world.fund(world.payment * 10)
        backend = two_step(world)
        prepared = backend.prepare({world.outside_address(): world.payment})
        txid = backend.submit(prepared)
        world.sync()
        backend.hold(prepared)
        backend.release(prepared)
        assert seen(backend, txid).confirmations == 0
        assert backend.submit(prepared) == txid

    # --- In one go ------------------------------------------------------------------------------------------

    @needs("can_send", "can_send_in_one_go")
    def test_each_call_pays_once_more(self, world: BackendWorld) -> None:
        """Sending is no request to be answered from a cache: the kernel never repeats it unless it was refused."""
        backend = cast("OneShotBackend", world.backend)
        for _ in range(2):
            world.fund(world.payment * 5)
        to = world.outside_address()
        txids = set[Txid]()
        for number in range(2):
            txids.add(backend.send({to: world.payment}, f"conformance-{number}").txid)
            world.sync()
        assert len(txids) == 2
