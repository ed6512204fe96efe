"""The later steps of a withdrawal, against a real daemon: coins are held, transactions published, and found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cryptoassets_bitcoind.rpc import RpcClient
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Outpoint, PreparedTransaction, Txid
from cryptoassets_core.errors import (
    BackendError,
    BackendRejectedError,
    BroadcastDeadError,
    OutcomeUnknownError,
)

pytestmark = pytest.mark.regtest


def steal(wallet: Any, prepared: PreparedTransaction, address: str, **changes: object) -> str:
    """Sign another transaction over the same coins; it is not published."""
    coins = [{"txid": spent.txid, "vout": spent.vout, **changes} for spent in prepared.inputs]
    raw = wallet.rpc("createrawtransaction", coins, {address: Decimal("0.9")})
    return str(wallet.rpc("signrawtransactionwithwallet", raw)["hex"])


def mine_transaction(node: RegtestNode, raw: str) -> None:
    node.rpc("generateblock", node.rpc("getnewaddress", wallet=""), [raw])


def test_submitting_again_succeeds_in_the_mempool_in_the_chain_and_when_spent(
    node: RegtestNode, wallet: Any, new_wallet: Callable[..., Any]
) -> None:
    receiver = new_wallet()
    wallet.fund("1")
    address = receiver.backend.create_address("label")
    # Without change, so that all of it can be spent by the receiver.
    prepared = wallet.backend.prepare({address: Decimal("0.99996")})
    wallet.backend.submit(prepared)
    wallet.backend.submit(prepared)
    node.mine()
    wallet.backend.submit(prepared)
    receiver.rpc("sendtoaddress", node.rpc("getnewaddress", wallet=""), Decimal("0.99996"), "", "", True)
    node.mine()
    wallet.backend.submit(prepared)
    assert wallet.backend.get_transactions([prepared.txid])[prepared.txid].confirmations == 2


def test_lost_answer_to_publishing_is_in_doubt_and_submitting_again_settles_it(
    wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    losing = wallet.lose_answers()
    losing.lost = "sendrawtransaction"
    with pytest.raises(OutcomeUnknownError):
        wallet.backend.submit(prepared)
    losing.lost = ""
    wallet.backend.submit(prepared)
    wallet.node.sync()
    assert wallet.backend.get_transactions([prepared.txid])[prepared.txid].confirmations == 0


def test_stolen_inputs_are_in_doubt_until_the_thief_is_confirmed(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    thief = wallet.rpc("sendrawtransaction", steal(wallet, prepared, outside()), "0")
    with pytest.raises(OutcomeUnknownError, match="must be submitted again"):
        wallet.backend.submit(prepared)
    for blocks, depth in ((1, 1), (3, 4)):
        node.mine(blocks)
        with pytest.raises(BroadcastDeadError, match=thief) as dead:
            wallet.backend.submit(prepared)
        assert dead.value.depth == depth


def test_coins_that_nobody_knows_the_spender_of_prove_nothing(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    """It may have made our payments: a wallet that was restored has forgotten what it sent."""
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    mine_transaction(node, steal(wallet, prepared, outside()))

    class Forgetful(RpcClient):
        def call(self, method: str, *params: object) -> object:
            answer: Any = super().call(method, *params)
            return answer | {"transactions": []} if method == "listsinceblock" else answer

    wallet.backend.rpc = Forgetful(wallet.backend.rpc.endpoint, timeout=15)
    with pytest.raises(OutcomeUnknownError, match="must be submitted again"):
        wallet.backend.submit(prepared)


def test_child_waits_for_a_parent_that_the_node_has_forgotten(connect: Callable[..., Any]) -> None:
    with RegtestNode(options=["-persistmempool=0", "-walletbroadcast=0"]) as node:
        node.mine_coins()
        backend = connect(node.url(""))
        everything = backend.get_backend_balance() - 1
        parent = backend.prepare({"mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx": everything})
        backend.submit(parent)
        child = backend.prepare({"mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx": Decimal("0.5")})
        assert child.inputs[0].txid == parent.txid
        node.restart()
        with pytest.raises(OutcomeUnknownError, match="must be submitted again"):
            backend.submit(child)
        backend.submit(parent)
        backend.submit(child)


def test_published_transaction_that_lost_against_the_chain_is_dead(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    theft = steal(wallet, prepared, outside())
    wallet.backend.submit(prepared)
    child = wallet.backend.prepare({outside(): Decimal("0.1")})
    mine_transaction(node, theft)
    node.mine()
    assert wallet.backend.get_transactions([prepared.txid])[prepared.txid].confirmations == -2
    with pytest.raises(BroadcastDeadError) as dead:
        wallet.backend.submit(prepared)
    assert dead.value.depth == 2
    with pytest.raises(BroadcastDeadError, match="in conflict with the chain") as dead:
        wallet.backend.submit(child)
    assert dead.value.depth == 2


def test_transaction_that_waits_for_its_parent_is_not_dead(
    node: RegtestNode, wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1")
    parent = wallet.backend.prepare({outside(): Decimal("0.5")})
    wallet.backend.submit(parent)
    child = wallet.backend.prepare({outside(): Decimal("0.1")})
    (block,) = node.mine()
    node.rpc("invalidateblock", block)
    node.rpc("reconsiderblock", block)
    wallet.backend.submit(child)
    node.sync()
    assert wallet.backend.get_transactions([child.txid])[child.txid].confirmations == 0


def test_same_payments_under_another_txid_are_found(node: RegtestNode, wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    decoded = wallet.rpc("decoderawtransaction", prepared.raw)
    coins = [{"txid": spent.txid, "vout": spent.vout, "sequence": 5} for spent in prepared.inputs]
    outputs = [{output["scriptPubKey"]["addresses"][0]: output["value"]} for output in decoded["vout"]]
    twin = wallet.rpc("signrawtransactionwithwallet", wallet.rpc("createrawtransaction", coins, outputs))["hex"]
    mine_transaction(node, twin)
    mined = wallet.backend.submit(prepared)
    assert mined == wallet.rpc("decoderawtransaction", twin)["txid"] != prepared.txid


def test_bytes_that_are_no_transaction_are_refused(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    broken = PreparedTransaction(prepared.txid, "00", prepared.fee, prepared.inputs)
    with pytest.raises(BackendRejectedError, match="code -22"):
        wallet.backend.submit(broken)


def test_bytes_are_known_by_their_own_txid_once_what_replaced_them_is_gone(
    wallet: Any, outside: Callable[[], str]
) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    assert wallet.backend.submit(replace(prepared, txid=Txid("ab" * 32))) == prepared.txid


def test_txid_that_is_not_that_of_the_bytes_is_not_believed(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})

    class Mistaken(RpcClient):
        def call(self, method: str, *params: object) -> object:
            return "ab" * 32 if method == "sendrawtransaction" else super().call(method, *params)

    wallet.backend.rpc = Mistaken(wallet.backend.rpc.endpoint, timeout=15)
    with pytest.raises(BackendError, match="look at both before going on"):
        wallet.backend.submit(prepared)


def test_what_another_backend_has_prepared_is_not_published(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    with pytest.raises(BackendRejectedError, match="another backend prepared it"):
        wallet.backend.submit(replace(prepared, txid=None))
    assert wallet.backend.get_transactions([prepared.txid]) == {}


# --- hold and release -------------------------------------------------------------------------------------------


def test_hold_brings_locks_back_after_a_restart(fresh_node: RegtestNode, connect: Callable[..., Any]) -> None:
    fresh_node.mine_coins()
    fresh_node.mine(3)
    backend = connect(fresh_node.url(""))
    outside = "mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx"
    first = backend.prepare({outside: Decimal(1)})
    backend.hold(first)
    second = backend.prepare({outside: Decimal(1)})
    backend.hold(second)
    fresh_node.restart()
    assert fresh_node.rpc("listlockunspent", wallet="") == []
    backend.hold(first)
    backend.hold(first)
    backend.hold(second)
    rows: Any = fresh_node.rpc("listlockunspent", wallet="")
    assert {Outpoint(row["txid"], row["vout"]) for row in rows} == set(first.inputs) | set(second.inputs)
    assert not set(backend.prepare({outside: Decimal(1)}).inputs) & (set(first.inputs) | set(second.inputs))
    backend.submit(first)
    fresh_node.mine()
    backend.hold(first)
    backend.submit(first)


def test_release_is_idempotent_and_leaves_spent_coins_alone(wallet: Any, outside: Callable[[], str]) -> None:
    wallet.fund("1")
    prepared = wallet.backend.prepare({outside(): Decimal("0.5")})
    wallet.backend.hold(prepared)
    wallet.backend.release(prepared)
    wallet.backend.release(prepared)
    assert wallet.locked() == set()
    wallet.backend.submit(prepared)
    wallet.backend.release(prepared)


def test_published_transaction_survives_a_power_failure(fresh_node: RegtestNode, connect: Callable[..., Any]) -> None:
    fresh_node.mine_coins()
    fresh_node.rpc("gettxoutsetinfo")
    backend = connect(fresh_node.url(""))
    prepared = backend.prepare({"mjQqM4uFxa88XHR9BzeoiBSR55Zmf7xBEx": Decimal(1)})
    backend.submit(prepared)
    fresh_node.kill()
    fresh_node.start()
    backend.submit(prepared)
    fresh_node.sync()
    assert backend.get_transactions([prepared.txid])[prepared.txid].confirmations == 0
