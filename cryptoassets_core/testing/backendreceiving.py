"""The part of the backend suite about coins that come in: what is told of deposits, and when."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from cryptoassets_core.backend.base import BlockHash, ChainChanges, CoinBackend, Txid, WalletTransaction
from cryptoassets_core.testing.backendworld import BackendWorld
from cryptoassets_core.testing.suite import ConformanceSuite, needs

#: A block that no chain has.
UNKNOWN_BLOCK: Final = BlockHash("ab" * 32)

UNKNOWN_TXID: Final = Txid("cd" * 32)

HASH: Final = re.compile(r"[0-9a-f]{64}")


def odd(world: BackendWorld, payments: int = 1) -> Decimal:
    """Return an amount that uses every decimal of the coin, which no other unit and no float would survive."""
    return (world.payment * payments + 7 * world.backend.coin.minor_unit).quantize(world.backend.coin.minor_unit)


def listed(changes: ChainChanges) -> dict[Txid, WalletTransaction]:
    """Return what a listing tells, each transaction once."""
    transactions = list(changes.transactions)  # they may be read once only
    found = {transaction.txid: transaction for transaction in transactions}
    assert len(found) == len(transactions), "a transaction is listed twice"
    return found


def seen(backend: CoinBackend, txid: Txid) -> WalletTransaction:
    """Return a transaction as looked up by name, and see that it is well made."""
    found = backend.get_transactions([txid])
    assert list(found) == [txid]
    transaction = found[txid]
    assert isinstance(transaction, WalletTransaction)
    assert transaction.txid == txid
    assert type(transaction.confirmations) is int
    for output in transaction.received:
        assert type(output.amount) is Decimal, "amounts are Decimal, in whole coins"
        assert output.amount > 0
    return transaction


def paid(transaction: WalletTransaction) -> list[tuple[str, Decimal]]:
    """Return what each output pays, in an order of its own."""
    return sorted((output.address, output.amount) for output in transaction.received)


class Receiving(ConformanceSuite, defines_capabilities=True):
    """Tests of following deposits."""

    knows_blocks = True

    # --- Deposits -------------------------------------------------------------------------------------------

    @needs("can_receive")
    def test_a_deposit_is_told_exactly(self, world: BackendWorld) -> None:
        """Catches a wrong unit, a float, a lost decimal."""
        address = world.backend.create_address("label")
        txid = world.pay([(address, odd(world))])
        assert HASH.fullmatch(txid)
        transaction = seen(world.backend, txid)
        assert paid(transaction) == [(address, odd(world))]
        assert transaction.fee is None
        assert transaction.sent == 0
        assert not transaction.coinbase

    @needs("can_receive")
    def test_a_deposit_without_a_block_has_no_confirmations(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        transaction = seen(world.backend, txid)
        assert (transaction.confirmations, transaction.block_hash) == (0, None)

    @needs("can_receive")
    def test_every_output_is_told_those_to_one_address_too(self, world: BackendWorld) -> None:
        """Catches a lost output and outputs that overwrite each other."""
        first, second = (world.backend.create_address(label) for label in ("first", "second"))
        outputs = [(first, odd(world)), (first, odd(world, 2)), (second, odd(world, 3))]
        transaction = seen(world.backend, world.pay(outputs))
        assert paid(transaction) == sorted(outputs)
        assert len({output.vout for output in transaction.received}) == 3, "each output has its own number"

    @needs("can_receive")
    def test_two_deposits_to_one_address_are_two(self, world: BackendWorld) -> None:
        address = world.backend.create_address("label")
        first, second = (world.pay([(address, odd(world, number))]) for number in (1, 2))
        assert first != second
        assert paid(seen(world.backend, first)) == [(address, odd(world))]
        assert paid(seen(world.backend, second)) == [(address, odd(world, 2))]

    @needs("can_receive")
    def test_unknown_transactions_are_absent_and_harm_no_other(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        assert list(world.backend.get_transactions([UNKNOWN_TXID, txid, txid])) == [txid]

    @needs("can_receive", "can_mine")
    def test_confirmations_grow_with_each_block(self, world: BackendWorld) -> None:
        """Catches missing confirmations, and an unconfirmed deposit that counts as confirmed."""
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        told, tips = [], []
        for _ in range(4):
            told.append(seen(world.backend, txid))
            tips.append(world.backend.get_tip())
            world.mine()
        assert [transaction.confirmations for transaction in told] == [0, 1, 2, 3]
        blocks = {transaction.block_hash for transaction in told[1:]}
        assert len(blocks) == 1, "the including block does not change"
        if self.knows_blocks:
            assert blocks == {tips[1]}
            assert HASH.fullmatch(tips[1])

    @needs("can_receive", "can_mine")
    def test_the_balance_counts_by_confirmations(self, world: BackendWorld) -> None:
        balance = world.backend.get_backend_balance
        world.pay([(world.backend.create_address("label"), odd(world))])
        assert (balance(), balance(1)) == (odd(world), Decimal(0))
        world.mine(2)
        assert (balance(), balance(2), balance(3)) == (odd(world), odd(world), Decimal(0))

    # --- Following ------------------------------------------------------------------------------------------

    @needs("can_receive")
    def test_without_a_checkpoint_all_is_listed(self, world: BackendWorld) -> None:
        txids = {world.pay([(world.backend.create_address(f"label-{n}"), world.payment)]) for n in range(3)}
        assert set(listed(world.backend.list_since(None, depth=1))) == txids

    @needs("can_receive")
    def test_a_listing_says_what_a_look_up_says(self, world: BackendWorld) -> None:
        address = world.backend.create_address("label")
        txid = world.pay([(address, odd(world)), (address, odd(world, 2))])
        assert listed(world.backend.list_since(None, depth=1))[txid] == seen(world.backend, txid)

    @needs("can_receive", "can_mine")
    def test_an_unknown_checkpoint_lists_all_there_is(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        world.mine(3)
        assert set(listed(world.backend.list_since(UNKNOWN_BLOCK, depth=1))) == {txid}

    @needs("can_receive", "can_mine")
    def test_a_deposit_is_listed_until_it_is_as_deep_as_asked(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        told: list[int] = []
        checkpoint = None
        for _ in range(4):
            changes = world.backend.list_since(checkpoint, depth=3)
            assert HASH.fullmatch(changes.checkpoint)
            assert changes.tip == world.backend.get_tip()
            checkpoint = changes.checkpoint
            told.append(listed(changes)[txid].confirmations)
            world.mine()
        assert told == [0, 1, 2, 3]

    @needs("can_receive", "can_mine")
    def test_what_happened_meanwhile_is_listed_at_the_next_look(self, world: BackendWorld) -> None:
        """A process that was down for a while misses nothing, however deep it has become."""
        checkpoint = world.backend.list_since(None, depth=3).checkpoint
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        world.mine(8)
        assert listed(world.backend.list_since(checkpoint, depth=3))[txid].confirmations == 8

    @needs("can_receive", "can_mine", "can_list_changes")
    def test_what_is_deep_and_told_is_not_listed_again(self, world: BackendWorld) -> None:
        """Or each poll costs as much as all history."""
        world.pay([(world.backend.create_address("label"), world.payment)])
        world.mine(4)
        checkpoint = world.backend.list_since(None, depth=2).checkpoint
        assert listed(world.backend.list_since(checkpoint, depth=2)) == {}

    @needs("can_mine")
    def test_the_tip_changes_with_each_block(self, world: BackendWorld) -> None:
        if not self.knows_blocks:
            world.pay([(world.backend.create_address("label"), world.payment)])
        tips = [world.backend.get_tip()]
        for _ in range(2):
            world.mine()
            tips.append(world.backend.get_tip())
        assert all(HASH.fullmatch(tip) for tip in tips)
        assert len(set(tips)) == 3

    # --- When the chain changes its mind --------------------------------------------------------------------

    @needs("can_receive", "can_mine", "can_reorg")
    def test_a_deposit_that_left_the_chain_is_listed_without_confirmations(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), odd(world))])
        world.mine(2)
        stale = world.backend.list_since(None, depth=1).checkpoint
        world.reorganise(2)
        transaction = listed(world.backend.list_since(stale, depth=1))[txid]
        assert (transaction.confirmations, transaction.block_hash) == (0, None)
        assert [amount for _, amount in paid(transaction)] == [odd(world)]
        world.mine()
        assert listed(world.backend.list_since(stale, depth=1))[txid].confirmations == 1

    @needs("can_receive", "can_mine", "can_reorg")
    def test_a_stale_checkpoint_hides_nothing(self, world: BackendWorld) -> None:
        world.mine(2)
        stale = world.backend.list_since(None, depth=1).checkpoint
        world.reorganise(2)
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        world.mine(3)
        assert listed(world.backend.list_since(stale, depth=1))[txid].confirmations == 3

    @needs("can_receive", "can_mine", "can_double_spend")
    def test_a_double_spent_deposit_is_dead_and_pays_nothing(self, world: BackendWorld) -> None:
        txid = world.pay([(world.backend.create_address("label"), world.payment)])
        world.mine(2)
        stale = world.backend.list_since(None, depth=1).checkpoint
        world.double_spend(txid)
        dead = seen(world.backend, txid)
        assert dead.is_dead
        assert dead.confirmations < 0
        assert (dead.received, dead.block_hash) == ((), None)
        assert world.backend.get_backend_balance() == 0
        for transaction in listed(world.backend.list_since(stale, depth=1)).values():
            assert transaction == dead

    @needs("can_receive", "can_mine", "can_reward")
    def test_a_block_reward_is_told_as_one_and_not_spendable_yet(self, world: BackendWorld) -> None:
        address = world.backend.create_address("label")
        world.reward(address)
        (reward,) = world.backend.list_since(None, depth=1).transactions
        assert (reward.coinbase, reward.confirmations) == (True, 1)
        assert [to for to, _ in paid(reward)] == [address]
        assert world.backend.get_backend_balance() == 0
