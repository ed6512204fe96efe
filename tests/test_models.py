"""The model API of the manual: classes, names, states and queries."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext

import pytest
from kit import PaperBackend, Till, address, seen, table_names, txid
from sqlalchemy import event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.errors import (
    AddressTakenError,
    BackendUnavailableError,
    BadAddress,
    CannotCreateAddress,
    CryptoAssetsError,
    LedgerError,
    UnknownRowError,
)
from cryptoassets_core.models import GenericWallet, NotEnoughAccountBalance
from cryptoassets_core.models.network_transaction import NOT_BROADCAST


def test_coin_gives_its_five_classes_and_each_knows_its_table(till: Till) -> None:
    coin = till.coin
    models = [coin.wallet_model, coin.account_model, coin.address_model, coin.transaction_model]
    models.append(coin.network_transaction_model)

    assert [model.__tablename__ for model in models] == [
        *("btc_wallet", "btc_account", "btc_address", "btc_transaction", "btc_network_transaction")
    ]
    assert {model.__tablename__ for model in models} < set(table_names(till.engine))
    assert [till.app.coins.get("btc"), *(coin for _, coin in till.app.coins.all())] == [coin, coin]


def test_every_table_of_a_coin_carries_its_name(till: Till) -> None:
    assert all(name.startswith(("btc_", "cryptoassets_")) for name in table_names(till.engine))


def test_wallet_and_account_of_a_name_are_made_once_and_dated(till: Till) -> None:
    def work(wallet: GenericWallet) -> tuple[int, int]:
        account = wallet.get_or_create_account_by_name("a")
        again = wallet.get_or_create_account_by_name("a")
        assert account is again
        assert (account.name, account.balance, account.entries, account.wallet) == ("a", 0, 0, wallet)
        assert abs((datetime.now(UTC) - account.created_at).total_seconds()) < 3600
        assert wallet.created_at.tzinfo is not None
        return wallet.id, account.id

    assert till.do("shop", work) == till.do("shop", work)
    assert till.run(lambda session: till.coin.wallet_model.get_by_id(session, 1).name) == "shop"
    with pytest.raises(UnknownRowError, match="there is no btc wallet 4711"):
        till.run(lambda session: till.coin.wallet_model.get_by_id(session, 4711))


def test_wallet_that_is_known_costs_no_statement_and_tells_what_is_now(till: Till) -> None:
    id_ = till.wallet_id()
    till.run(lambda session: till.coin.wallet_model.get_by_id(session, id_).name)
    till.execute("UPDATE btc_wallet SET name = 'renamed'")
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    def work(session: Session) -> tuple[list[str], str, bool]:
        wallet = till.coin.wallet_model.get_by_id(session, id_)
        return list(asked), wallet.name, wallet is till.coin.wallet_model.get_by_id(session, id_)

    event.listen(till.engine, "before_cursor_execute", note)
    assert till.run(work) == ([], "renamed", True)


def test_wallet_that_was_undone_is_not_known(till: Till) -> None:
    model = till.coin.wallet_model
    with till.app.open_session() as session:
        id_ = model.get_or_create_by_name("shop", session).id
        session.expunge_all()
        assert model.get_by_id(session, id_).name == "shop"

    with pytest.raises(UnknownRowError, match=f"no btc wallet {id_}"):
        till.run(lambda session: model.get_by_id(session, id_))


def test_new_objects_can_be_used_before_a_flush(till: Till) -> None:
    def work(session: Session) -> None:
        wallet = till.coin.wallet_model(name="new")
        session.add(wallet)
        a, b = wallet.create_account("a"), wallet.create_account("b")
        wallet.import_balance(a, Decimal(1))
        wallet.send_internal(a, b, Decimal("0.4"), None)
        assert (a.balance, b.balance, wallet.balance) == (Decimal("0.6"), Decimal("0.4"), 1)
        with pytest.raises(LedgerError, match="choose another name"):
            wallet.create_account("a")

    till.run(work)
    assert till.audit() == []


def test_nothing_is_committed_by_a_call(till: Till) -> None:
    with till.app.open_session() as session:
        wallet = till.coin.wallet_model.get_or_create_by_name("shop", session)
        wallet.import_balance(wallet.get_or_create_account_by_name("a"), Decimal(1))
        session.rollback()

    assert till.dump()["btc_wallet"] == []


def test_fee_account_is_one_for_each_wallet_and_none_can_take_its_name(till: Till) -> None:
    ids = {till.do(name, lambda wallet: wallet.get_or_create_network_fee_account().id) for name in ("shop", "other")}
    again = {till.do(name, lambda wallet: wallet.get_or_create_network_fee_account().id) for name in ("shop", "other")}

    assert ids == again
    assert len(ids) == 2
    assert till.coin.account_model.NETWORK_FEE_ACCOUNT == "Network fees"


def test_addresses_of_an_account_are_found_both_ways(till: Till) -> None:
    a = till.account("a")
    to = till.receiving_address(a, "in")
    till.do("shop", lambda wallet: wallet.get_or_create_external_address(address("payee")))

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, a)
        model = till.coin.address_model
        found = wallet.session().query(model).filter(model.account == account).all()
        assert [entry.address for entry in account.addresses] == [entry.address for entry in found] == [to]
        assert (found[0].label, found[0].balance, found[0].archived_at, found[0].is_deposit()) == ("in", 0, None, True)
        outside = wallet.get_or_create_external_address(address("payee"))
        assert (outside.account, outside.is_deposit()) == (None, False)
        assert outside is wallet.get_or_create_external_address(address("payee").upper())
        assert [entry.address for entry in wallet.get_receiving_addresses()] == [to]

    till.do("shop", work)


def test_receiving_addresses_are_made_by_the_backend_with_labels_of_their_own(till: Till) -> None:
    a = till.account("a")
    till.coin.backend = PaperBackend()

    def work(wallet: GenericWallet) -> None:
        account = wallet.session().get_one(till.coin.account_model, a)
        assert len({account.pick_next_receiving_address_label() for _ in range(100)}) == 100
        made = [wallet.create_receiving_address(account, automatic_label=True) for _ in range(3)]
        made.append(wallet.create_receiving_address(account, "for people"))
        assert len({entry.address for entry in made}) == 4
        assert made[-1].label == "for people"
        with pytest.raises(CannotCreateAddress, match="needs a label"):
            wallet.create_receiving_address(account)
        with pytest.raises(AddressTakenError):
            wallet.add_address(account, "again", made[0].address)

    till.do("shop", work)


def test_app_without_a_backend_makes_no_addresses(till: Till) -> None:
    a = till.account("a")

    with pytest.raises(CannotCreateAddress, match=r"enable Subsystem\.backend"):
        till.do("shop", lambda wallet: wallet.create_receiving_address(a, "label"))


def test_transaction_tells_state_txid_and_confirmations(till: Till) -> None:
    a = till.account("a", "1")
    to = till.receiving_address(a)
    id_ = till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal("0.1"), "rent").id)
    till.chain_says(seen("tx", {to: "0.5"}, 2))
    transaction = till.coin.transaction_model

    def pending(wallet: GenericWallet) -> None:
        out = wallet.session().get_one(transaction, id_)
        assert (out.state, out.txid, out.confirmations, out.label) == ("pending", None, None, "rent")
        assert out.address.address == address("x")
        assert wallet.get_pending_outgoing_transactions().all() == [out]
        (deposit,) = wallet.get_deposit_transactions()
        assert wallet.get_active_external_received_transactions().all() == [deposit]
        assert (deposit.txid, deposit.confirmations, deposit.can_be_confirmed()) == (txid("tx"), 2, False)
        assert (deposit.amount, deposit.credited_at) == (Decimal("0.5"), None)

    till.do("shop", pending)
    till.chain_says(seen("tx", {to: "0.5"}, 3))
    backend = PaperBackend()
    till.broadcaster(backend).do_broadcasts()

    def after(wallet: GenericWallet) -> None:
        out = wallet.session().get_one(transaction, id_)
        assert (out.state, out.txid, out.confirmations) == ("broadcasted", backend.submitted[0], 0)
        assert not out.can_be_confirmed()
        assert out.network_transaction.opened_at is not None
        assert out.network_transaction.closed_at is not None
        assert wallet.get_pending_outgoing_transactions().count() == 0
        (deposit,) = wallet.get_deposit_transactions()
        assert deposit.can_be_confirmed()
        assert wallet.get_active_external_received_transactions().count() == 0

    till.do("shop", after)


def test_network_transaction_is_unknown_to_the_network_at_first(till: Till) -> None:
    def work(session: Session) -> None:
        model = till.coin.network_transaction_model
        deposit, created = model.get_or_create_deposit(session, txid("x"))
        assert (created, deposit.confirmations, deposit.can_be_confirmed()) == (True, 0, False)
        assert model.get_or_create_deposit(session, txid("x")) == (deposit, False)

    till.run(work)
    a = till.account("a", "1")
    till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal("0.1"), None))
    till.broadcaster(PaperBackend()).collect_for_broadcast()
    model = till.coin.network_transaction_model
    waiting = till.run(lambda session: session.scalars(select(model).filter_by(transaction_type="broadcast")).one())
    assert NOT_BROADCAST == -1
    assert till.run(lambda session: session.get_one(model, 2).confirmations) == NOT_BROADCAST
    assert waiting is not None


def test_address_tells_what_it_received(till: Till) -> None:
    a, b = till.accounts("1", "0")
    to = till.receiving_address(b)
    till.do("shop", lambda wallet: wallet.send(a, to, Decimal("0.25"), None))
    till.chain_says(seen("deep", {to: "1"}, 5), seen("shallow", {to: "2"}, 1), seen("pool", {to: "4"}, 0))
    till.chain_says(seen("gone", {to: "8"}, 3))
    till.chain_says(seen("gone", {}, -1))

    def work(session: Session) -> None:
        entry = session.scalars(select(till.coin.address_model).filter_by(address=to)).one()
        assert entry.balance == 1
        assert entry.get_received_transactions(external=False).count() == 1
        assert entry.get_received_transactions(internal=False).count() == 4
        by_confirmations = [entry.get_balance_by_confirmations(n, include_internal=False) for n in (0, 1, 2, 5, 6)]
        assert by_confirmations == [7, 3, 1, 1, 0]
        assert entry.get_balance_by_confirmations(5) == Decimal("1.25")

    till.run(work)


def test_refreshing_a_balance_checks_it_and_overwrites_nothing(till: Till) -> None:
    a = till.account("a", "1")
    assert till.do("shop", lambda wallet: wallet.refresh_account_balance(a)) == 1

    till.execute("UPDATE btc_account SET balance = 200000000")

    with pytest.raises(LedgerError, match=r"has 2\.00000000, its rows add up to 1\.00000000"):
        till.do("shop", lambda wallet: wallet.refresh_account_balance(a))
    assert till.balance(a) == 2


def test_accounts_of_a_wallet_are_its_own_and_all_of_them(till: Till) -> None:
    till.accounts("1", "2")
    till.account("a", wallet="other")
    till.do("shop", lambda wallet: wallet.get_or_create_network_fee_account())

    names = till.do(
        "shop", lambda wallet: [(account.name, account.wallet is wallet) for account in wallet.get_accounts()]
    )

    assert sorted(names) == [("Network fees", True), ("a", True), ("b", True)]


class Vault(PaperBackend):
    """Holds something."""

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        return Decimal("20999999.97690001")


def test_total_is_compared_with_what_the_backend_holds(till: Till) -> None:
    till.accounts("1", "2")
    before = till.dump()
    with pytest.raises(BackendUnavailableError, match="has no btc backend"):
        till.do("shop", lambda wallet: wallet.refresh_total_balance())

    till.coin.backend = Vault()

    with localcontext(Context(prec=3)):  # an application may count as coarsely as it likes
        assert till.do("shop", lambda wallet: wallet.refresh_total_balance()) == Decimal("20999996.97690001")
    assert till.dump() == before


@pytest.mark.parametrize("pay", ["send", "send_external"])
def test_payment_that_is_meant_for_another_network_is_refused(till: Till, pay: str) -> None:
    a = till.account("a", "1")

    def work(wallet: GenericWallet) -> None:
        with pytest.raises(BadAddress, match="is meant for the main network, but btc is configured for regtest"):
            getattr(wallet, pay)(a, address("x"), Decimal("0.1"), None, testnet=False)
        getattr(wallet, pay)(a, address("x"), Decimal("0.1"), None, testnet=True)

    till.do("shop", work)
    assert till.balance(a) == Decimal("0.9")


def test_clearing_the_tables_leaves_empty_books_that_are_guarded(till: Till) -> None:
    a, b = till.accounts("1", "0")
    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(1), None))
    till.do(till.wallet_id(), lambda wallet: wallet.name)

    till.app.clear_tables()

    assert not any(till.dump().values())
    with pytest.raises(UnknownRowError):
        till.do(1, lambda wallet: wallet)
    till.account("a", "1")
    with pytest.raises(DBAPIError, match="is a journal"):
        till.execute("DELETE FROM btc_transaction")


def test_object_without_a_session_says_so(till: Till) -> None:
    with pytest.raises(CryptoAssetsError, match="is not in a session"):
        till.coin.account_model(name="a").get_unconfirmed_balance()
    with pytest.raises(CryptoAssetsError, match="is not in a session"):
        till.coin.wallet_model(name="a").create_account("b")


def test_session_of_ones_own_says_what_it_lacks(till: Till) -> None:
    till.wallet_id()
    with Session(till.engine) as session:
        wallet = till.coin.wallet_model.get_by_id(session, 1)
        with pytest.raises(CryptoAssetsError, match="does not come from a CryptoAssetsApp"):
            wallet.get_account_by_address(address("x"))


@pytest.mark.parametrize("minor", [1, 10_000_000, 30_000_000, 2_099_999_997_690_000, 2**63 - 1])
def test_amounts_come_back_bit_by_bit(till: Till, minor: int) -> None:
    amount = Decimal(minor).scaleb(-8)

    a = till.account("a", amount)

    assert till.balance(a).as_tuple() == amount.as_tuple()
    assert till.do("shop", lambda wallet: f"{wallet.balance:f}") == f"{amount:.8f}"


def test_a_tenth_and_two_are_three_tenths(till: Till) -> None:
    a, b = till.accounts("0.1", "0.2")
    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal("0.1"), None))
    assert till.balance(b) == Decimal("0.3")


def test_manuals_names_can_be_imported_and_caught(till: Till) -> None:
    a, b = till.accounts("0", "0")
    with pytest.raises(NotEnoughAccountBalance):
        till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(1), None))
    assert isinstance(till.coin, Coin)
    assert till.coin.validate_address(address("x"))
    assert not till.coin.validate_address("1BoatSLRHtKNngkdXEeobR76b53LETtpyT")
