"""The names of 2015 for what follows the chain: they work, or say what to use in their place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from chain_world import World

from cryptoassets_core.backend.base import CoinBackend
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.ledger.states import NetworkTransactionType
from cryptoassets_core.tools.confirmationupdate import get_open_network_transactions, update_confirmations
from cryptoassets_core.tools.receivescan import scan


def test_transaction_is_looked_at_by_type_and_txid(sqlite_world: World) -> None:
    world = sqlite_world
    txid = world.net.pay(world.address(), Decimal(1))
    claimed = {"confirmations": 100, "details": [{"category": "receive", "amount": Decimal(50)}]}
    seen = world.updater.update_network_transaction_confirmations("deposit", txid, claimed)
    assert seen == (world.network_rows()[0].id, 1)
    assert [(row.amount, row.credited_at) for row in world.rows()] == [(1, None)]
    assert world.updater.update_network_transaction_confirmations("deposit", txid) == (seen[0], 0)
    assert world.updater.update_network_transaction_confirmations("broadcast", txid) == (None, 0)


def test_tools_of_the_manual(sqlite_world: World) -> None:
    world = sqlite_world
    txid = world.net.pay(world.address(), Decimal(1))
    assert scan(world.updater) == 1
    model = world.coin.network_transaction_model
    opened = world.run(lambda session: list(get_open_network_transactions(session, model, 3)))
    assert opened == [(NetworkTransactionType.DEPOSIT, txid)]
    world.net.mine(3)
    assert update_confirmations(world.updater, 3) == 1
    assert update_confirmations(world.updater, 3) == 0
    assert world.updater.last_wallet_notify is None
    assert world.updater.stats["events"] == 2
    assert world.balance() == 1


@pytest.mark.parametrize("owner", [TransactionUpdater, CoinBackend])
def test_name_that_went_says_what_to_use(sqlite_world: World, owner: type[TransactionUpdater | CoinBackend]) -> None:
    one = sqlite_world.updater if owner is TransactionUpdater else sqlite_world.backend
    for name, advice in owner.retired_names.items():
        assert not hasattr(one, name)
        with pytest.raises(AttributeError, match="belongs to the past") as caught:
            getattr(one, name)
        assert f"{type(one).__name__}.{name}" in str(caught.value)
        assert advice in str(caught.value)
    with pytest.raises(AttributeError, match="has no nonsense"):
        _ = one.nonsense
