"""Litecoin's extension blocks (MWEB), on a real daemon: coins that leave them are credited once, and stop nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from cryptoassets_bitcoind.backend import BitcoindBackend
from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.backend.base import Txid, WalletTransaction
from cryptoassets_core.errors import BackendUnavailableError, BroadcastDeadError
from cryptoassets_core.testing.requirements import require

#: Blocks before the one that has the first extension block, for which somebody must pay into it.
LAST_WITHOUT = 431

#: Blocks after which an output that left an extension block can be spent.
MATURITY = 6

WALLET = "shop"


@pytest.fixture(scope="module")
def mweb_node() -> Iterator[RegtestNode]:
    """A daemon with extension blocks, whose wallet "hidden" has its coins there."""
    require("litecoind", "litecoind")
    with RegtestNode(options=["-vbparams=mweb:1601450001:9223372036854775807"]) as node:
        node.mine(LAST_WITHOUT, address=str(node.rpc("getnewaddress")))
        node.create_wallet("hidden")
        hide(node, Decimal(20), wallet="")
        # The second of these blocks is the first one that can take coins out.
        node.mine(2)
        yield node


def hide(node: RegtestNode, amount: Decimal, *, wallet: str) -> None:
    """Have a wallet pay into an extension block."""
    node.rpc("sendtoaddress", node.rpc("getnewaddress", "", "mweb", wallet="hidden"), amount, wallet=wallet)


@pytest.fixture
def backend(mweb_node: RegtestNode, connect: Callable[..., BitcoindBackend]) -> Iterator[BitcoindBackend]:
    """Our wallet, empty."""
    yield connect(mweb_node.create_wallet(WALLET))
    mweb_node.rpc("unloadwallet", WALLET)
    shutil.rmtree(mweb_node.datadir / "regtest" / "wallets" / WALLET)


@pytest.fixture
def outside(mweb_node: RegtestNode) -> str:
    """An address of somebody else."""
    return str(mweb_node.rpc("getnewaddress", wallet=""))


def test_coins_that_leave_an_extension_block_are_one_deposit(mweb_node: RegtestNode, backend: BitcoindBackend) -> None:
    node = mweb_node
    address, start = backend.create_address("alice"), backend.get_tip()

    def deposits() -> dict[Txid, WalletTransaction]:
        listed = {each.txid: each for each in backend.list_since(start, depth=15).transactions}
        assert backend.get_transactions(listed) == listed
        return {txid: each for txid, each in listed.items() if each.received}

    order = Txid(str(node.rpc("sendtoaddress", address, Decimal("1.5"), wallet="hidden")))
    node.sync()
    assert deposits() == {}
    node.mine()
    ((txid, deposit),) = deposits().items()
    (output,) = deposit.received
    assert (txid != order, output.address, output.amount) == (True, address, Decimal("1.5"))
    # It waits like a block reward as long as the wallet cannot spend it, and not longer.
    assert (deposit.confirmations, deposit.coinbase, backend.get_backend_balance()) == (1, True, 0)
    node.mine(MATURITY)
    (later,) = deposits().values()
    assert (later.received, later.confirmations, later.coinbase) == (deposit.received, MATURITY + 1, False)
    assert [backend.get_backend_balance(blocks) for blocks in (0, MATURITY + 1, MATURITY + 2)] == [
        Decimal("1.5"),
        Decimal("1.5"),
        Decimal(0),
    ]


def test_wallet_that_pays_into_an_extension_block_can_still_be_told_from_a_thief(
    mweb_node: RegtestNode, backend: BitcoindBackend, outside: str
) -> None:
    node = mweb_node
    node.rpc("sendtoaddress", backend.create_address("carol"), Decimal(3), wallet="")
    node.mine()
    first, second = (backend.prepare({outside: Decimal(amount)}) for amount in ("0.2", "0.3"))
    assert backend.submit(first) == first.txid
    hide(node, Decimal("0.5"), wallet=WALLET)
    node.mine()
    with pytest.raises(BroadcastDeadError, match=str(first.txid)):
        backend.submit(second)
    # The change is hidden too, and the only coin that is left.
    with pytest.raises(BackendUnavailableError, match="move them to an ordinary address"):
        backend.prepare({outside: Decimal("0.2")})


def test_coins_whose_block_is_taken_back_are_dead(mweb_node: RegtestNode, backend: BitcoindBackend) -> None:
    node = mweb_node
    node.rpc("sendtoaddress", backend.create_address("bob"), Decimal("2.5"), wallet="hidden")
    (block,) = node.mine()
    start = str(node.rpc("getblockhash", 1))
    (paid,) = [each for each in backend.list_since(start, depth=15).transactions if each.received]
    node.rpc("invalidateblock", block)
    node.sync()
    (undone,) = backend.get_transactions([paid.txid]).values()
    assert (undone.is_dead, undone.received) == (True, ())
