"""Imports: what the books do not explain is credited once, and never what a deposit will credit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from chain_world import FEE, Observed, World, outside
from commands import ask, environment, program, simnet_config, write

from cryptoassets_btc import BITCOIN
from cryptoassets_core.errors import (
    BackendUnavailableError,
    InvalidAmountError,
    LedgerError,
    OutcomeUnknownError,
    WrongWalletError,
)
from cryptoassets_core.ledger.states import TransactionKind
from cryptoassets_core.tools.reconcile import reconcile
from cryptoassets_core.tools.walletimport import (
    create_import_transaction,
    has_unaccounted_balance,
    import_unaccounted_balance,
)
from cryptoassets_simnet import Simnet


@pytest.fixture
def world(books_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(books_url, tmp_path)
    yield made
    made.close()


def import_all(
    world: World,
    name: str = "house",
    *,
    backend: Any = None,
    isolation_level: str | None = None,
    **options: Any,
) -> Decimal | None:
    """Import what there is; returns the amount, None if there was nothing."""
    account_id = world.account(name)

    def work(session: Any) -> Decimal | None:
        account = session.get_one(world.coin.account_model, account_id)
        found = import_unaccounted_balance(backend or world.backend, account.wallet, account, **options)
        return None if found is None else found.amount

    return world.app.conflict_resolver.run(work, isolation_level=isolation_level)


def is_unaccounted(world: World) -> bool:
    def work(session: Any) -> bool:
        wallet = world.coin.wallet_model.get_or_create_by_name("shop", session)
        return has_unaccounted_balance(world.backend, wallet)

    return world.run(work)


def is_balanced(world: World) -> bool:
    with world.app.open_readonly_session() as session:
        return reconcile(session, world.coin, world.backend).balanced


def topped_up(world: World, amount: str) -> None:
    """Give the wallet coins past the accounts, as deep as deposits must be."""
    world.net.fund(Decimal(amount))
    world.net.mine(world.coin.confirmation_count)
    world.updater.follow()


def test_coins_from_before_the_books_are_imported_once(world: World) -> None:
    topped_up(world, "5")
    prepared = world.backend.prepare({outside(1): Decimal(1)})
    world.backend.submit(prepared)
    assert is_unaccounted(world)

    assert [import_all(world), import_all(world)] == [4 - FEE, None]

    (row,) = world.rows()
    assert (row.kind, row.receiving_account_id, row.label) == (
        TransactionKind.BALANCE_IMPORT,
        world.account("house"),
        "unaccounted balance",
    )
    assert world.balance(world.account("house")) == 4 - FEE
    assert not is_unaccounted(world)
    assert is_balanced(world)
    world.check()


def test_top_up_after_an_import_is_imported_by_itself(world: World) -> None:
    topped_up(world, "5")
    import_all(world)
    topped_up(world, "2")
    assert import_all(world) == 2
    assert is_balanced(world)


def test_top_up_counts_when_it_is_as_deep_as_deposits_must_be(world: World) -> None:
    world.net.fund(Decimal(1))
    seen = []
    for _ in range(3):
        seen.append(is_unaccounted(world))
        world.net.mine()
    assert seen == [False, False, True]


@pytest.mark.parametrize("confirmations", [0, 1, 3, 10])
def test_deposit_that_the_books_lack_is_credited_and_never_imported(world: World, confirmations: int) -> None:
    world.net.fund(Decimal("0.5"))
    world.net.mine(3)
    world.net.pay(world.address(), Decimal(2))
    for _ in range(confirmations):
        world.net.mine()

    assert import_all(world) == Decimal("0.5")

    world.updater.follow()
    world.step(3)
    assert world.balance() == 2
    assert is_balanced(world)


def test_reward_that_is_not_mature_is_not_imported(world: World) -> None:
    world.net.reward(world.net.create_address())
    world.net.mine(50)
    assert import_all(world) is None
    world.net.mine(50)
    assert import_all(world) == 50


def test_what_is_on_its_way_is_explained(world: World) -> None:
    """In every wallet, and at every step of a broadcast."""
    world.funded("2")
    bob = world.funded("3", world.account("bob", "another shop"))
    world.net.pay(world.address(), Decimal(1))
    world.updater.follow()
    seen = [import_all(world)]
    world.withdraw(outside(1), "0.5")
    world.withdraw(outside(2), "0.5", bob)
    seen.append(import_all(world))

    def fail(name: str, answer: Any = None) -> Any:
        if name == "submit":
            raise OutcomeUnknownError("nobody knows")
        return answer

    world.broadcast("shop", backend=Observed(world.backend, before=fail))
    world.broadcast("another shop", backend=Observed(world.backend, after=fail))
    seen.append(import_all(world))
    world.broadcast("shop")
    world.broadcast("another shop")
    seen.append(import_all(world))
    assert seen == [None] * 4


def test_withdrawal_that_never_left_is_no_coins_to_give_away(world: World) -> None:
    """A broadcast in the books that the network lacks: the backend holds more, and the payee has not got it."""

    class Forgetful(Observed):
        def submit(self, prepared: Any) -> Any:
            return prepared.txid

    world.funded("2")
    world.withdraw(outside(1), "0.5")
    world.broadcast(backend=Forgetful(world.backend))
    assert not is_balanced(world)
    assert import_all(world) is None


def test_backend_that_holds_less_is_an_error_that_says_so(world: World) -> None:
    world.funded("2")
    world.backend.submit(world.backend.prepare({outside(1): Decimal(1)}))
    less = 1 + FEE
    with pytest.raises(LedgerError, match=f"btc backend holds {less:f}0* BTC less than the books say"):
        import_all(world)
    with pytest.raises(LedgerError, match="less than the books say"):
        is_unaccounted(world)
    assert world.balance(world.account("house")) == 0


def test_another_amount_than_was_agreed_to_is_not_imported(world: World) -> None:
    topped_up(world, "5")
    with pytest.raises(LedgerError, match=r"5\.0* BTC can be imported now and not 4; nothing was imported"):
        import_all(world, expected=Decimal(4))
    assert world.rows() == []


def test_account_of_another_wallet_is_refused(world: World) -> None:
    topped_up(world, "5")
    account_id = world.account("bob", "another shop")

    def work(session: Any) -> None:
        wallet = world.coin.wallet_model.get_or_create_by_name("shop", session)
        account = session.get_one(world.coin.account_model, account_id)
        import_unaccounted_balance(world.backend, wallet, account)

    with pytest.raises(WrongWalletError):
        world.run(work)
    assert world.rows() == []


def test_backend_that_moves_meanwhile_is_asked_again_later(world: World) -> None:
    def arrive(name: str) -> None:
        if name == "list_since":
            world.net.fund(Decimal(1))

    with pytest.raises(BackendUnavailableError, match="ask again"):
        import_all(world, backend=Observed(world.backend, before=arrive))


def test_import_transaction_puts_an_amount_on_an_account(world: World) -> None:
    account_id = world.account()

    def work(session: Any, amount: Any) -> Decimal:
        return create_import_transaction(amount, session.get_one(world.coin.account_model, account_id)).amount

    assert world.run(lambda session: work(session, Decimal("0.7"))) == world.balance()


@pytest.mark.parametrize("amount", [Decimal(0), Decimal(-1), Decimal("NaN"), 0.5, Decimal("1E-9")], ids=str)
def test_import_transaction_of_no_amount_is_refused(world: World, amount: Any) -> None:
    account_id = world.account()
    with pytest.raises(InvalidAmountError):
        world.run(
            lambda session: create_import_transaction(amount, session.get_one(world.coin.account_model, account_id))
        )
    assert world.rows() == []


@pytest.mark.parametrize("isolation_level", [None, "READ COMMITTED"])
def test_two_imports_at_once_enter_the_coins_once(world: World, isolation_level: str | None) -> None:
    topped_up(world, "5")
    world.account("one"), world.account("two")
    together = Barrier(2)

    def work(name: str) -> Decimal | None:
        together.wait()
        return import_all(world, name, isolation_level=isolation_level)

    with ThreadPoolExecutor(2) as pool:
        imported = list(pool.map(work, ["one", "two"]))

    assert sorted(imported, key=str) == [Decimal(5), None]
    assert is_balanced(world)


# --- The command --------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Books that are new, and a wallet that had coins before."""
    path = write(tmp_path, simnet_config(tmp_path))
    ask("cryptoassets init-db", path)
    with Simnet(tmp_path / "chain.simnet", BITCOIN, network="regtest") as net:
        net.fund(Decimal(5))
        net.mine(3)
    return path


TARGET = ("btc", "--wallet", "shop", "--account", "house")


def answer(config: Path, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program("cryptoassets import-wallet"), str(config), *TARGET],
        env=environment(),
        input=words,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_asks_first_and_imports_once(config: Path) -> None:
    declined = answer(config, "n\n")
    agreed = answer(config, "y\n")
    again = answer(config, "y\n")

    assert [each.returncode for each in (declined, agreed, again)] == [0, 0, 0]
    assert "holds 5.00000000 BTC that the books do not explain" in declined.stdout
    assert "the account 'house' of the wallet 'shop'" in declined.stdout
    assert "Nothing was imported." in declined.stdout
    assert "Imported as transaction 1." in agreed.stdout
    assert "nothing to import" in again.stdout
    assert ask("cryptoassets reconcile", config).returncode == 0


def test_command_for_programs_tells_and_imports_when_told_to(config: Path) -> None:
    told, done, again = (
        json.loads(ask("cryptoassets import-wallet", config, *TARGET, *options, "--json").stdout)
        for options in ([], ["--yes"], ["--yes"])
    )
    facts = {"coin": "btc", "wallet": "shop", "account": "house"}
    assert told == {**facts, "amount": "5.00000000", "transaction": None}
    assert done == {**facts, "amount": "5.00000000", "transaction": 1}
    assert again == {**facts, "amount": "0.00000000", "transaction": None}


def test_command_without_an_answer_imports_nothing(config: Path) -> None:
    assert answer(config, "").returncode == 1
    assert json.loads(ask("cryptoassets import-wallet", config, *TARGET, "--json").stdout)["transaction"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("doge", "--wallet", "shop", "--account", "house"), "'doge' is not configured"),
        (("btc", "--wallet", " ", "--account", "house"), "a wallet's name must not be blank"),
        (("btc", "--wallet", "shop", "--account", "Network fees"), "is reserved"),
    ],
)
def test_command_refuses_nonsense_in_one_sentence(config: Path, arguments: tuple[str, ...], words: str) -> None:
    result = ask("cryptoassets import-wallet", config, *arguments, "--yes")
    assert (result.returncode, result.stdout) == (1, "")
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert words in error
    assert "Traceback" not in result.stderr
