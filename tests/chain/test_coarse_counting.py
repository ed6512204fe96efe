"""An application may count as coarsely as it likes: what it calls here is exact all the same."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

from chain_world import FEE, World, outside

from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.walletimport import importable


def test_coins_come_and_go_exactly_though_the_application_counts_coarsely(world: World) -> None:
    with localcontext(Context(prec=2)):
        alice = world.account()
        address = world.address(alice)
        world.net.pay_many([(address, Decimal("1.23456789")), (address, Decimal("2.00000001"))])
        world.step(3)
        for amount in ("0.12345678", "0.10000009"):
            world.withdraw(outside(1), amount)
        result = world.broadcast()
        world.step()
        world.net.fund(Decimal("7.00010009"))
        world.step(3)
        with world.app.open_readonly_session() as session:
            found = reconcile(session, world.coin, world.backend)
        seen = (found.difference, found.unexplained, importable(found))

    assert result.fees == FEE
    assert world.paid(outside(1)) == [Decimal("0.22345687")]
    assert world.balance(alice) == Decimal("3.01111103")
    assert seen == (Decimal("7.00010009"), 0, Decimal("7.00010009"))
    assert world.total() + Decimal("7.00010009") == world.net.balance()
    world.check()
