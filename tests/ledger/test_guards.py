"""The database itself keeps the journal, whoever asks: what a row says about money stays."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from kit import PaperBackend, Till, address, seen, txid
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from cryptoassets_core.ledger.states import TransactionState

#: Where a state may go from each; nowhere from all others.
FORWARD = {
    "pending": {"broadcasted", "cancelled", "failed"},
    "broadcasted": {"processed"},
    "incoming": {"processed", "reversed"},
    "processed": {"reversed"},
    "below_minimum": {"reversed"},
}

FIXED = [
    *(
        "id",
        "kind",
        "amount",
        "created_at",
        "wallet_id",
        "sending_account_id",
        "sending_entry",
        "sending_balance_after",
    ),
    *("receiving_account_id", "address_id", "answers_id", "idempotency_key", "overdraft"),
]

#: Filled in once; here they all are.
WRITTEN = ["credited_at", "processed_at", "receiving_entry", "receiving_balance_after", "network_transaction_id"]


def refused(till: Till, sql: str, **values: Any) -> None:
    before = till.dump()
    with pytest.raises(DBAPIError, match=r"is a journal|stays on record"):
        till.execute(sql, **values)
    assert till.dump() == before


@pytest.fixture
def shop(till: Till) -> Till:
    """Books with a row of every kind and each column filled somewhere."""
    a, b = till.accounts("10", "10")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.chain_says(seen("gone", {to: "2"}, 3))
    till.chain_says(seen("gone", {}, -1))

    def work(wallet: Any) -> None:
        wallet.send(b, to, Decimal(1), "label", idempotency_key="key")
        wallet.send_external(a, address("x"), Decimal(1), None)
        wallet.cancel_withdrawal(wallet.send_external(a, address("y"), Decimal(1), None))
        wallet.mark_transaction_processed(3)
        wallet.adjust_balance(a, Decimal(1), direction="debit", reason="r", created_by="c", approved_by="d")

    till.do("shop", work)
    till.broadcaster(PaperBackend()).do_broadcasts()
    assert {str(row.kind) for row in till.rows()} == {
        *("balance_import", "deposit", "reversal", "internal", "withdrawal", "refund", "adjustment", "network_fee")
    }
    return till


def test_no_row_can_be_deleted(shop: Till) -> None:
    refused(shop, "DELETE FROM btc_transaction")
    for row in shop.rows():
        refused(shop, "DELETE FROM btc_transaction WHERE id = :id", id=row.id)


def test_table_cannot_be_emptied_at_once(shop: Till) -> None:
    if shop.engine.dialect.name == "postgresql":
        for sql in ("TRUNCATE btc_transaction", "TRUNCATE btc_account CASCADE"):
            refused(shop, sql)


def test_row_cannot_be_replaced(shop: Till) -> None:
    """SQLite's REPLACE deletes the row that is in the way, by any of its unique indexes."""
    if shop.engine.dialect.name == "sqlite":
        columns = "kind, state, amount, created_at, wallet_id, receiving_account_id, receiving_entry, overdraft"
        refused(
            shop,
            f"REPLACE INTO btc_transaction (id, {columns}) SELECT id, {columns.replace('amount', '1')} "  # noqa: S608
            "FROM btc_transaction WHERE id = 1",
        )
        refused(
            shop,
            f"REPLACE INTO btc_transaction ({columns}) SELECT {columns.replace('amount', '1')} "  # noqa: S608
            "FROM btc_transaction WHERE id = 1",
        )
        refused(shop, "UPDATE OR REPLACE btc_transaction SET id = 2 WHERE id = 1")


def test_what_was_written_stays(shop: Till) -> None:
    values: dict[str, Any] = {"kind": "internal", "created_at": "2001-01-01", "idempotency_key": "k", "overdraft": True}
    for column, row in product(FIXED, shop.rows()):
        value = values.get(column, 1)
        if str(getattr(row, column)) in (str(value), "1.00000000") and column != "amount":
            value = 2
        if column == "kind" and row.kind == "internal":
            value = "deposit"
        refused(shop, f"UPDATE btc_transaction SET {column} = :value WHERE id = :id", value=value, id=row.id)  # noqa: S608
        # SQLite takes no NULL for an id, by itself.
        if getattr(row, column) is not None and column != "id":
            refused(shop, f"UPDATE btc_transaction SET {column} = NULL WHERE id = :id", id=row.id)  # noqa: S608


def test_what_is_filled_in_later_stays_from_then_on(shop: Till) -> None:
    filled = [(column, row) for column, row in product(WRITTEN, shop.rows()) if getattr(row, column) is not None]
    assert {column for column, _ in filled} == set(WRITTEN)
    for column, row in filled:
        for value in ("NULL", "'2001-01-01'" if column.endswith("_at") else "4711"):
            refused(shop, f"UPDATE btc_transaction SET {column} = {value} WHERE id = :id", id=row.id)  # noqa: S608


def insert_row(till: Till, **values: Any) -> int:
    """Write a row past the ledger."""
    row = {"kind": "withdrawal", "state": "pending", "amount": Decimal(1), "wallet_id": 1, "sending_account_id": 1}
    with till.engine.begin() as connection:
        return connection.execute(insert(till.books.transaction).values(row | values)).inserted_primary_key[0]


def test_state_moves_forward_only(till: Till) -> None:
    till.accounts("10", "10")
    for state, other in product(map(str, TransactionState), TransactionState):
        id_ = insert_row(till, state=state)
        sql = "UPDATE btc_transaction SET state = :state WHERE id = :id"
        if other == state or other in FORWARD.get(state, ()):
            till.execute(sql, state=str(other), id=id_)
            assert till.row(id_).state == other
        else:
            refused(till, sql, state=str(other), id=id_)


def test_only_what_is_pending_can_be_bundled(till: Till) -> None:
    till.accounts("10", "10")
    with till.engine.begin() as connection:
        connection.execute(
            insert(till.books.network_transaction).values(
                id=1, transaction_type="broadcast", state="collected", wallet_id=1
            )
        )
    for state in TransactionState:
        id_ = insert_row(till, state=str(state))
        sql = "UPDATE btc_transaction SET network_transaction_id = 1 WHERE id = :id"
        if state == TransactionState.PENDING:
            till.execute(sql, id=id_)
            till.execute("UPDATE btc_transaction SET network_transaction_id = NULL WHERE id = :id", id=id_)
        else:
            refused(till, sql, id=id_)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"amount": Decimal(0)}, "ck_btc_transaction_positive"),
        ({"amount": Decimal("-0.00000001")}, "ck_btc_transaction_positive"),
        ({"sending_account_id": None}, "ck_btc_transaction_has_account"),
        ({"receiving_account_id": 1}, "ck_btc_transaction_two_accounts"),
        ({"sending_entry": 1, "id": 90}, "uq_btc_transaction_sending|sending_account_id"),
        (
            {"kind": "balance_import", "sending_account_id": None, "receiving_account_id": 1, "receiving_entry": 1},
            "uq_btc_transaction_receiving|receiving_account_id",
        ),
        ({"idempotency_key": "key"}, "uq_btc_transaction_idempotency_key|wallet_id"),
        ({"kind": "refund", "answers_id": 1}, "uq_btc_transaction_answered|answers_id"),
        ({"kind": "reversal", "answers_id": 1}, "uq_btc_transaction_answered|answers_id"),
        ({"kind": "deposit", "state": "incoming", "address_id": 1, "network_transaction_id": 1}, "deposit|address_id"),
        ({"sending_account_id": 4711}, "(?i)foreign key"),
        ({"receiving_account_id": 4711}, "(?i)foreign key"),
        ({"wallet_id": 4711}, "(?i)foreign key"),
        ({"address_id": 4711}, "(?i)foreign key"),
        ({"network_transaction_id": 4711}, "(?i)foreign key"),
        ({"answers_id": 4711}, "(?i)foreign key"),
    ],
    ids=str,
)
def test_row_that_cannot_be_is_refused(till: Till, values: dict[str, Any], constraint: str) -> None:
    a, _ = till.accounts("10", "10")
    till.chain_says(seen("tx", {till.receiving_address(a): "1"}, 1))
    insert_row(till, sending_entry=1, idempotency_key="key", kind="refund", answers_id=1)
    before = till.dump()

    with pytest.raises(IntegrityError, match=constraint):
        insert_row(till, **values)

    assert till.dump() == before


@pytest.mark.parametrize("column", ["kind", "state"])
def test_unknown_words_are_refused(till: Till, column: str) -> None:
    till.accounts("10")
    words = {"kind": "withdrawal", "state": "pending", column: "stolen"}
    with (
        pytest.raises(IntegrityError, match=f"ck_btc_transaction_transaction{column}"),
        till.engine.begin() as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO btc_transaction "
                "(kind, state, amount, created_at, wallet_id, sending_account_id, overdraft) "
                "VALUES (:kind, :state, 1, '2001-01-01', 1, 1, :no)"
            ),
            words | {"no": False},
        )


@pytest.mark.postgres
def test_rows_accounts_are_checked_however_many_rows_a_statement_writes(postgres_till: Till) -> None:
    """A trigger does it there, once a statement."""
    till = postgres_till
    other = till.account("other", wallet="other")
    a, b = till.accounts("10", "10")
    good = {"wallet_id": till.wallet_id(), "sending_account_id": a, "receiving_account_id": b}
    good |= {"kind": "internal", "state": "internal", "amount": Decimal(1)}
    before = till.dump()

    def write(*rows: dict[str, Any]) -> None:
        with till.engine.begin() as connection:
            connection.execute(insert(till.books.transaction).values([*rows]))

    for sender, receiver in ((4711, b), (a, 4711), (other, b), (a, other), (None, other), (other, None)):
        with pytest.raises(IntegrityError, match="foreign key"):
            write(good, good | {"sending_account_id": sender, "receiving_account_id": receiver}, good)

    assert till.dump() == before
    write(good, good)


def test_accounts_and_wallets_stay_what_they_are(till: Till) -> None:
    account, wallet = till.account("empty"), till.wallet_id("other")
    before = till.dump()

    for sql in (
        "DELETE FROM btc_account WHERE id = :account AND 0 < :wallet",
        "DELETE FROM btc_wallet WHERE id = :wallet AND 0 < :account",
        "UPDATE btc_account SET id = 4711 WHERE id = :account AND 0 < :wallet",
        "UPDATE btc_account SET wallet_id = :wallet WHERE id = :account",
        "UPDATE btc_wallet SET id = 4711 WHERE id = :wallet AND 0 < :account",
    ):
        with pytest.raises(DBAPIError, match="stays on record"):
            till.execute(sql, account=account, wallet=wallet)

    assert till.dump() == before
    till.execute("UPDATE btc_account SET wallet_id = wallet_id, name = 'new' WHERE id = :account", account=account)


def test_account_below_zero_must_be_marked(till: Till) -> None:
    a = till.account("a", "1")

    with pytest.raises(IntegrityError, match="ck_btc_account_not_below_zero"):
        till.execute("UPDATE btc_account SET balance = -1 WHERE id = :id", id=a)


def test_names_and_addresses_are_unique(till: Till) -> None:
    a, b = till.accounts("1", "1")
    to = till.receiving_address(a)
    till.do("shop", lambda wallet: wallet.get_or_create_external_address(to))
    columns = "INSERT INTO btc_address (address, created_at, balance, account_id) VALUES"
    for sql in (
        f"{columns} ('{to}', '2001-01-01', 0, {b})",
        f"{columns} ('{to}', '2001-01-01', 0, NULL)",
        "INSERT INTO btc_wallet (name, created_at) VALUES ('shop', '2001-01-01')",
        "INSERT INTO btc_account (name, created_at, kind, entries, overdrawn, balance, wallet_id) "
        "VALUES ('a', '2001-01-01', 'user', 0, FALSE, 0, 1)",
    ):
        with pytest.raises(IntegrityError, match=r"(?i)unique"):
            till.execute(sql)


def test_network_transaction_is_known_once_each_way(till: Till) -> None:
    model = till.coin.network_transaction_model
    first = till.run(lambda session: [model.get_or_create_deposit(session, txid("x")) for _ in "12"])

    assert [created for _, created in first] == [True, False]
    for kind, error in (("broadcast", None), ("deposit", IntegrityError)):
        row = {"txid": txid("x"), "transaction_type": kind, "state": "live"}
        with till.engine.connect() as connection:
            if error is None:
                connection.execute(insert(till.books.network_transaction).values(row))
            else:
                with pytest.raises(error, match=r"(?i)unique"):
                    connection.execute(insert(till.books.network_transaction).values(row))
