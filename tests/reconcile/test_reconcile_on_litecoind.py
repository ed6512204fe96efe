"""The books against a real daemon."""

from __future__ import annotations

from decimal import Decimal

import pytest
from chain_world import Books, make_app
from reconciling import assert_explained, broadcast_txid, look, named

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.testing.requirements import require
from cryptoassets_core.tools.reconciliation import Cause


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
