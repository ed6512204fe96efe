"""The books against a real daemon: each way in which they can differ is planted, and named by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chain_world import Observed
from commands import run, write
from kit import PaperBackend, seen
from litecoin_world import Litecoin, alone
from reconciling import assert_explained, broadcast_txid, fails, look, named

from cryptoassets_core.backend.base import ReceivedOutput, Txid, WalletTransaction
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.errors import BroadcastDeadError
from cryptoassets_core.tools.reconciliation import Cause

pytestmark = [pytest.mark.postgres, pytest.mark.regtest]


@pytest.fixture
def books(postgres_url: str) -> Iterator[Litecoin]:
    with alone(postgres_url, blocks=5) as made:
        made.app.create_tables()
        yield made


def test_what_life_brings_agrees_and_what_is_done_past_the_books_is_named(books: Litecoin) -> None:
    node = books.node
    # A deposit, a block reward, withdrawals queued, sent, and to an own address.
    customer = books.account()
    books.pay(books.address(), "5")
    books.updater.follow()
    assert look(books).balanced
    node.mine(address=books.address())
    books.step(3)
    reward = look(books)
    assert (reward.balanced, reward.immature > 0) == (True, True)
    books.withdraw(books.outside(), "1", customer)
    books.withdraw(books.address(books.account("bob")), "0.5", customer, force_external=True)
    assert look(books).balanced
    books.broadcast()
    node.sync()
    books.updater.handle_wallet_notify(Txid(broadcast_txid(books)))
    sent = look(books)
    assert (sent.balanced, named(sent), sent.unexplained) == (True, [], Decimal(0))
    books.step(3)
    assert look(books).balanced

    # Past the books.
    topped_up = books.pay(str(node.rpc("getnewaddress", wallet=books.wallet)), "2")
    by_hand = str(node.rpc("sendtoaddress", books.outside(), Decimal("0.25"), wallet=books.wallet))
    unseen = books.pay(books.address(), "0.125")
    node.sync()
    (spent,) = books.backend.get_transactions([Txid(by_hand)]).values()
    assert isinstance(spent, WalletTransaction)
    assert_explained(
        look(books),
        (Cause.TOP_UP, topped_up, "2"),
        (Cause.UNKNOWN_PAYMENT, by_hand, str(-Decimal("0.25") - (spent.fee or 0))),
        (Cause.UNKNOWN_DEPOSIT, unseen, "0.125"),
    )


def transaction(books: Litecoin, txid: str) -> WalletTransaction:
    """Return a transaction as the daemon has it."""
    (found,) = books.backend.get_transactions([Txid(txid)]).values()
    assert isinstance(found, WalletTransaction)
    return found


def fee_of(books: Litecoin, txid: str) -> Decimal:
    return transaction(books, txid).fee or Decimal(0)


def tell_books(books: Litecoin, told: WalletTransaction) -> Txid:
    """Enter a transaction as if a daemon had told of it so."""
    books.run(lambda session: apply_transactions(session, books.coin, [told]))
    return told.txid


def test_command_names_each_planted_difference(books: Litecoin, postgres_url: str, tmp_path: Path) -> None:
    node = books.node
    books.funded("1", "1", "1", "1")
    coins: Any = node.rpc("listunspent", 1, 9999999, [], True, {"minimumAmount": 10}, wallet="")
    bad = coins[0]["amount"] - Decimal("0.001")
    lost = str(node.rpc("sendrawtransaction", books.spend(coins[0], {books.address(): bad}), 0))
    rival = books.spend(coins[0], {books.outside(): bad - Decimal("0.001")})
    books.step(3)
    books.take_back(3)
    books.mine_exactly(rival)
    node.mine(3)

    address = books.address()
    misread = books.pay(address, "0.25")
    reported = transaction(books, misread)
    (output,) = [each for each in reported.received if each.address == address]
    tell_books(books, replace(reported, received=(ReceivedOutput(address, Decimal("0.26"), output.vout),)))
    invented = tell_books(books, seen("nobody's", {books.address(): "0.7"}, 3))
    unseen = books.pay(books.address(), "0.125")
    topped_up = books.pay(str(books.own("getnewaddress")), "2")
    by_hand = str(books.own("sendtoaddress", books.outside(), Decimal("0.1")))

    def dearer(name: str, answer: Any) -> Any:
        return replace(answer, fee=answer.fee + Decimal("0.00000007")) if name == "prepare" else answer

    class Generous(Observed):
        def prepare(self, recipients: dict[str, Decimal]) -> Any:
            return books.backend.prepare({to: amount + Decimal("0.03") for to, amount in recipients.items()})

    sent = []
    for backend in (
        PaperBackend(fee="0.00002"),
        Observed(books.backend, after=dearer),
        Generous(books.backend),
        fails("submit", BroadcastDeadError("it never confirms", depth=15))(books.backend),
        fails("submit", BroadcastDeadError("its coins are spent", depth=1), before=True)(books.backend),
    ):
        books.withdraw(books.outside(), "0.05")
        books.broadcast(backend=backend)
        sent.append(broadcast_txid(books))
    node.sync()
    unsent, mispriced, generous, given_up, robbed = sent
    (robbed_fee,) = [row.fee for row in books.network_rows("broadcast") if row.txid == robbed]

    expected = {
        (Cause.MISSING_DEPOSIT, lost, -bad),
        (Cause.MISSING_DEPOSIT, invented, Decimal("-0.7")),
        (Cause.DEPOSIT_AMOUNT, misread, Decimal("-0.01")),
        (Cause.UNKNOWN_DEPOSIT, unseen, Decimal("0.125")),
        (Cause.TOP_UP, topped_up, Decimal(2)),
        (Cause.UNKNOWN_PAYMENT, by_hand, -Decimal("0.1") - fee_of(books, by_hand)),
        (Cause.MISSING_BROADCAST, unsent, Decimal("0.05002")),
        (Cause.BROADCAST_FEE, mispriced, Decimal("0.00000007")),
        (Cause.BROADCAST_AMOUNT, generous, Decimal("-0.03")),
        (Cause.CONFLICTED_BROADCAST, robbed, Decimal("0.1") + robbed_fee),  # with what is paid anew
        (Cause.DEAD_BROADCAST, given_up, -Decimal("0.05") - fee_of(books, given_up)),
    }
    assert {cause for cause, *_ in expected} == set(Cause)
    backend_options = {"name": "bitcoind", "url": node.url(books.wallet)}
    config = write(
        tmp_path,
        {"database": {"url": postgres_url}, "coins": {"ltc": {"network": "regtest", "backend": backend_options}}},
    )
    machine = run("cryptoassets reconcile", config, "--json")
    assert machine.returncode == 1, machine.stderr
    (told,) = [json.loads(line) for line in machine.stdout.splitlines()]
    assert {(each["cause"], each["txid"], Decimal(each["amount"])) for each in told["differences"]} == expected
    assert (told["balanced"], Decimal(told["unexplained"])) == (False, 0)
    shown = run("cryptoassets reconcile", config)
    assert shown.returncode == 1
    assert all(txid in shown.stdout for _, txid, _ in expected)
