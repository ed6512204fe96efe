"""How the backend tells what happened on the chain; the expectations are measured on a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from cryptoassets_core.backend.base import ChainChanges, ReceivedOutput, Txid
from cryptoassets_core.errors import BackendRejectedError
from cryptoassets_simnet import Simnet, SimnetError
from cryptoassets_simnet.backend import SimnetBackend


def listed(changes: ChainChanges) -> dict[Txid, int]:
    return {each.txid: each.confirmations for each in changes.transactions}


def confirmations(backend: SimnetBackend, txid: Txid) -> int:
    return backend.get_transactions([txid])[txid].confirmations


def test_two_outputs_to_one_address_stay_apart(simnet: Simnet, backend: SimnetBackend) -> None:
    address = backend.create_address("a")
    txid = simnet.pay_many([(address, Decimal(1)), (address.upper(), Decimal(2))])
    assert backend.get_transactions([txid])[txid].received == (
        ReceivedOutput(address, Decimal(1), 0),
        ReceivedOutput(address, Decimal(2), 1),
    )


def test_the_checkpoint_is_the_block_that_repeats_what_is_shallow(simnet: Simnet, backend: SimnetBackend) -> None:
    (old, *_) = [simnet.pay(backend.create_address("a"), Decimal(1)), simnet.mine(3)]
    new = simnet.pay(backend.create_address("b"), Decimal(1))
    (_, second, third) = simnet.mine(3)
    assert backend.list_since(None, depth=1).checkpoint == third == backend.get_tip()
    changes = backend.list_since(None, depth=3)
    assert listed(changes) == {old: 6, new: 3}
    assert listed(backend.list_since(changes.checkpoint, depth=3)) == {}
    changes = backend.list_since(None, depth=4)
    assert listed(backend.list_since(changes.checkpoint, depth=4)) == {new: 3}
    assert listed(backend.list_since(second, depth=1)) == {}


def test_a_short_chain_has_its_first_block_as_checkpoint(simnet: Simnet, backend: SimnetBackend) -> None:
    genesis = backend.get_tip()
    simnet.mine(2)
    assert backend.list_since(None, depth=100).checkpoint == genesis


def test_unconfirmed_ones_are_listed_every_time(simnet: Simnet, backend: SimnetBackend) -> None:
    simnet.mine(2)
    txid = simnet.pay(backend.create_address("a"), Decimal(1))
    assert listed(backend.list_since(backend.get_tip(), depth=1)) == {txid: 0}


def test_a_listing_needs_a_sensible_depth(backend: SimnetBackend) -> None:
    with pytest.raises(BackendRejectedError, match="depth of a listing must be 1 or more, not 0"):
        backend.list_since(None, depth=0)


def test_a_reorganised_deposit_waits_again_and_confirms_later(simnet: Simnet, backend: SimnetBackend) -> None:
    before = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.mine()
    txid = simnet.pay(backend.create_address("b"), Decimal(1))
    (*_, stale) = simnet.mine(2)
    done = simnet.reorg(2)
    assert (done.unconfirmed, len(done.stale), len(done.added)) == ((txid,), 2, 3)
    assert confirmations(backend, txid) == 0
    changes = backend.list_since(stale, depth=1)
    assert listed(changes) == {txid: 0}
    simnet.mine()
    assert (confirmations(backend, txid), confirmations(backend, before)) == (1, 5)


def test_what_a_stale_block_held_is_listed_even_in_conflict(simnet: Simnet, backend: SimnetBackend) -> None:
    (fork,) = simnet.mine()
    txid = simnet.pay(backend.create_address("a"), Decimal(1))
    (stale, _) = simnet.mine(2)
    done = simnet.double_spend(txid)
    assert done.reorganisation is not None
    assert len(done.reorganisation.added) == 3
    (gone,) = backend.list_since(stale, depth=1).transactions
    assert (gone.txid, gone.confirmations, gone.received, gone.block_hash) == (txid, -3, (), None)
    # A checkpoint that stayed in the chain tells nothing of it, as with bitcoind: it has to be asked for by name.
    assert listed(backend.list_since(fork, depth=1)) == {}
    assert listed(backend.list_since(None, depth=1)) == {}


def test_a_deposit_replaced_in_the_mempool_dies_when_the_rival_is_mined(simnet: Simnet, backend: SimnetBackend) -> None:
    txid = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.double_spend(txid)
    alive = backend.get_transactions([txid])[txid]
    assert (alive.confirmations, len(alive.received)) == (0, 1)
    assert backend.get_backend_balance() == 0
    simnet.mine(2)
    dead = backend.get_transactions([txid])[txid]
    assert (dead.confirmations, dead.received) == (-2, ())
    with pytest.raises(SimnetError, match="double-spent already"):
        simnet.double_spend(txid)


def test_a_dead_deposit_comes_back_when_its_rival_is_reorganised_away(simnet: Simnet, backend: SimnetBackend) -> None:
    txid = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.mine()
    rival = simnet.double_spend(txid).rival
    simnet.reorg(2, drop=[rival])
    assert confirmations(backend, txid) == 0
    simnet.mine()
    assert confirmations(backend, txid) == 1
    assert backend.get_backend_balance(1) == 1


def test_a_dropped_deposit_never_confirms_and_is_still_listed(simnet: Simnet, backend: SimnetBackend) -> None:
    txid = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.mine()
    assert simnet.reorg(1, drop=[txid]).unconfirmed == ()
    simnet.mine(3)
    assert listed(backend.list_since(backend.get_tip(), depth=1)) == {txid: 0}
    assert backend.get_backend_balance() == 0


def test_only_what_becomes_unconfirmed_can_be_dropped(simnet: Simnet, backend: SimnetBackend) -> None:
    deep = simnet.pay(backend.create_address("a"), Decimal(1))
    simnet.mine(2)
    tip = backend.get_tip()
    with pytest.raises(SimnetError, match="neither unconfirmed nor in the last 1 blocks"):
        simnet.reorg(1, drop=[deep])
    assert backend.get_tip() == tip


def test_a_reorganisation_never_replaces_the_first_block(simnet: Simnet) -> None:
    simnet.mine(2)
    with pytest.raises(SimnetError, match="from 1 to 2 blocks here, not 3"):
        simnet.reorg(3)


def test_a_reward_matures_and_vanishes_with_its_block(simnet: Simnet, backend: SimnetBackend) -> None:
    txid = simnet.reward(backend.create_address("a"), Decimal(50))
    simnet.mine(4)
    assert backend.get_transactions([txid])[txid].coinbase
    assert backend.get_backend_balance() == 0  # 5 confirmations, one too few
    simnet.mine()
    assert backend.get_backend_balance(6) == 50
    assert backend.get_backend_balance(7) == 0
    simnet.reorg(6)
    assert confirmations(backend, txid) == 0
    simnet.mine(10)
    assert confirmations(backend, txid) == 0
    assert backend.get_backend_balance() == 0


def test_own_transactions_in_conflict_are_listed(
    simnet: Simnet, make_backend: Callable[[], SimnetBackend], backend: SimnetBackend
) -> None:
    deposit = simnet.pay(backend.create_address("a"), Decimal(1))
    (checkpoint,) = simnet.mine()
    simnet.mine()
    sent = backend.prepare({make_backend().create_address("b"): Decimal("0.5")})
    backend.submit(sent)
    simnet.double_spend(deposit)
    genesis_side = backend.list_since(None, depth=1)
    assert [(each.txid, each.confirmations, each.sent) for each in genesis_side.transactions] == [(sent.txid, -3, 0)]
    assert listed(backend.list_since(checkpoint, depth=1)) == {sent.txid: -3, deposit: -3}


def test_a_supply_beyond_64_bits_is_added_up_exactly(simnet: Simnet, backend: SimnetBackend) -> None:
    most = Decimal(2**63 - 1).scaleb(-8)
    simnet.pay_many([(backend.create_address("a"), most), (backend.create_address("b"), most)])
    assert backend.get_backend_balance() == 2 * most
