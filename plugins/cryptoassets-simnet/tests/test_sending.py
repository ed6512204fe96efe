"""Preparing, submitting, holding and releasing withdrawals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from cryptoassets_core.backend.base import PreparedTransaction
from cryptoassets_core.coin.description import CoinDescription
from cryptoassets_core.coin.validate import encode_base58check, encode_segwit
from cryptoassets_core.errors import (
    BackendRejectedError,
    BroadcastDeadError,
    ConfigurationError,
    InsufficientHotWalletFunds,
    OutcomeUnknownError,
    RecipientRejectedError,
)
from cryptoassets_simnet import Simnet
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions

CUSTOMER = encode_segwit("bcrt", 0, b"customer".ljust(20))
OTHER = encode_base58check(0x6F, b"another customer".ljust(20))
FEE = Decimal("0.0001")


def test_a_withdrawal_is_paid_exactly_and_the_change_comes_back(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.3"), OTHER: Decimal("0.2")})
    assert prepared.fee == FEE
    assert backend.get_backend_balance() == 1  # nothing is published yet
    backend.submit(prepared)
    assert backend.get_backend_balance() == Decimal("0.4999")
    assert backend.get_backend_balance(1) == 0
    simnet.mine()
    assert backend.get_backend_balance(1) == Decimal("0.4999")
    sent = backend.get_transactions([prepared.txid])[prepared.txid]
    assert (sent.confirmations, sent.fee, sent.received) == (1, FEE, ())  # change is nobody's deposit
    assert sent.sent == Decimal("0.5")


def held(backend: SimnetBackend, amount: str) -> PreparedTransaction:
    prepared = backend.prepare({CUSTOMER: Decimal(amount)})
    backend.hold(prepared)
    return prepared


def test_preparing_reserves_nothing(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    first, second = (backend.prepare({CUSTOMER: Decimal("0.1")}) for _ in range(2))
    assert first.inputs == second.inputs


def test_held_transactions_never_share_a_coin(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    simnet.fund(Decimal(1))
    first, second = (held(backend, "0.1") for _ in range(2))
    assert not set(first.inputs) & set(second.inputs)
    with pytest.raises(InsufficientHotWalletFunds, match=r"can spend 0\.00000000 BTC now"):
        backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.release(first)
    backend.release(first)
    assert backend.prepare({CUSTOMER: Decimal("0.1")}).inputs == first.inputs


def test_release_gives_back_only_its_own_coins(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    forgotten = held(backend, "0.1")
    simnet.forget_locks()
    newer = held(backend, "0.2")
    assert newer.inputs == forgotten.inputs
    backend.hold(forgotten)
    backend.release(forgotten)
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal("0.1")})


def test_hold_reserves_again_what_a_restart_forgot(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    stored = held(backend, "0.1")
    simnet.forget_locks()
    backend.hold(stored)
    backend.hold(stored)
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(stored)
    backend.hold(stored)  # published: there is nothing left to hold
    simnet.mine()
    assert backend.prepare({CUSTOMER: Decimal("0.1")}).inputs[0].txid == stored.txid


def test_submitting_again_is_success_at_every_stage(
    simnet: Simnet, backend: SimnetBackend, make_backend: Callable[[], SimnetBackend]
) -> None:
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(prepared)
    make_backend().submit(prepared)
    simnet.mine()
    backend.submit(prepared)
    follower = backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(follower)
    simnet.mine()
    backend.submit(prepared)  # every output spent: a real daemon would hesitate here, the truth is success
    assert backend.get_transactions([prepared.txid])[prepared.txid].confirmations == 2


def test_a_rival_in_the_mempool_is_no_proof_and_one_in_a_block_is(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    first = backend.prepare({CUSTOMER: Decimal("0.1")})
    simnet.forget_locks()
    second = backend.prepare({CUSTOMER: Decimal("0.2")})
    backend.submit(second)
    with pytest.raises(OutcomeUnknownError, match=f"kept out by {second.txid}"):
        backend.submit(first)
    simnet.mine()
    with pytest.raises(BroadcastDeadError, match="cannot confirm") as dead:
        backend.submit(first)
    assert dead.value.depth == 1
    simnet.mine(4)
    with pytest.raises(BroadcastDeadError) as dead:
        backend.submit(first)
    assert dead.value.depth == 5


def test_a_withdrawal_of_a_double_spent_deposit_is_dead(simnet: Simnet, backend: SimnetBackend) -> None:
    deposit = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.mine()
    published = backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(published)
    unpublished = backend.prepare({CUSTOMER: Decimal("0.1")})  # spends the change of the first
    simnet.double_spend(deposit)
    for prepared in (published, unpublished):
        with pytest.raises(BroadcastDeadError):
            backend.submit(prepared)


@pytest.mark.parametrize("first", [0, 1])
def test_one_dead_input_is_proof_whatever_the_others_are(simnet: Simnet, backend: SimnetBackend, first: int) -> None:
    deposits = [simnet.pay(backend.create_address(f"a{number}"), Decimal(1)) for number in range(2)]
    simnet.mine()
    prepared = backend.prepare({CUSTOMER: Decimal("1.5")})
    simnet.double_spend(deposits[first])  # takes the other one out of its block, too
    simnet.double_spend(deposits[1 - first])
    with pytest.raises(BroadcastDeadError):
        backend.submit(prepared)


def test_a_withdrawal_dropped_by_a_reorganisation_is_submitted_again(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(prepared)
    simnet.mine()
    simnet.reorg(1, drop=[prepared.txid])
    # Its coins are not offered to others meanwhile, or the customer would be paid twice or never; restarts or not.
    simnet.forget_locks()
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal("0.1")})
    backend.submit(prepared)
    simnet.mine()
    assert backend.get_transactions([prepared.txid])[prepared.txid].confirmations == 1


def test_own_change_may_be_spent_unconfirmed_and_deposits_not(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.pay(backend.create_address("a"), Decimal(5))
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal(1)})
    simnet.mine()
    first = backend.prepare({CUSTOMER: Decimal(1)})
    backend.submit(first)
    second = backend.prepare({CUSTOMER: Decimal(1)})
    assert {spent.txid for spent in second.inputs} == {first.txid}
    simnet.reorg(1)  # now the change rests on an unconfirmed deposit
    backend.release(second)
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal(1)})


def test_immature_rewards_are_not_spent(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.reward(backend.create_address("a"), Decimal(50))
    simnet.mine(4)
    with pytest.raises(InsufficientHotWalletFunds):
        backend.prepare({CUSTOMER: Decimal(1)})
    simnet.mine()
    backend.prepare({CUSTOMER: Decimal(1)})


def test_change_that_would_be_dust_goes_to_the_fee(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal("1.00010545"))
    prepared = backend.prepare({CUSTOMER: Decimal(1)})
    assert prepared.fee == Decimal("0.00010545")
    backend.submit(prepared)
    assert backend.get_backend_balance() == 0


def test_another_coin_is_taken_rather_than_dust_lost(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.fund(Decimal("1.00010545"))
    simnet.fund(Decimal("0.5"))
    prepared = backend.prepare({CUSTOMER: Decimal(1)})
    assert (prepared.fee, len(prepared.inputs)) == (FEE, 2)


@pytest.mark.parametrize(
    ("address", "amount", "reason"),
    [
        (CUSTOMER, Decimal("0.00000545"), "dust"),
        (CUSTOMER, Decimal("0.000000001"), "more than the 8 decimals"),
        (CUSTOMER, Decimal(-1), "more than zero"),
        (CUSTOMER, Decimal("NaN"), "finite"),
        (CUSTOMER[:-1] + "q", Decimal(1), "checksum|does not"),
        (encode_segwit("bc", 0, bytes(20)), Decimal(1), "another network"),
        (encode_base58check(0x00, bytes(20)), Decimal(1), "version"),
        ("", Decimal(1), "empty"),
    ],
)
def test_one_bad_recipient_is_named(
    simnet: Simnet, backend: SimnetBackend, address: str, amount: Decimal, reason: str
) -> None:
    simnet.fund(Decimal(10))
    with pytest.raises(RecipientRejectedError, match=reason) as refused:
        backend.prepare({OTHER: Decimal(1), address: amount})
    assert refused.value.address == address
    assert len(backend.prepare({OTHER: Decimal(1)}).inputs) == 1  # nothing stayed locked


def test_a_payment_needs_a_recipient(backend: SimnetBackend) -> None:
    with pytest.raises(BackendRejectedError, match="at least one recipient"):
        backend.prepare({})


def test_changed_bytes_and_those_of_another_chain_are_refused(
    simnet: Simnet, backend: SimnetBackend, coin: CoinDescription, tmp_path: Path
) -> None:
    simnet.fund(Decimal(1))
    prepared = backend.prepare({CUSTOMER: Decimal("0.1")})
    raised = bytes.fromhex(prepared.raw).replace(b"10000000", b"90000000").hex()
    with pytest.raises(BackendRejectedError, match="another simulated chain, or changed"):
        backend.submit(replace(prepared, raw=raised))
    for junk in ("", "zz", "00", "5b5d", "7b7d"):
        with pytest.raises(BackendRejectedError, match="can read"):
            backend.submit(replace(prepared, raw=junk))
    elsewhere = SimnetBackend(coin, "regtest", SimnetOptions(path=tmp_path / "other"))
    with pytest.raises(BackendRejectedError, match="another simulated chain"):
        elsewhere.submit(prepared)
    elsewhere.close()


def test_the_fee_is_configured_and_exact(simnet: Simnet, path: Path, coin: CoinDescription) -> None:
    simnet.fund(Decimal(1))
    backend = SimnetBackend(coin, "regtest", SimnetOptions(path=path, fee=Decimal("0.00000001")))
    assert backend.prepare({CUSTOMER: Decimal(1) - Decimal("0.00000001")}).fee == Decimal("0.00000001")
    backend.close()
    with pytest.raises(ConfigurationError, match="option fee of the simnet backend of btc"):
        SimnetBackend(coin, "regtest", SimnetOptions(path=path, fee=Decimal("0.000000001")))
