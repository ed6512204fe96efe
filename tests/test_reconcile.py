"""The books against the node: whatever is planted is named, to the smallest unit, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chain_world import FEE, Books, Observed, World, make_app, outside
from commands import run, simnet_config, write
from kit import PaperBackend, seen
from sqlalchemy.orm import Session

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_btc import BITCOIN
from cryptoassets_core.backend.base import ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.errors import BackendUnavailableError, BroadcastDeadError, OutcomeUnknownError
from cryptoassets_core.testing.requirements import require
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.reconciliation import Cause, Reconciliation
from cryptoassets_core.tools.walletimport import importable
from cryptoassets_simnet import Simnet


@pytest.fixture
def world(books_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(books_url, tmp_path)
    yield made
    made.close()


def look(books: Books, backend: Any = None) -> Reconciliation:
    with books.app.open_readonly_session() as session:
        return reconcile(session, books.coin, backend or books.backend)


def named(found: Reconciliation) -> list[tuple[Cause, Txid, Decimal]]:
    return [(each.cause, each.txid, each.amount) for each in found.differences]


def assert_explained(found: Reconciliation, *expected: tuple[Cause, str, str]) -> None:
    """See that exactly these differences are named, and that they explain everything."""
    assert sorted(named(found)) == sorted((cause, Txid(txid), Decimal(amount)) for cause, txid, amount in expected)
    assert found.difference == sum(Decimal(amount) for *_, amount in expected)
    assert (found.unexplained, found.balanced, found.moved) == (Decimal(0), False, False)


def pay_by_hand(backend: Any, address: str, amount: str) -> Txid:
    """Spend from the wallet past the books."""
    prepared = backend.prepare({address: Decimal(amount)})
    backend.submit(prepared)
    return Txid(prepared.txid)


def broadcast_txid(world: Books) -> str:
    return str(world.network_rows("broadcast")[-1].txid)


def fails(method: str, error: Exception, *, before: bool = False) -> Callable[[Any], Any]:
    """Make a backend whose method fails, before it did its work or after."""

    def fail(name: str, answer: Any = None) -> Any:
        if name == method:
            raise error
        return answer

    return lambda backend: Observed(backend, before=fail) if before else Observed(backend, after=fail)


# --- What is well -------------------------------------------------------------------------------------------


def test_coins_are_accounted_for_at_every_moment_of_their_life(world: World) -> None:
    moments = [look(world)]
    world.net.pay(world.address(), Decimal(2))
    world.updater.follow()
    moments.append(look(world))
    world.step(3)
    moments.append(look(world))
    world.withdraw(outside(1), "0.5")
    moments.append(look(world))
    down = BackendUnavailableError("the node went away")
    world.broadcast(backend=fails("submit", down, before=True)(world.backend))
    moments.append(look(world))
    world.broadcast(backend=fails("submit", OutcomeUnknownError("the answer was lost"))(world.backend))
    moments.append(look(world))
    world.broadcast()
    moments.append(look(world))

    assert [(each.balanced, named(each), each.unexplained) for each in moments] == [(True, [], Decimal(0))] * 7
    assert [each.balance for each in moments] == [0, 2, 2, 2, 2, Decimal("1.5") - FEE, Decimal("1.5") - FEE]
    in_flight = [{each.incoming, each.queued, each.prepared, each.fees_not_booked} - {0} for each in moments]
    assert in_flight == [set(), {2}, set(), {Decimal("0.5")}, {Decimal("0.5")}, {FEE}, set()]
    assert (moments[3].queued, moments[4].prepared) == (Decimal("0.5"), Decimal("0.5"))


def test_accounts_of_all_wallets_count(world: World) -> None:
    world.funded("1")
    world.funded("2", world.account("bob", "another shop"))
    found = look(world)
    assert (found.balanced, found.accounts) == (True, Decimal(3))


def test_block_reward_is_in_flight_until_the_node_lets_it_be_spent(world: World) -> None:
    world.net.reward(world.address())
    world.updater.follow()
    seen_at_1 = look(world)
    world.net.mine(99)
    world.updater.follow()
    credited_at_100 = look(world)
    world.step()
    mature = look(world)

    assert [each.balanced for each in (seen_at_1, credited_at_100, mature)] == [True] * 3
    assert [seen_at_1.incoming, seen_at_1.immature] == [50, 50]
    assert [credited_at_100.accounts, credited_at_100.immature, credited_at_100.balance] == [50, 50, 0]
    assert [mature.immature, mature.balance] == [0, 50]


def test_withdrawal_to_an_account_over_the_network_is_both_deposit_and_broadcast(world: World) -> None:
    world.funded("2")
    to_bob = world.address(world.account("bob"))
    world.withdraw(to_bob, "0.5", force_external=True)
    world.broadcast()
    world.updater.handle_wallet_notify(Txid(broadcast_txid(world)))
    before = look(world)
    world.step(3)
    assert before.balanced
    assert look(world).balanced


def test_reversed_deposit_makes_no_difference(world: World) -> None:
    world.funded("1")
    (deposit,) = world.network_rows("deposit")
    world.net.double_spend(deposit.txid)
    world.updater.follow()
    found = look(world)
    assert (found.balanced, found.accounts) == (True, Decimal(0))


# --- Planted differences ------------------------------------------------------------------------------------


def test_deposit_that_the_books_lack(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal("0.3"))
    assert_explained(look(world), (Cause.UNKNOWN_DEPOSIT, txid, "0.3"))


def test_deposit_that_the_backend_has_in_conflict(world: World) -> None:
    world.funded("1")
    (deposit,) = world.network_rows("deposit")
    world.net.double_spend(deposit.txid)
    found = look(world)
    assert_explained(found, (Cause.MISSING_DEPOSIT, deposit.txid, "-1"))
    assert "is in conflict with the chain" in found.differences[0].message


def test_deposit_that_the_backend_does_not_know(world: World) -> None:
    invented = seen("nobody's", {world.address(): "0.7"}, 3)
    world.run(lambda session: apply_transactions(session, world.coin, [invented]))
    found = look(world)
    assert_explained(found, (Cause.MISSING_DEPOSIT, invented.txid, "-0.7"))
    assert "is not known to the backend" in found.differences[0].message


def test_deposit_of_another_amount(world: World) -> None:
    address = world.address()
    txid = world.net.pay(address, Decimal(1))
    world.net.mine(3)
    (reported,) = world.backend.get_transactions([txid]).values()
    wrong = replace(reported, received=(ReceivedOutput(address, Decimal("1.00000001"), 0),))
    world.run(lambda session: apply_transactions(session, world.coin, [wrong]))
    assert_explained(look(world), (Cause.DEPOSIT_AMOUNT, txid, "-0.00000001"))


def test_deposits_of_one_transaction_that_offset_each_other(world: World) -> None:
    alice, bob = world.address(), world.address(world.account("bob"))
    txid = world.net.pay_many([(alice, Decimal(1)), (bob, Decimal(2))])
    (reported,) = world.backend.get_transactions([txid]).values()
    crossed = replace(reported, received=(ReceivedOutput(alice, Decimal(2), 0), ReceivedOutput(bob, Decimal(1), 1)))
    world.run(lambda session: apply_transactions(session, world.coin, [crossed]))
    assert_explained(look(world), (Cause.DEPOSIT_AMOUNT, txid, "-1"), (Cause.DEPOSIT_AMOUNT, txid, "1"))


def test_broadcast_that_the_backend_does_not_know(world: World) -> None:
    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=PaperBackend(fee="0.00002"))
    assert_explained(look(world), (Cause.MISSING_BROADCAST, broadcast_txid(world), "0.50002"))


def test_broadcast_that_was_given_up_and_is_on_the_network(world: World) -> None:
    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=fails("submit", BroadcastDeadError("it never confirms", depth=15))(world.backend))
    assert_explained(look(world), (Cause.DEAD_BROADCAST, broadcast_txid(world), str(-Decimal("0.5") - FEE)))


def test_broadcast_whose_fee_is_another(world: World) -> None:
    def claim(name: str, answer: Any) -> Any:
        return replace(answer, fee=answer.fee + Decimal("0.00000007")) if name == "prepare" else answer

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Observed(world.backend, after=claim))
    assert_explained(look(world), (Cause.BROADCAST_FEE, broadcast_txid(world), "0.00000007"))


def test_broadcast_that_pays_more_than_its_withdrawals(world: World) -> None:
    class Generous(Observed):
        def prepare(self, recipients: dict[str, Decimal]) -> Any:
            return world.backend.prepare({to: amount + 1 for to, amount in recipients.items()})

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Generous(world.backend))
    assert_explained(look(world), (Cause.BROADCAST_AMOUNT, broadcast_txid(world), "-1"))


def test_payment_by_hand(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, outside(1), "0.5")
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-Decimal("0.5") - FEE)))


def test_payment_by_hand_to_an_account_is_a_deposit_and_a_loss(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, world.address(), "0.5")
    world.updater.handle_wallet_notify(txid)
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-Decimal("0.5") - FEE)))


def test_payment_by_hand_within_the_wallet_costs_its_fee(world: World) -> None:
    world.funded("2")
    txid = pay_by_hand(world.backend, world.net.create_address(), "0.5")
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, txid, str(-FEE)))


def test_top_up_past_the_accounts(world: World) -> None:
    txid = world.net.fund(Decimal(5))
    assert_explained(look(world), (Cause.TOP_UP, txid, "5"))


def test_differences_that_offset_each_other_are_both_named(world: World) -> None:
    """A sum that is right proves nothing."""
    world.funded("2")
    unseen = world.net.pay(world.address(), Decimal("0.5") + FEE)
    spent = pay_by_hand(world.backend, outside(1), "0.5")
    found = look(world)
    assert found.difference == 0
    half = str(Decimal("0.5") + FEE)
    assert_explained(found, (Cause.UNKNOWN_DEPOSIT, unseen, half), (Cause.UNKNOWN_PAYMENT, spent, f"-{half}"))


# --- Imports ------------------------------------------------------------------------------------------------


def import_coins(world: World, amount: str) -> None:
    def work(session: Any) -> None:
        account = session.get_one(world.coin.account_model, world.account("house"))
        account.wallet.import_balance(account, Decimal(amount))

    world.run(work)


def test_import_settles_the_history_before_it_and_nothing_after(world: World) -> None:
    world.net.fund(Decimal(5))
    pay_by_hand(world.backend, outside(1), "1")
    world.net.mine()
    import_coins(world, str(4 - FEE))
    settled = look(world)
    stolen = pay_by_hand(world.backend, outside(2), "0.25")

    assert settled.balanced
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, stolen, str(-Decimal("0.25") - FEE)))


def test_import_that_no_history_explains_is_told_with_all_of_it(world: World) -> None:
    topped_up = world.net.fund(Decimal(5))
    import_coins(world, "6")
    found = look(world)
    assert found.import_differs
    assert [found.imported, found.passed, found.difference] == [6, 5, -1]
    assert named(found) == [(Cause.TOP_UP, topped_up, Decimal(5))]
    assert found.unexplained == 0


def test_too_small_deposits_are_nobodys_until_two_people_give_them_away(books_url: str, tmp_path: Path) -> None:
    world = World(books_url, tmp_path, min_deposit="0.01")
    for amount in ("0.002", "0.003"):
        world.net.pay(world.address(), Decimal(amount))
    world.step(3)
    untouched = look(world)

    def give(session: Session) -> None:
        wallet = session.get_one(world.coin.account_model, world.account()).wallet
        wallet.adjust_balance(
            world.account(),
            Decimal("0.003"),
            direction="credit",
            reason="they asked for it",
            created_by="ann",
            approved_by="ben",
        )

    world.run(give)
    given = look(world)
    assert [(each.balanced, each.accounts, each.below_minimum) for each in (untouched, given)] == [
        (True, 0, Decimal("0.005")),
        (True, Decimal("0.003"), Decimal("0.002")),
    ]
    assert importable(given) == 0

    world.net.fund(Decimal(5))
    world.net.mine(3)
    world.updater.follow()
    topped_up = look(world)
    assert ([each.cause for each in topped_up.differences], importable(topped_up)) == ([Cause.TOP_UP], 5)
    import_coins(world, "5")
    imported = look(world)
    assert (imported.balanced, imported.below_minimum) == (True, Decimal("0.002"))
    stolen = pay_by_hand(world.backend, outside(1), "0.0005")  # less than what is left of the deposits
    assert_explained(look(world), (Cause.UNKNOWN_PAYMENT, stolen, str(-Decimal("0.0005") - FEE)))

    world.run(give)  # more than there is
    beyond = look(world)
    assert (beyond.import_differs, beyond.unexplained) == (True, 0)
    world.close()


# --- What no transaction explains, and what moves -----------------------------------------------------------


def test_deposit_replaced_in_the_mempool_is_named_until_the_books_follow(world: World) -> None:
    txid = world.net.pay(world.address(), Decimal(1))
    world.updater.follow()
    world.net.double_spend(txid)
    found = look(world)
    assert (found.difference, named(found)) == (Decimal(-1), [(Cause.MISSING_DEPOSIT, txid, Decimal(-1))])
    world.updater.follow()
    assert look(world).balanced


def test_books_that_do_not_add_up_remain_unexplained(world: World) -> None:
    world.funded("1")
    with world.app.engine.begin() as connection:  # type: ignore[union-attr]
        connection.exec_driver_sql("UPDATE btc_account SET balance = balance + 1")
    found = look(world)
    assert (found.difference, found.differences, found.unexplained) == (Decimal("-0.00000001"), [], found.difference)


def test_backend_that_changes_meanwhile_is_noticed(world: World) -> None:
    def arrive(name: str) -> None:
        if name == "list_since":
            world.net.fund(Decimal(1))

    assert look(world, Observed(world.backend, before=arrive)).moved


def test_number_of_calls_and_statements_does_not_grow(world: World) -> None:
    counts = []
    for _ in range(2):
        world.funded("1", coins=20)
        observed = Observed(world.backend)
        with world.counting_statements() as statements:
            assert look(world, observed).balanced
        counts.append((sum(observed.calls.values()), len(statements)))
    assert counts[0] == counts[1]


# --- The command --------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write(tmp_path, simnet_config(tmp_path))
    run("cryptoassets init-db", path)
    return path


def test_command_agrees(config: Path) -> None:
    result = run("cryptoassets reconcile", config)
    assert result.returncode == 0
    assert "The books of btc and its backend agree." in result.stdout


def test_command_names_what_differs_and_fails(config: Path, tmp_path: Path) -> None:
    with Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest") as net:
        txid = net.fund(Decimal("1.5"))
    shown = run("cryptoassets reconcile", config)
    machine = run("cryptoassets reconcile", config, "--json")
    (told,) = [json.loads(line) for line in machine.stdout.splitlines()]

    assert (shown.returncode, machine.returncode) == (1, 1)
    assert "do not agree" in shown.stdout
    (line,) = [line for line in shown.stdout.splitlines() if txid in line]
    assert "top-up" in line
    assert "+1.50000000" in line
    assert "Traceback" not in shown.stderr
    (difference,) = told["differences"]
    assert (difference["cause"], difference["txid"], difference["amount"]) == ("top-up", txid, "1.50000000")
    sums = ("accounts", "queued", "prepared", "incoming", "below_minimum", "immature", "fees_not_booked")
    assert {told[name] for name in sums} == {"0.00000000"}
    assert (told["balanced"], told["difference"], told["unexplained"]) == (False, "1.50000000", "0.00000000")


def test_command_while_the_node_is_down(config: Path, tmp_path: Path) -> None:
    with Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest") as net:
        net.set_down(True)
    result = run("cryptoassets reconcile", config)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("Error: the simulated node")


# --- A real daemon ------------------------------------------------------------------------------------------


@pytest.mark.regtest
@pytest.mark.postgres
def test_story_on_a_real_daemon(postgres_url: str) -> None:
    require("litecoind", "litecoind")
    with RegtestNode() as node:
        node.mine_coins()
        books = Books(make_app(postgres_url, "ltc", {"name": "bitcoind", "url": node.create_wallet("hot")}), "ltc")
        books.app.create_tables()
        try:
            tell_story(node, books)
        finally:
            books.app.close()


def tell_story(node: RegtestNode, books: Books) -> None:
    def from_outside(address: str, amount: str) -> str:
        txid = str(node.rpc("sendtoaddress", address, Decimal(amount), wallet=""))
        node.sync()
        return txid

    def stranger() -> str:
        return str(node.rpc("getnewaddress", wallet=""))

    def mine(blocks: int) -> None:
        node.mine(blocks)
        node.sync()
        books.updater.follow()

    # What life brings: a deposit, a block reward, withdrawals queued, sent, and to an own address.
    customer = books.account()
    from_outside(books.address(), "5")
    books.updater.follow()
    assert look(books).balanced
    node.mine(address=books.address())
    mine(3)
    reward = look(books)
    assert (reward.balanced, reward.immature > 0) == (True, True)
    books.withdraw(stranger(), "1", customer)
    books.withdraw(books.address(books.account("bob")), "0.5", customer, force_external=True)
    assert look(books).balanced
    books.broadcast()
    node.sync()
    books.updater.handle_wallet_notify(Txid(broadcast_txid(books)))
    sent = look(books)
    assert (sent.balanced, named(sent), sent.unexplained) == (True, [], Decimal(0))
    mine(3)
    assert look(books).balanced

    # What somebody does past the books, each named.
    topped_up = from_outside(str(node.rpc("getnewaddress", wallet="hot")), "2")
    by_hand = str(node.rpc("sendtoaddress", stranger(), Decimal("0.25"), wallet="hot"))
    unseen = from_outside(books.address(), "0.125")
    node.sync()
    (spent,) = books.backend.get_transactions([Txid(by_hand)]).values()
    assert isinstance(spent, WalletTransaction)
    assert_explained(
        look(books),
        (Cause.TOP_UP, topped_up, "2"),
        (Cause.UNKNOWN_PAYMENT, by_hand, str(-Decimal("0.25") - (spent.fee or 0))),
        (Cause.UNKNOWN_DEPOSIT, unseen, "0.125"),
    )
