"""The core of it all again, with a real daemon on a private chain and the books on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from chain_world import Observed, see_credited_at_the_third_confirmation
from litecoin_world import Litecoin, alone

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.errors import BackendError, OutcomeUnknownError
from cryptoassets_core.testing.requirements import require
from cryptoassets_core.tools.broadcastagain import submit_again
from cryptoassets_core.tools.reconcile import reconcile

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture(scope="session")
def node() -> Iterator[RegtestNode]:
    """A daemon for the whole session, with coins to give away."""
    require("litecoind", "litecoind")
    with RegtestNode() as running:
        running.mine_coins()
        running.mine(40)
        yield running


@pytest.fixture
def world(node: RegtestNode, postgres_url: str) -> Iterator[Litecoin]:
    made = Litecoin(postgres_url, node)
    yield made
    made.close()
    node.rpc("unloadwallet", made.wallet)


@pytest.fixture
def restartable(postgres_url: str) -> Iterator[Litecoin]:
    """Books on a daemon that the test may stop."""
    with alone(postgres_url) as made:
        yield made


def again(world: Litecoin) -> int:
    return submit_again(world.coin, world.app.conflict_resolver, world.backend, clock=lambda: world.now)


def lose_answer(world: Litecoin, method: str) -> Any:
    """Return the backend with answers to a method lost on the way."""

    def lost(name: str, answer: Any) -> Any:
        if name == method:
            raise OutcomeUnknownError(f"the answer of {method} was lost")
        return answer

    return Observed(world.backend, after=lost)


def test_deposit_is_told_and_credited_at_the_third_confirmation(world: Litecoin) -> None:
    see_credited_at_the_third_confirmation(world)
    assert world.total() == world.balance_of_node()
    world.check()


def test_coins_come_and_go_exactly_though_the_application_counts_coarsely(world: Litecoin) -> None:
    to = world.outside()
    with localcontext(Context(prec=2)):
        alice = world.funded("1.23456789", "2.00000001")
        for amount in ("0.12345678", "0.10000009"):
            world.withdraw(to, amount)
        fees = world.broadcast().fees
        world.step()
        with world.app.open_readonly_session() as session:
            assert reconcile(session, world.coin, world.backend).balanced

    (broadcast,) = world.network_rows("broadcast")
    carried: Any = world.own("gettransaction", broadcast.txid)
    assert (world.paid(to), world.balance(alice)) == (Decimal("0.22345687"), Decimal("3.01111103"))
    assert fees == -carried["fee"]
    assert world.total() == world.balance_of_node()
    world.check()


def test_outputs_to_one_address_are_summed_and_several_wallets_paid(world: Litecoin) -> None:
    alice, bob = world.account("alice"), world.account("bob", "other shop")
    coins: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 10}, wallet="")
    hers, twin, his = world.address(alice), world.address(alice), world.address(bob)
    change = {world.outside(): coins[0]["amount"] - Decimal("7.001")}
    outputs = [{hers: Decimal(1)}, {twin: Decimal(4)}, {his: Decimal(2)}, change]
    raw = str(world.node.rpc("createrawtransaction", [{key: coins[0][key] for key in ("txid", "vout")}], outputs))
    # A daemon makes no transaction with an address twice, though it takes one.
    scripts = [world.own("getaddressinfo", address)["scriptPubKey"] for address in (twin, hers)]
    signed: Any = world.node.rpc("signrawtransactionwithwallet", raw.replace(*scripts), wallet="")
    world.node.rpc("sendrawtransaction", signed["hex"])
    world.step(3)
    assert sorted(row.amount for row in world.rows()) == [2, 5]
    assert (world.balance(alice), world.balance(bob)) == (5, 2)
    assert world.total() == world.balance_of_node()
    world.check()


def test_block_reward_waits_for_maturity(world: Litecoin) -> None:
    world.node.mine(1, address=world.address())
    world.node.mine(98)
    world.node.sync()
    world.updater.poll()
    assert (world.rows()[0].credited_at, world.balance()) == (None, 0)
    world.step()
    assert world.balance() == world.rows()[0].amount
    world.check()


def test_output_of_nothing_stops_nobody(world: Litecoin) -> None:
    coin: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 2}, wallet="")
    amount = coin[0]["amount"] - Decimal("0.001")
    raw = world.spend(coin[0], [{world.address(): 0}, {world.outside(): amount}])
    world.mine_exactly(raw)
    world.pay(world.address(), "1")
    world.step(3)
    assert world.balance() == 1
    world.check()


def test_hundred_withdrawals_are_one_transaction_with_its_fee_booked(world: Litecoin) -> None:
    world.funded("3", "1")
    payees = [world.outside() for _ in range(99)]
    for payee in [*payees, payees[0]]:
        world.withdraw(payee, "0.01")
    result = world.broadcast()
    (broadcast,) = world.network_rows("broadcast")
    world.node.sync()
    assert result.count == 1
    assert world.own("gettransaction", broadcast.txid)["fee"] == -broadcast.fee == -result.fees
    assert [row.amount for row in world.rows("network_fee")] == [broadcast.fee]
    world.step(4)
    assert [world.paid(payee) for payee in payees] == [Decimal("0.02")] + [Decimal("0.01")] * 98
    assert world.total() == world.balance_of_node()
    assert world.confirmations_told(world.rows("withdrawal")[0].id)[-1] == (4, True)
    world.check()


def test_paying_ourselves_over_the_network(world: Litecoin) -> None:
    alice, bob = world.funded("5"), world.account("bob")
    world.withdraw(world.address(bob), "2", alice, force_external=True)
    assert world.broadcast().count == 1
    world.step(4)
    assert (world.balance(alice), world.balance(bob)) == (3, 2)
    assert world.total() == world.balance_of_node()
    world.check()


@pytest.mark.parametrize("method", ["prepare", "submit"])
def test_lost_answer_pays_once(world: Litecoin, method: str) -> None:
    world.funded("2", "2")
    payee = world.outside()
    world.withdraw(payee, "1")
    assert world.broadcast(backend=lose_answer(world, method)).count == 0
    assert world.broadcast().count == 1
    world.step(3)
    assert world.broadcast().count == 0
    assert world.paid(payee) == 1
    assert world.total() == world.balance_of_node()
    world.check()


def test_lost_answer_to_what_is_mined_and_spent_since_pays_once(world: Litecoin) -> None:
    """The daemon refuses it then with the words for a double spend."""
    world.funded("2")
    payee = world.outside()
    world.withdraw(payee, "1")
    world.broadcast(backend=lose_answer(world, "submit"))
    world.step(2)
    (broadcast,) = world.network_rows("broadcast")
    outputs: Any = world.node.rpc("decoderawtransaction", broadcast.raw)
    for output in outputs["vout"]:
        owner = "" if output["scriptPubKey"]["addresses"] == [payee] else world.wallet
        coin = {"txid": broadcast.txid, "vout": output["n"]}
        target = world.outside() if owner == "" else str(world.own("getrawchangeaddress"))
        raw = world.spend(coin, {target: output["value"] - Decimal("0.001")}, wallet=owner)
        world.node.rpc("sendrawtransaction", raw)
    world.step(1)
    assert world.broadcast().count == 1
    assert [row.state for row in world.network_rows("broadcast")] == ["live"]
    assert world.paid(payee) == 1
    world.check()


@pytest.mark.parametrize("published", [False, True])
def test_daemon_that_restarts_with_an_empty_mempool_pays_once(restartable: Litecoin, published: bool) -> None:
    world = restartable
    world.funded("2", "2")
    payee = world.outside()
    world.withdraw(payee, "1")
    if published:
        world.broadcast(backend=lose_answer(world, "submit"))
    else:

        def fail(name: str) -> None:
            if name == "submit":
                raise OutcomeUnknownError("it never arrived")

        world.broadcast(backend=Observed(world.backend, before=fail))
    world.node.stop()
    with pytest.raises(BackendError):
        world.updater.poll()
    assert world.broadcast().count == 0
    (world.node.datadir / "regtest" / "mempool.dat").unlink()
    world.node.start()
    other = world.outside()
    world.withdraw(other, "0.5")
    assert world.broadcast().count == 2
    world.step(3)
    assert (world.paid(payee), world.paid(other)) == (1, Decimal("0.5"))
    assert world.total() == world.balance_of_node()
    world.check()


def test_reorganisation_takes_confirmations_back(world: Litecoin) -> None:
    world.funded("5")
    payee = world.outside()
    withdrawal = world.withdraw(payee, "1")
    world.pay(world.address(), "2")
    world.broadcast()
    world.step(2)
    world.take_back(2)
    world.mine_exactly()
    world.mine_exactly()
    world.mine_exactly()
    world.updater.poll()
    deposit = world.rows("deposit")[-1]
    assert world.confirmations_told(deposit.id)[-1] == world.confirmations_told(withdrawal)[-1] == (0, False)
    assert world.balance() == 4
    assert world.broadcast().count == 0
    world.step(3)
    assert world.balance() == 6
    assert world.paid(payee) == 1
    assert world.total() == world.balance_of_node()
    world.check()


@pytest.mark.parametrize("depth", [3, 15, 17])
def test_double_spent_deposit_is_reversed_and_credited_again_when_it_comes_back(world: Litecoin, depth: int) -> None:
    coins: Any = world.node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 1}, wallet="")
    amount = coins[0]["amount"] - Decimal("0.001")
    deposit = world.spend(coins[0], {world.address(): amount})
    rival = world.spend(coins[0], {world.outside(): amount})
    world.mine_exactly(deposit)
    world.updater.poll()
    for _ in range(depth - 1):
        world.mine_exactly()
        world.updater.poll()
    assert world.balance() == amount
    world.take_back(depth)
    world.mine_exactly(rival)
    for _ in range(depth):
        world.mine_exactly()
    world.updater.poll()
    assert world.balance() == 0 == world.balance_of_node()
    assert [row.kind for row in world.rows()] == ["deposit", "reversal"]
    assert [event["state"] for event in world.events() if "state" in event][-1] == "reversed"
    world.check()
    world.take_back(depth + 1)
    world.mine_exactly(deposit)
    for _ in range(depth + 1):
        world.mine_exactly()
    world.updater.poll()
    assert world.balance() == amount == world.balance_of_node()
    assert [row.kind for row in world.rows()] == ["deposit", "reversal", "deposit"]
    world.check()


def test_broadcast_whose_input_is_stolen_is_rebuilt_and_paid_once(world: Litecoin) -> None:
    world.funded("2", "2")
    payee = world.outside()
    world.withdraw(payee, "1")

    def fail(name: str) -> None:
        if name == "submit":
            raise OutcomeUnknownError("it never arrived")

    world.broadcast(backend=Observed(world.backend, before=fail))
    (dead,) = world.network_rows("broadcast")
    decoded: Any = world.node.rpc("decoderawtransaction", dead.raw)
    thief = world.outside()
    world.mine_exactly(world.spend(decoded["vin"][0], {thief: Decimal("1.999")}, wallet=world.wallet))
    world.broadcast()
    other = world.outside()
    world.withdraw(other, "0.5")
    assert world.broadcast().count == 1  # which needs no stolen coins
    # Until the theft is final, a reorganisation could let the first payment confirm beside a second one.
    for _ in range(world.coin.max_confirmation_count - 2):
        world.mine_exactly()
    assert (again(world), world.broadcast().count) == (0, 0)
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live"]
    world.mine_exactly()
    again(world)
    assert world.broadcast().count == 1
    world.step(3)
    assert [row.state for row in world.network_rows("broadcast")] == ["dead", "live", "live"]
    assert (world.paid(payee), world.paid(other), world.paid(thief)) == (1, Decimal("0.5"), Decimal("1.999"))
    assert (len(world.rows("network_fee")), len(world.rows("refund"))) == (3, 1)
    world.check()


# --- What the wallet does not do now ------------------------------------------------------------------------------


def test_locked_wallet_keeps_withdrawals_waiting_and_says_what_to_do(world: Litecoin) -> None:
    world.funded("2")
    world.own("encryptwallet", "passphrase")
    payee = world.outside()
    withdrawal = world.withdraw(payee, "1")
    assert world.broadcast().count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (world.row(withdrawal).state, "walletpassphrase" in waiting.reason) == ("pending", True)
    assert waiting.next_attempt_at > world.now
    world.own("walletpassphrase", "passphrase", 60)
    assert world.broadcast().count == 1
    assert world.paid(payee) == 1
    world.check()


def test_wallet_that_is_not_loaded_keeps_withdrawals_waiting_and_says_what_to_do(world: Litecoin) -> None:
    world.funded("2")
    world.node.rpc("unloadwallet", world.wallet)
    payee = world.outside()
    withdrawal = world.withdraw(payee, "1")
    assert world.broadcast().count == 0
    (waiting,) = world.network_rows("broadcast")
    assert (world.row(withdrawal).state, "loadwallet" in waiting.reason) == ("pending", True)
    world.node.rpc("loadwallet", world.wallet)
    assert world.broadcast().count == 1
    assert world.paid(payee) == 1
    world.check()


def test_too_little_in_the_wallet_keeps_the_queue_in_order_and_is_told_once(world: Litecoin) -> None:
    world.funded("2")
    # Somebody emptied the hot wallet behind our back.
    world.own("sendtoaddress", world.outside(), Decimal("1.9"))
    first, second = world.outside(), world.outside()
    world.withdraw(first, "1")
    assert world.broadcast().count == 0
    world.withdraw(second, "0.01")
    assert (world.broadcast().count, world.paid(second)) == (0, 0)
    (told,) = world.events("withdrawal_waiting")
    assert (told["withdrawals"], told["amount"]) == (1, "1.00000000")
    world.pay(str(world.own("getnewaddress")), "3")
    world.step(1)
    assert world.broadcast().count == 2
    assert (world.paid(first), world.paid(second)) == (1, Decimal("0.01"))
    assert [row.attempts for row in world.network_rows("broadcast")] == [0, 0]
    world.check()


def test_look_and_block_cost_a_constant_number_of_calls(world: Litecoin) -> None:
    address = world.address()
    counts = []
    for number in (2, 40):
        for _ in range(number):
            world.pay(address, "0.01")
        world.step()
        observed = Observed(world.backend)
        world.updater.backend = observed  # type: ignore[assignment]
        world.updater.poll()
        world.step()
        counts.append(dict(observed.calls))
        world.updater.backend = world.backend
    assert counts == [{"get_tip": 2, "list_since": 1}] * 2
