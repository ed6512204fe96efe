"""Transfers between accounts: exact, all or nothing, and known to whoever has the accounts loaded."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from kit import Till, address, seen

from cryptoassets_core.amounts import MAX_MINOR_UNITS
from cryptoassets_core.errors import (
    AddressTakenError,
    InvalidAmountError,
    NotEnoughAccountBalance,
    SameAccount,
    UnknownRowError,
    WrongWalletError,
)
from cryptoassets_core.ledger.states import TransactionKind, TransactionState
from cryptoassets_core.ledger.transfer import TransferOrder
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.models.wallet import Transfer

MAX = Decimal(MAX_MINOR_UNITS).scaleb(-8)


def test_transfer_moves_exactly_and_writes_both_legs(till: Till) -> None:
    a, b = till.accounts("1", "0.2")

    id_ = till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.1"), "rent").id)

    row = till.row(id_)
    assert (till.balance(a), till.balance(b)) == (Decimal("0.9"), Decimal("0.3"))
    assert (row.kind, row.state, row.label) == (TransactionKind.INTERNAL, TransactionState.INTERNAL, "rent")
    assert (row.sending_account_id, row.sending_entry, row.sending_balance_after) == (a, 2, Decimal("0.9"))
    assert (row.receiving_account_id, row.receiving_entry, row.receiving_balance_after) == (b, 2, Decimal("0.3"))
    assert row.credited_at is not None
    assert not row.overdraft
    assert till.audit() == []


def test_loaded_objects_know_at_once(till: Till) -> None:
    a, b = till.accounts("1", "0")

    def work(wallet: GenericWallet) -> None:
        first, second = (wallet.session().get_one(till.coin.account_model, id_) for id_ in (a, b))
        assert first.balance == 1
        transaction = wallet.send_internal(first, second, Decimal("0.4"), None)
        assert (first.balance, first.entries, second.balance, second.entries) == (Decimal("0.6"), 2, Decimal("0.4"), 1)
        assert (transaction.sending_account, transaction.receiving_account) == (first, second)
        assert wallet.balance == 1

    till.do("shop", work)


def test_refused_transfer_tells_facts_and_leaves_no_trace_though_the_caller_goes_on(till: Till) -> None:
    a, b = till.accounts("1", "0")
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, a)
        with pytest.raises(NotEnoughAccountBalance) as refusal:
            wallet.send_internal(account, b, Decimal("1.00000001"), None)
        error = refusal.value
        assert str(error) == f"account {a} has 1.00000000 BTC, 1.00000001 BTC needed"
        assert (error.account_id, error.needed, error.available) == (a, Decimal("1.00000001"), Decimal(1))
        assert account.balance == 1

    till.do("shop", work)

    assert till.dump() == before


@pytest.mark.parametrize("overdraft", [False, True])
@pytest.mark.parametrize("digits", [28, 3])
def test_account_that_would_hold_more_than_the_database_can_is_refused_whole(
    till: Till, overdraft: bool, digits: int
) -> None:
    """Also where the application's arithmetic would round the sum to something that fits."""
    a, b = till.accounts("1", str(MAX))
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        with (
            localcontext(Context(prec=digits)),
            pytest.raises(InvalidAmountError, match=f"account {b} would hold more than the database can"),
        ):
            wallet.send_internal(a, b, Decimal("0.00000001"), None, overdraft)

    till.do("shop", work)

    assert till.dump() == before


def test_account_may_hold_all_that_the_database_can(till: Till) -> None:
    a, b = till.accounts("0.00000001", str(MAX - Decimal("0.00000001")))

    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.00000001"), None))

    assert till.balance(b) == MAX
    assert till.audit() == []


def test_sum_of_accounts_beyond_sixty_four_bits_is_exact(till: Till) -> None:
    till.accounts(str(MAX), str(MAX), "0.00000002")

    assert till.do("shop", lambda wallet: wallet.balance) == 2 * MAX + Decimal("0.00000002")
    assert till.audit() == []


def test_account_cannot_send_to_itself(till: Till) -> None:
    (a,) = till.accounts("1")
    before = till.dump()

    with pytest.raises(SameAccount, match=f"account {a} cannot send to itself"):
        till.do("shop", lambda wallet: wallet.send_internal(a, a, Decimal(1), None))

    assert till.dump() == before


def test_accounts_of_another_wallet_are_out_of_reach(till: Till) -> None:
    (a,) = till.accounts("1")
    (foreign,) = till.accounts("1", wallet="other")
    before = till.dump()

    def work(wallet: GenericWallet) -> None:
        for sender, receiver in ((a, foreign), (foreign, a)):
            with pytest.raises(WrongWalletError, match=f"account {foreign} belongs to wallet"):
                wallet.send_internal(sender, receiver, Decimal(1), None)
        with pytest.raises(UnknownRowError, match="there is no btc account 4711"):
            wallet.send_internal(a, 4711, Decimal(1), None)

    till.do("shop", work)

    assert till.dump() == before


def test_wallets_with_accounts_of_the_same_names_are_apart(till: Till) -> None:
    mine, theirs = till.account("customer", "1"), till.account("customer", "5", wallet="other")

    till.do("other", lambda wallet: wallet.send_external("customer" and theirs, address("x"), Decimal(1), None))

    assert mine != theirs
    assert till.do("shop", lambda wallet: wallet.get_or_create_account_by_name("customer").id) == mine
    assert till.do("other", lambda wallet: wallet.get_or_create_account_by_name("customer").id) == theirs
    assert till.do("shop", lambda wallet: wallet.get_pending_outgoing_transactions().count()) == 0
    assert till.do("shop", lambda wallet: wallet.balance) == 1
    assert till.do("other", lambda wallet: wallet.balance) == 4


def test_allowed_overdraft_is_marked_and_mends_when_coins_come(till: Till) -> None:
    a, b = till.accounts("1", "0")

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, a)
        assert wallet.send_internal(account, b, Decimal(3), None, allow_negative_balance=True).overdraft
        assert (account.balance, account.overdrawn) == (-2, True)
        wallet.send_internal(b, account, Decimal("1.5"), None)
        assert (account.balance, account.overdrawn) == (Decimal("-0.5"), True)
        with pytest.raises(NotEnoughAccountBalance):
            wallet.send_internal(account, b, Decimal("0.1"), None)
        wallet.send_internal(b, account, Decimal("0.5"), None)
        assert (account.balance, account.overdrawn) == (0, False)

    till.do("shop", work)

    assert till.audit() == []


def test_teller_moves_like_a_wallet(till: Till) -> None:
    a, b = till.accounts("1", "0")
    order = TransferOrder(
        wallet_id=till.wallet_id(), sending_account_id=a, receiving_account_id=b, amount=Decimal("0.25")
    )

    receipt = till.teller.send_internal(order)

    assert (receipt.sending_balance_after, receipt.receiving_balance_after) == (Decimal("0.75"), Decimal("0.25"))
    assert till.row(receipt.transaction_id).amount == Decimal("0.25")


# --- By address ---------------------------------------------------------------------------------------------


def test_teller_within_a_managed_function_falls_with_it(till: Till) -> None:
    a, b = till.accounts("1", "0")
    order = TransferOrder(wallet_id=till.wallet_id(), sending_account_id=a, receiving_account_id=b, amount=Decimal(1))

    def work(_: object) -> None:
        till.teller.send_internal(order)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        till.run(work)

    assert (till.balance(a), till.balance(b)) == (1, 0)


@pytest.mark.parametrize("call", ["add_address", "refresh_account_balance"])
def test_account_of_another_wallet_gets_no_address_and_tells_no_balance(till: Till, call: str) -> None:
    a = till.account("a", "1")
    more = ("label", address("new")) if call == "add_address" else ()

    with pytest.raises(WrongWalletError, match=f"account {a} belongs to wallet"):
        till.do("other", lambda wallet: getattr(wallet, call)(a, *more))


def test_send_to_an_own_address_stays_inside(till: Till) -> None:
    a, b = till.accounts("1", "0")
    to = till.receiving_address(b)

    kind, paid = till.do(
        "shop",
        lambda wallet: (
            (sent := wallet.send(a, to.upper(), Decimal("0.000001"), None)) and (sent.kind, sent.address.address)
        ),
    )

    assert (kind, paid) == (TransactionKind.INTERNAL, to)
    assert till.balance(b) == Decimal("0.000001")


def test_send_to_an_address_of_another_wallet_needs_force(till: Till) -> None:
    (a,) = till.accounts("1")
    (foreign,) = till.accounts("0", wallet="other")
    to = till.receiving_address(foreign, wallet="other")
    before = till.dump()

    with pytest.raises(WrongWalletError, match="force_external"):
        till.do("shop", lambda wallet: wallet.send(a, to, Decimal(1), None))
    assert till.dump() == before

    kind = till.do("shop", lambda wallet: wallet.send(a, to, Decimal(1), None, force_external=True).kind)
    assert kind == TransactionKind.WITHDRAWAL


def test_receiving_address_has_one_owner(till: Till) -> None:
    a, b = till.accounts("0", "0")
    to = till.receiving_address(a, "mine")
    before = till.dump()

    for owner in (a, b):
        with pytest.raises(AddressTakenError, match=f"belongs to account {a} already"):
            till.receiving_address(owner, "mine")

    assert till.dump() == before
    assert till.do("shop", lambda wallet: wallet.get_account_by_address(to.upper()).id) == a
    assert till.do("other", lambda wallet: wallet.get_account_by_address(to)) is None


def test_the_applications_decimal_context_changes_nothing(till: Till) -> None:
    a, b = till.accounts("20999999.97690001", "20999999.97690001")
    to = till.receiving_address(b)
    cents = Decimal("0.00000001")

    with localcontext(Context(prec=3)):
        till.do("shop", lambda wallet: wallet.send_internal(a, b, cents, None))
        till.do("shop", lambda wallet: wallet.send_internal_many([Transfer(a, b, cents)]))
        till.do("shop", lambda wallet: wallet.send_internal(a, b, cents, None, allow_negative_balance=True))
        till.do("shop", lambda wallet: wallet.cancel_withdrawal(wallet.send_external(a, to, Decimal(1), None)))
        till.chain_says(seen("tx", {to: "0.00000001"}, 3), seen("gone", {to: "7654321.87654321"}, 3))
        till.chain_says(seen("gone", {}, -1))
        line, *_ = till.do("shop", lambda wallet: wallet.get_account_by_name("b").get_statement())
        assert till.do("shop", lambda wallet: wallet.refresh_account_balance(b)) == till.balance(b)
        assert till.audit() == []

    assert (till.balance(a), till.balance(b)) == (Decimal("20999999.97689998"), Decimal("20999999.97690005"))
    assert (line.change, line.balance_after) == (Decimal("-7654321.87654321"), till.balance(b))
    assert till.audit() == []
