"""Coins that were in the hot wallet before its books, and coins that are nobody's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from chain_world import FEE, World, outside
from reconciling import assert_explained, look, named, pay_by_hand
from sqlalchemy.orm import Session

from cryptoassets_core.tools.reconciliation import Cause
from cryptoassets_core.tools.walletimport import importable


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
