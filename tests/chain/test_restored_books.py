"""The books are restored from a backup, and know nothing of what was sent since: as ``docs/operation.md`` tells."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

from chain_world import FEE, World, outside

from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.reconciliation import Cause
from cryptoassets_core.tools.teller import Teller


def test_what_was_sent_since_a_backup_is_named_and_not_sent_again(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    alice = world.funded("5")
    address = world.address(alice)
    paid = world.withdraw(outside(1), "1")
    unpaid = world.withdraw(outside(2), "0.5")
    world.app.close()
    shutil.copy(tmp_path / "books", tmp_path / "backup")
    lost = World(world.url, tmp_path, max_withdrawals_per_broadcast=1)
    lost.broadcaster().collect_for_broadcast()
    lost.broadcaster().send_broadcasts()
    lost.net.pay(address, Decimal(2))
    lost.step(3)
    lost.app.close()
    shutil.copy(tmp_path / "backup", tmp_path / "books")

    restored = World(world.url, tmp_path)
    with restored.app.open_readonly_session() as session:
        found = reconcile(session, restored.coin, restored.backend)
    (payment,) = [each for each in found.differences if each.cause == Cause.UNKNOWN_PAYMENT]
    assert payment.amount == -1 - FEE

    # It was paid: called back, and taken from the account by two people. What it cost stays named.
    wallet = restored.row(paid).wallet_id
    Teller(restored.coin, restored.app.conflict_resolver).cancel_withdrawal(wallet, paid)
    restored.run(
        lambda session: restored.coin.wallet_model.get_by_id(session, wallet).adjust_balance(
            alice, Decimal(1), direction="debit", reason=payment.txid, created_by="ann", approved_by="bob"
        )
    )
    restored.updater.rescan()
    assert restored.broadcast().count == 1
    restored.step(3)
    assert [restored.paid(outside(number)) for number in (1, 2)] == [[1], [Decimal("0.5")]]
    assert restored.row(unpaid).state == "broadcasted"
    assert restored.total() - FEE == restored.net.balance()
    restored.check()
    restored.close()
