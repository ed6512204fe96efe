"""Deposits and withdrawals as the service lists them, and what the kernel hears of them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from cryptoassets_blockio.backend import BlockIoBackend
from cryptoassets_blockio.listing import Listing
from cryptoassets_blockio.testing import Account, StandIn, fund
from cryptoassets_core.backend.base import BlockHash, ReceivedOutput, Txid
from cryptoassets_core.coin.validate import encode_segwit
from cryptoassets_core.errors import BackendError, BackendUnavailableError

Make = Callable[..., BlockIoBackend]
DEPTH = 6

OURS = encode_segwit("tb", 0, bytes(20))


def confirmations(backend: BlockIoBackend, checkpoint: BlockHash | None = None) -> dict[Txid, int]:
    listed = backend.list_since(checkpoint, depth=DEPTH).transactions
    return {each.txid: each.confirmations for each in listed}


def test_deposit_is_listed_from_the_mempool_on(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    address = backend.create_address("alice")
    txid = account.pay([(address, Decimal("1.5")), (account.outside_address(1), Decimal(7)), (address, Decimal("0.1"))])
    (seen,) = backend.list_since(None, depth=DEPTH).transactions
    assert (seen.txid, seen.confirmations, seen.fee, seen.sent, seen.coinbase) == (txid, 0, None, 0, False)
    assert seen.received == (ReceivedOutput(address, Decimal("1.5"), 0), ReceivedOutput(address, Decimal("0.1"), 1))
    account.mine(4)
    assert confirmations(backend) == {txid: 4}


def test_checkpoint_spares_what_is_deep_and_known(btc: Account, service: StandIn, make_backend: Make) -> None:
    btc.behaviour.page_size = 100
    backend = make_backend(btc)
    address = backend.create_address("alice")
    for _ in range(250):
        btc.pay([(address, Decimal(1))])
    btc.mine(DEPTH)
    first = backend.list_since(None, depth=DEPTH)
    assert len(list(first.transactions)) == 250
    news = [btc.pay([(address, Decimal(1))]) for _ in range(3)]
    before = service.calls["get_transactions"]
    again = backend.list_since(first.checkpoint, depth=DEPTH)
    assert [each.txid for each in again.transactions] == news
    assert service.calls["get_transactions"] - before == 2, "one page of each kind"
    assert again.checkpoint == first.checkpoint


def test_pages_cost_one_request_per_hundred_transactions(btc: Account, service: StandIn, make_backend: Make) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    for _ in range(300):
        btc.pay([(address, Decimal(1))])
    before = service.calls["get_transactions"]
    backend.list_since(None, depth=DEPTH)
    # Three pages with something on them, and an empty one of each kind that ends it.
    assert service.calls["get_transactions"] - before == 5
    before = service.calls.total()
    backend.get_tip()
    # Nothing is confirmed yet: a block would not show on the first page.
    assert service.calls.total() - before == 4
    btc.mine()
    before = service.calls.total()
    backend.get_tip()
    assert service.calls.total() - before == 1


def test_checkpoint_never_passes_what_is_not_deep(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    stuck = btc.pay([(address, Decimal(1))])
    newer = btc.pay([(address, Decimal(2))])
    btc.mine(10, leave=[stuck])
    changes = backend.list_since(None, depth=DEPTH)
    assert confirmations(backend, changes.checkpoint) == {stuck: 0, newer: 10}
    btc.mine(DEPTH)
    changes = backend.list_since(changes.checkpoint, depth=DEPTH)
    assert changes.checkpoint[:40] == newer[:40]
    assert confirmations(backend, changes.checkpoint) == {}


@pytest.mark.parametrize("depth", [1, 3, DEPTH + 4])
def test_reorganisation_shows_however_deep(btc: Account, make_backend: Make, depth: int) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    txids = [btc.pay([(address, Decimal(1))])]
    btc.mine(2)
    txids.append(btc.pay([(address, Decimal(2))]))
    btc.mine(DEPTH + 2)
    checkpoint = backend.list_since(None, depth=DEPTH).checkpoint
    tip = backend.get_tip()
    assert checkpoint[:40] == txids[1][:40]
    with btc.lock:
        btc.chain.take_back(depth)
        btc.mine(depth + 1, leave=txids)
    assert backend.get_tip() != tip
    now = confirmations(backend, checkpoint)
    # Where the checkpoint's own block is gone, everything is listed.
    assert now == ({} if depth < DEPTH else dict.fromkeys(txids, 0))


def test_checkpoint_in_another_block_lists_everything(btc: Account, make_backend: Make) -> None:
    """While nobody looked, its block was replaced and it was mined again, and what was below it was not."""
    backend = make_backend(btc)
    address = backend.create_address("alice")
    older, anchor = (btc.pay([(address, Decimal(1))]) for _ in range(2))
    btc.mine(DEPTH)
    checkpoint = backend.list_since(None, depth=DEPTH).checkpoint
    with btc.lock:
        btc.chain.take_back(DEPTH)
        btc.mine(DEPTH + 1, leave=[older])
    assert confirmations(backend, checkpoint) == {older: 0, anchor: DEPTH + 1}


def test_checkpoint_that_is_gone_lists_everything(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    txids = {btc.pay([(address, Decimal(1))]) for _ in range(3)}
    btc.mine(DEPTH)
    assert confirmations(backend, BlockHash("ab" * 32)).keys() == txids


def test_tip_changes_with_blocks_and_deposits_only(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    address = backend.create_address("alice")
    tips = [backend.get_tip()]
    account.pay([(address, Decimal(1))])
    tips.append(backend.get_tip())
    for _ in range(3):
        account.mine()
        tips.append(backend.get_tip())
    assert len(set(tips)) == 5
    assert backend.get_tip() == tips[-1] == backend.list_since(None, depth=1).tip
    assert all(len(tip) == 64 for tip in tips)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_cursor_that_is_repeated_on_its_page_ends_nothing(btc: Account, make_backend: Make, size: int) -> None:
    btc.behaviour.page_size, btc.behaviour.echo_cursor = size, True
    backend = make_backend(btc)
    address = backend.create_address("alice")
    txids = [btc.pay([(address, Decimal(1))]) for _ in range(7)]
    assert list(confirmations(backend)) == txids


def test_cursor_that_stalls_is_no_end_of_the_list(btc: Account, service: StandIn, make_backend: Make) -> None:
    btc.behaviour.page_size, btc.behaviour.stuck_cursor = 3, True
    backend = make_backend(btc)
    address = backend.create_address("alice")
    for _ in range(7):
        btc.pay([(address, Decimal(1))])
    with pytest.raises(BackendUnavailableError, match="repeats a page"):
        backend.list_since(None, depth=DEPTH)
    assert service.calls["get_transactions"] == 2


def items(number: int) -> Iterator[dict[str, Any]]:
    """Write so many received transactions as the service does, newest first."""
    for each in range(number):
        yield {
            "txid": f"{number - each:064x}",
            "confirmations": 1 + each,
            "time": 1_700_000_000 - each,
            "amounts_received": [{"recipient": OURS, "amount": "0.5"}],
            "senders": [],
        }


def read_all(backend: BlockIoBackend, number: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Read a listing of so many transactions, and return the bytes that this took at most."""
    pages = {"received": batched(items(number)), "sent": iter(())}
    monkeypatch.setattr(backend.client, "call", lambda method, *, type, **_: {"txs": next(pages[type], [])})
    monkeypatch.setattr(Listing, "_name_checkpoint", lambda self, item: item.txid)
    gc.collect()
    tracemalloc.start()
    try:
        listed = [int(each.txid, 16) for each in backend.list_since(None, depth=DEPTH).transactions]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert listed == list(range(1, number + 1)), "oldest first"
    return peak


def batched(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while page := list(islice(rows, 100)):
        yield page


def test_long_listing_is_read_in_parts(btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held of a transaction is its name."""
    backend = make_backend(btc)
    peaks = [read_all(backend, number, monkeypatch) for number in (2000, 2000, 6000)]
    assert (peaks[2] - peaks[1]) / 4000 < 250


@pytest.mark.parametrize("confirmations", [2**31, -(10**30)])
def test_more_confirmations_than_a_chain_can_have_are_refused(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch, confirmations: int
) -> None:
    (row,) = items(1)
    backend = make_backend(btc)
    answer = {"txs": [row | {"confirmations": confirmations}]}
    monkeypatch.setattr(backend.client, "call", lambda *_, **__: answer)
    with pytest.raises(BackendError, match="listed confirmations should be a number of blocks"):
        backend.list_since(None, depth=DEPTH)


def test_transaction_that_is_twice_on_a_page_is_refused_as_one_of_them_would_be_lost(
    btc: Account, make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = items(1)
    backend = make_backend(btc)
    monkeypatch.setattr(backend.client, "call", lambda *_, **__: {"txs": [row, row]})
    with pytest.raises(BackendError, match="lists a received transaction twice"):
        backend.list_since(None, depth=DEPTH)


@pytest.mark.parametrize(
    ("change_is_received", "change_is_sent", "raw_has_values"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_change_is_never_a_deposit(
    account: Account, make_backend: Make, change_is_received: bool, change_is_sent: bool, raw_has_values: bool
) -> None:
    account.behaviour.change_is_received = change_is_received
    account.behaviour.change_is_sent = change_is_sent
    account.behaviour.raw_has_values = raw_has_values
    backend = make_backend(account)
    customer = backend.create_address("alice")
    account.pay([(customer, Decimal(100))])
    account.mine(DEPTH)
    prepared = backend.prepare({account.outside_address(1): Decimal(30)})
    txid = backend.submit(prepared)
    for asked in (backend, make_backend(account)):
        listed = {each.txid: each for each in asked.list_since(None, depth=DEPTH).transactions}
        named = asked.get_transactions([txid])[txid]
        assert listed[txid].received == named.received == ()
        if asked is backend or raw_has_values:
            assert (listed[txid].sent, listed[txid].fee) == (30, prepared.fee)
        else:
            assert (listed[txid].sent, listed[txid].fee) == (0, None)


def test_paying_ourselves_is_a_deposit(account: Account, make_backend: Make) -> None:
    backend = make_backend(account)
    fund(account, Decimal(100))
    bob = backend.create_address("bob")
    txid = backend.submit(backend.prepare({bob: Decimal(30)}))
    seen = {each.txid: each for each in backend.list_since(None, depth=DEPTH).transactions}[txid]
    assert [(output.address, output.amount) for output in seen.received] == [(bob, 30)]
    assert seen.sent == 30
    assert seen.fee is not None


def test_transactions_by_name_cost_two_requests_when_they_are_new(
    btc: Account, service: StandIn, make_backend: Make
) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    txids = [btc.pay([(address, Decimal(1))]) for _ in range(90)]
    before = service.calls.total()
    assert backend.get_transactions(txids).keys() == set(txids)
    assert service.calls.total() - before == 2


def test_flood_of_invented_names_costs_little(btc: Account, service: StandIn, make_backend: Make) -> None:
    """F08."""
    backend = make_backend(btc)
    txid = btc.pay([(backend.create_address("alice"), Decimal(1))])
    invented = [Txid(f"{number:064x}") for number in range(99)]
    before = service.calls.total()
    assert backend.get_transactions([*invented, txid]).keys() == {txid}
    assert service.calls.total() - before < 30


def test_true_transaction_of_somebody_else_pays_nobody_here(btc: Account, make_backend: Make) -> None:
    """F08: the kernel takes only what belongs to its accounts."""
    backend = make_backend(btc)
    mine = backend.create_address("alice")
    txid = btc.pay([(btc.outside_address(5), Decimal(3))])
    (seen,) = backend.get_transactions([txid]).values()
    assert mine not in {output.address for output in seen.received}


def test_deposit_that_the_service_forgot_is_unknown_and_not_dead(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    txid = btc.pay([(backend.create_address("alice"), Decimal(1))])
    btc.mine(2)
    backend.list_since(None, depth=DEPTH)
    with btc.lock:
        btc.chain.drop(txid)
    assert confirmations(backend) == {}
    assert backend.get_transactions([txid, Txid("cd" * 32)]) == {}
    btc.behaviour.shows_conflicts = True
    assert backend.get_transactions([txid])[txid].is_dead
    assert backend.get_transactions([txid])[txid].received == ()


def test_archived_address_is_still_listed(btc: Account, make_backend: Make) -> None:
    backend = make_backend(btc)
    address = backend.create_address("alice")
    backend.client.call("archive_addresses", addresses=address)
    txid = btc.pay([(address, Decimal(1))])
    (seen,) = backend.list_since(None, depth=DEPTH).transactions
    assert (seen.txid, [output.address for output in seen.received]) == (txid, [address])


@pytest.mark.parametrize("confirmed", [0, 1, 2, 3, 9])
def test_balance_counts_what_is_deep_enough(account: Account, make_backend: Make, confirmed: int) -> None:
    backend = make_backend(account)
    address = backend.create_address("alice")
    for amount, blocks in ((8, 5), (4, 1), (2, 1), (1, 0)):
        account.pay([(address, Decimal(amount))])
        if blocks:
            account.mine(blocks)
    assert backend.get_backend_balance(confirmed) == {0: 15, 1: 14, 2: 12, 3: 8, 9: 0}[confirmed]
