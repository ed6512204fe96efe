"""Following the chain, against a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind import listing, transport
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import ChainChanges, ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.errors import BackendError, BackendRejectedError, BackendUnavailableError, OutcomeUnknownError

pytestmark = pytest.mark.regtest


def by_txid(changes: ChainChanges) -> dict[str, WalletTransaction]:
    transactions = list(changes.transactions)
    found: dict[str, WalletTransaction] = {transaction.txid: transaction for transaction in transactions}
    assert len(found) == len(transactions)
    return found


def pay(node: RegtestNode, amounts: dict[str, str]) -> str:
    """Let the miner pay in one transaction."""
    txid = str(node.rpc("sendmany", "", {key: Decimal(value) for key, value in amounts.items()}, wallet=""))
    node.sync()
    return txid


# --- check ------------------------------------------------------------------------------------------------------


def test_check_passes_on_the_right_daemon(wallet: Any) -> None:
    wallet.backend.check()


def test_check_refuses_another_network(node: RegtestNode, connect: Callable[..., Any]) -> None:
    with pytest.raises(BackendRejectedError, match="is on the network 'regtest', but ltc is configured for 'main'"):
        connect(node.url(""), network="main").check()


def test_check_refuses_an_unknown_wallet(node: RegtestNode, connect: Callable[..., Any]) -> None:
    with pytest.raises(BackendRejectedError, match="createwallet") as caught:
        connect(node.url("nobody's")).check()
    assert caught.value.code == -18


def test_check_wants_a_wallet_named_when_there_are_several(
    node: RegtestNode, wallet: Any, connect: Callable[..., Any]
) -> None:
    with pytest.raises(BackendRejectedError, match="/wallet/name"):
        connect(node.url()).check()


def test_fresh_regtest_chain_is_no_reason_to_wait(fresh_node: RegtestNode, connect: Callable[..., Any]) -> None:
    info = fresh_node.rpc("getblockchaininfo")
    assert isinstance(info, dict)
    assert info["initialblockdownload"] is True
    backend = connect(fresh_node.url())
    backend.check()
    assert list(backend.list_since(None, depth=3).transactions) == []


def test_daemon_that_comes_and_goes(fresh_node: RegtestNode, connect: Callable[..., Any]) -> None:
    backend = connect(fresh_node.url())
    backend.check()
    fresh_node.stop()
    with pytest.raises(BackendUnavailableError):
        backend.check()
    fresh_node.start()
    backend.check()
    backend.create_address("after-restart")


def test_restart_between_two_calls_is_not_noticed(fresh_node: RegtestNode, connect: Callable[..., Any]) -> None:
    backend = connect(fresh_node.url())
    tip = backend.get_tip()
    fresh_node.restart()
    assert backend.get_tip() == tip
    fresh_node.restart()
    assert backend.create_address("label")


def test_hanging_daemon_leaves_a_write_in_doubt_and_a_read_harmless(
    fresh_node: RegtestNode, connect: Callable[..., Any]
) -> None:
    backend = connect(fresh_node.url(), timeout=0.3)
    backend.check()
    fresh_node.pause()
    with pytest.raises(BackendUnavailableError):
        backend.get_tip()
    with pytest.raises(OutcomeUnknownError):
        backend.create_address("label")
    fresh_node.resume()
    assert backend.get_tip()
    assert backend.create_address("label-2")


# --- Addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address_type", "prefixes"),
    [(None, ("rltc1q",)), ("legacy", ("m", "n")), ("p2sh-segwit", ("Q",)), ("bech32", ("rltc1q",))],
)
def test_addresses_are_of_the_configured_type(
    new_wallet: Callable[..., Any], address_type: str | None, prefixes: tuple[str, ...]
) -> None:
    assert new_wallet(address_type=address_type).backend.create_address("label").startswith(prefixes)


def test_address_type_the_daemon_lacks_is_a_refusal(new_wallet: Callable[..., Any]) -> None:
    with pytest.raises(BackendRejectedError, match="Unknown address type"):
        new_wallet(address_type="bech32m").backend.create_address("label")


# --- list_since -------------------------------------------------------------------------------------------------


def test_deposit_is_listed_from_the_mempool_to_the_depth(node: RegtestNode, wallet: Any) -> None:
    backend = wallet.backend
    address = backend.create_address("label")
    checkpoint = backend.list_since(None, depth=3).checkpoint
    txid = pay(node, {address: "1.5"})
    seen: list[int | None] = []
    blocks: list[str] = []
    for _ in range(5):
        changes = backend.list_since(checkpoint, depth=3)
        assert changes.tip == backend.get_tip()
        checkpoint = changes.checkpoint
        listed = by_txid(changes).get(Txid(txid))
        seen.append(None if listed is None else listed.confirmations)
        blocks += node.mine()
    assert seen == [0, 1, 2, 3, None]
    final = backend.get_transactions([Txid(txid)])[Txid(txid)]
    (output,) = final.received
    assert (output.address, output.amount) == (address, Decimal("1.50000000"))
    assert (final.block_hash, final.fee, final.coinbase) == (blocks[0], None, False)


def test_number_of_requests_does_not_grow(wallet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet.fund(*["0.1"] * 12)
    posts: list[str] = []
    original = transport.Connection.request

    def request(connection: transport.Connection, method: str, *rest: Any) -> None:
        posts.append(method)
        original(connection, method, *rest)

    monkeypatch.setattr(transport.Connection, "request", request)
    assert len(by_txid(wallet.backend.list_since(None, depth=3))) == 12
    assert posts == ["POST"]


def test_depth_below_one_is_refused(wallet: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        wallet.backend.list_since(None, depth=0)


def test_two_outputs_to_one_address_are_two_outputs(node: RegtestNode, wallet: Any) -> None:
    address = wallet.backend.create_address("label")
    (coin,) = unspent(node, 1)
    other = str(node.rpc("getnewaddress", wallet=""))
    # A JSON object cannot name an address twice, so the transaction is put together by hand.
    raw = str(node.rpc("createrawtransaction", [coin], {address: Decimal("0.1"), other: Decimal("0.2")}))
    mine, theirs = script(node, address), script(node, other)
    signed = sign(node, raw.replace(theirs, mine))
    txid = str(node.rpc("sendrawtransaction", signed, "0"))
    node.sync()
    expected = (ReceivedOutput(address, Decimal("0.10000000"), 0), ReceivedOutput(address, Decimal("0.20000000"), 1))
    assert by_txid(wallet.backend.list_since(None, depth=1))[txid].received == expected
    assert wallet.backend.get_transactions([Txid(txid)])[Txid(txid)].received == expected
    node.mine()


def test_our_sends_are_listed_without_received_and_with_the_whole_fee_once(
    wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("5")
    txid = str(wallet.rpc("sendmany", "", {outside(): Decimal("1"), outside(): Decimal("2")}))
    facts = wallet.rpc("gettransaction", txid)
    for transaction in (
        by_txid(wallet.backend.list_since(None, depth=1))[txid],
        wallet.backend.get_transactions([Txid(txid)])[Txid(txid)],
    ):
        assert transaction.received == ()
        assert transaction.fee == -facts["fee"] > 0
        assert transaction.sent == 3
        assert transaction.confirmations == 0


def test_block_reward_is_coinbase_immature_and_mature(node: RegtestNode, wallet: Any) -> None:
    address = wallet.backend.create_address("label")
    (block,) = node.mine(address=address)
    (reward,) = wallet.backend.list_since(None, depth=1).transactions
    assert (reward.coinbase, reward.confirmations, reward.block_hash) == (True, 1, block)
    assert reward.received[0].address == address
    assert wallet.backend.get_backend_balance() == 0
    assert wallet.backend.get_transactions([reward.txid])[reward.txid] == reward


# --- Reorganisations --------------------------------------------------------------------------------------------


def test_reorganised_deposit_is_listed_as_unconfirmed_and_confirmed_again(node: RegtestNode, wallet: Any) -> None:
    txid = pay(node, {wallet.backend.create_address("label"): "1"})
    stale = node.mine(2)
    checkpoint = wallet.backend.list_since(None, depth=1).checkpoint
    assert checkpoint == stale[1]
    node.rpc("invalidateblock", stale[0])
    (back,) = wallet.backend.list_since(checkpoint, depth=1).transactions
    assert (back.txid, back.confirmations, back.block_hash, len(back.received)) == (txid, 0, None, 1)
    (block, *_) = node.mine(3)
    (again,) = wallet.backend.list_since(checkpoint, depth=1).transactions
    assert (again.txid, again.confirmations, again.block_hash) == (txid, 3, block)


def test_double_spent_deposit_is_in_conflict_when_asked_for(node: RegtestNode, wallet: Any) -> None:
    address = wallet.backend.create_address("label")
    (coin,) = unspent(node, 1)
    deposit, theft = (spend(node, coin, to) for to in (address, str(node.rpc("getnewaddress", wallet=""))))
    txid = Txid(str(node.rpc("sendrawtransaction", deposit, "0")))
    stale = node.mine(2)
    checkpoint = wallet.backend.list_since(None, depth=1).checkpoint
    node.rpc("invalidateblock", stale[0])
    node.rpc("generateblock", node.rpc("getnewaddress", wallet=""), [theft])
    node.mine(2)
    for listed in by_txid(wallet.backend.list_since(checkpoint, depth=1)).values():
        assert (listed.txid, listed.received) == (txid, ())
        assert listed.confirmations < 0
    found = wallet.backend.get_transactions([txid])[txid]
    assert (found.confirmations, found.received, found.block_hash) == (-3, (), None)
    assert wallet.backend.get_backend_balance() == 0


def test_reward_of_a_stale_block_is_in_conflict(node: RegtestNode, wallet: Any) -> None:
    (block,) = node.mine(address=wallet.backend.create_address("label"))
    (reward,) = wallet.backend.list_since(None, depth=1).transactions
    node.rpc("invalidateblock", block)
    node.mine(2)
    found = wallet.backend.get_transactions([reward.txid])[reward.txid]
    assert (found.coinbase, found.received) == (True, ())
    assert found.confirmations < 0
    (listed,) = wallet.backend.list_since(block, depth=1).transactions
    assert listed.confirmations < 0


# --- get_transactions -------------------------------------------------------------------------------------------


def test_unknown_transactions_are_absent_and_harm_no_other(node: RegtestNode, wallet: Any) -> None:
    txid = Txid(pay(node, {wallet.backend.create_address("label"): "1"}))
    asked = [Txid("cd" * 32), txid, Txid("junk"), Txid(""), txid, Txid("EF" * 32), Txid("ef" * 32)]
    assert list(wallet.backend.get_transactions(asked)) == [txid]


def test_many_transactions_are_looked_up_in_chunks(node: RegtestNode, wallet: Any) -> None:
    txid = Txid(pay(node, {wallet.backend.create_address("label"): "1"}))
    assert list(wallet.backend.get_transactions([Txid(f"{n:064x}") for n in range(250)] + [txid])) == [txid]


# --- Balance ----------------------------------------------------------------------------------------------------


def test_balance_counts_by_confirmations(node: RegtestNode, wallet: Any) -> None:
    balance = wallet.backend.get_backend_balance
    pay(node, {wallet.backend.create_address("label"): "1"})
    assert (balance(0), balance(1)) == (1, 0)
    node.mine(2)
    assert (balance(0), balance(2), balance(3)) == (1, 1, 0)
    node.mine()
    assert (balance(3), balance(10_000)) == (1, 0)


def test_balance_counts_locked_coins_and_our_unconfirmed_change(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("5", confirmations=3)
    wallet.fund("0.5", confirmations=1)
    pay(node, {wallet.backend.create_address("label"): "0.25"})
    balance = wallet.backend.get_backend_balance
    prepared = wallet.backend.prepare({outside(): Decimal("5.2")})
    assert (balance(0), balance(1), balance(3)) == (Decimal("5.75"), Decimal("5.5"), Decimal("5"))
    wallet.backend.submit(prepared)
    node.sync()
    spent = Decimal("5.2") + prepared.fee
    assert (balance(0), balance(1), balance(3)) == tuple(Decimal(x) - spent for x in ("5.75", "5.5", "5"))


# --- Nonsense ---------------------------------------------------------------------------------------------------


def test_row_without_address_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    rows: list[listing.Row] = [
        {"txid": "ab" * 32, "category": "receive", "amount": Decimal("1"), "confirmations": 0, "vout": 0},
        {"txid": "ab" * 32, "category": "receive", "amount": 2, "confirmations": 0, "vout": 1, "address": "a"},
    ]
    (transaction,) = read(rows)
    assert transaction.received == (ReceivedOutput("a", Decimal("2.00000000"), 1),)
    assert "not credited" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"confirmations": "1"},
        {"confirmations": True},
        {"confirmations": None},
        {"amount": 0.1},
        {"amount": "1"},
        {"amount": Decimal("1E-9")},
        {"amount": Decimal("NaN")},
        {"vout": None},
        {"address": 5},
        {"txid": "short"},
        {"confirmations": 1, "blockhash": "nonsense"},
    ],
)
def test_ill_typed_rows_are_refused(change: dict[str, object]) -> None:
    row = {"txid": "ab" * 32, "category": "receive", "amount": 1, "confirmations": 0, "vout": 1, "address": "a"}
    with pytest.raises(BackendError, match="makes no sense"):
        read([row | change])


def read(rows: list[listing.Row]) -> list[WalletTransaction]:
    return [listing.from_listing(txid, rows, decimals=8) for txid, rows in listing.group_by_txid(rows).items()]


def unspent(node: RegtestNode, count: int) -> list[dict[str, object]]:
    """Find confirmed coins of the miner."""
    coins = node.rpc("listunspent", 1, wallet="")
    assert isinstance(coins, list)
    return [{"txid": coin["txid"], "vout": coin["vout"]} for coin in coins if coin["amount"] > 1][:count]


def script(node: RegtestNode, address: str) -> str:
    info = node.rpc("validateaddress", address)
    assert isinstance(info, dict)
    return str(info["scriptPubKey"])


def sign(node: RegtestNode, raw: str) -> str:
    signed = node.rpc("signrawtransactionwithwallet", raw, wallet="")
    assert isinstance(signed, dict)
    assert signed["complete"] is True
    return str(signed["hex"])


def spend(node: RegtestNode, coin: dict[str, object], address: str) -> str:
    """Let the miner spend one coin, giving most of it away as fee."""
    return sign(node, str(node.rpc("createrawtransaction", [coin], {address: Decimal("0.5")})))


def test_deposit_that_is_mined_while_the_mempool_is_looked_at_is_not_forgotten(
    node: RegtestNode, wallet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet.fund("1", confirmations=0)
    node.sync()
    (waiting,) = wallet.backend.list_since(None, depth=15).transactions

    def gone_into_a_block(_rpc: object, txids: list[Txid]) -> list[Txid]:
        node.mine()
        return txids

    monkeypatch.setattr("cryptoassets_bitcoind.mempool.missing", gone_into_a_block)
    (now,) = wallet.backend.list_since(None, depth=15).transactions
    assert (now.txid, now.confirmations, now.forgotten, now.is_dead) == (waiting.txid, 1, False, False)
