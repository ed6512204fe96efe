"""The audit names what is wrong, whoever planted it, and does not grow with the books."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal

import pytest
from kit import PaperBackend, Till, address, seen, without_guards
from sqlalchemy import text

from cryptoassets_core.tools.audit import audit


@pytest.fixture
def shop(till: Till) -> Till:
    """Books with a row of every kind: 1, 2 imports, 3 deposit, 4 deposit taken back, 5 its reversal, 6 transfer,
    7 withdrawal sent, 8 withdrawal cancelled, 9 its refund, 10 fee."""
    a, b = till.accounts("10", "10")
    to = till.receiving_address(a)
    till.chain_says(seen("tx", {to: "1"}, 3))
    till.chain_says(seen("gone", {to: "2"}, 3))
    till.chain_says(seen("gone", {}, -1))
    till.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(1), None))
    till.do("shop", lambda wallet: wallet.send_external(a, address("x"), Decimal(1), None))
    till.do("shop", lambda wallet: wallet.cancel_withdrawal(wallet.send_external(b, address("y"), Decimal(1), None)))
    till.broadcaster(PaperBackend()).do_broadcasts()
    till.wallet_id("other")
    assert [str(row.kind) for row in till.rows()] == [
        *("balance_import", "balance_import", "deposit", "deposit", "reversal", "internal"),
        *("withdrawal", "withdrawal", "refund", "network_fee"),
    ]
    assert till.audit() == []
    return till


PLANTED = {
    "a balance": ("UPDATE btc_account SET balance = balance + 1 WHERE id = 1", "balance", "btc_account", 1),
    "a count": ("UPDATE btc_account SET entries = entries - 1 WHERE id = 1", "entries", "btc_account", 1),
    "a vanished row": ("DELETE FROM btc_transaction WHERE id = 3", "entries", "btc_transaction", 4),
    "an amount": ("UPDATE btc_transaction SET amount = 1 WHERE id = 6", "running balance", "btc_transaction", 6),
    "a balance after": (
        "UPDATE btc_transaction SET sending_balance_after = 5 WHERE id = 6",
        "running balance",
        "btc_transaction",
        6,
    ),
    "another wallet": ("UPDATE btc_transaction SET wallet_id = 2 WHERE id = 6", "wallet", "btc_transaction", 6),
    "a transfer with one leg": (
        "UPDATE btc_transaction SET receiving_entry = NULL WHERE id = 6",
        "legs",
        "btc_transaction",
        6,
    ),
    "a withdrawal with a receiver": (
        "UPDATE btc_transaction SET receiving_account_id = 2 WHERE id = 7",
        "legs",
        "btc_transaction",
        7,
    ),
    "a deposit with a sender": (
        "UPDATE btc_transaction SET sending_account_id = 2 WHERE id = 3",
        "legs",
        "btc_transaction",
        3,
    ),
    "a state of another kind": (
        "UPDATE btc_transaction SET state = 'pending' WHERE id = 6",
        "state",
        "btc_transaction",
        6,
    ),
    "a leave to overdraw": ("UPDATE btc_account SET overdrawn = true WHERE id = 1", "below zero", "btc_account", 1),
    "a credit without entry": (
        "UPDATE btc_transaction SET receiving_entry = NULL WHERE id = 3",
        "credit",
        "btc_transaction",
        3,
    ),
    "an entry without credit": (
        "UPDATE btc_transaction SET credited_at = NULL WHERE id = 3",
        "credit",
        "btc_transaction",
        3,
    ),
    "a credit of what is too small": (
        "UPDATE btc_transaction SET state = 'below_minimum' WHERE id = 3",
        "credit",
        "btc_transaction",
        3,
    ),
    "an import that was never credited": (
        "UPDATE btc_transaction SET credited_at = NULL, receiving_entry = NULL WHERE id = 1",
        "credit",
        "btc_transaction",
        1,
    ),
    "a missing refund": (
        "UPDATE btc_transaction SET state = 'failed' WHERE id = 7",
        "refund",
        "btc_transaction",
        7,
    ),
    "a refund of what goes on": (
        "UPDATE btc_transaction SET state = 'pending' WHERE id = 8",
        "refund",
        "btc_transaction",
        9,
    ),
    "a refund of another amount": (
        "UPDATE btc_transaction SET amount = 2 WHERE id = 8",
        "refund",
        "btc_transaction",
        9,
    ),
    "a missing reversal": (
        "UPDATE btc_transaction SET state = 'reversed' WHERE id = 3",
        "reversal",
        "btc_transaction",
        3,
    ),
    "a reversal of what stands": (
        "UPDATE btc_transaction SET state = 'incoming' WHERE id = 4",
        "reversal",
        "btc_transaction",
        5,
    ),
    "a broadcast that is none": (
        "UPDATE btc_transaction SET network_transaction_id = NULL WHERE id = 7",
        "broadcast",
        "btc_transaction",
        7,
    ),
    "another fee": ("UPDATE btc_transaction SET amount = 5 WHERE id = 10", "fee", "btc_transaction", 10),
    "a fee that is not booked": (
        "UPDATE btc_transaction SET kind = 'withdrawal', state = 'pending' WHERE id = 10",
        "fee",
        "btc_transaction",
        7,
    ),
    "an address's balance": (
        "UPDATE btc_address SET balance = 0 WHERE id = 1",
        "address balance",
        "btc_address",
        1,
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_planted_defect_is_found_and_named(shop: Till, what: str) -> None:
    sql, rule, table, row_id = PLANTED[what]

    with without_guards(shop):
        shop.execute(sql)

    assert (rule, table, row_id) in {(found.rule, found.table, found.row_id) for found in shop.audit()}


def test_balance_below_zero_that_nothing_allowed_is_found(shop: Till) -> None:
    """An audit that only adds up calls books right whose accounts are below zero."""
    a, b = 1, 2
    shop.do("shop", lambda wallet: wallet.send_internal(a, b, Decimal(10), None, allow_negative_balance=True))
    assert shop.audit() == []

    with without_guards(shop):
        shop.execute("UPDATE btc_transaction SET overdraft = :no WHERE overdraft", no=False)

    (found,) = shop.audit()
    assert (found.rule, found.row_id) == ("below zero", 11)
    assert found.message == "account 1: it was taken to -1.00000000 and nothing allowed that"


def test_fee_that_is_booked_twice_is_found(shop: Till) -> None:
    with without_guards(shop):
        shop.execute("UPDATE btc_transaction SET kind = 'network_fee' WHERE id = 7")

    assert ("fee", 10) in {(found.rule, found.row_id) for found in shop.audit()}


def test_rows_of_an_account_that_is_gone_are_named_and_no_other_account(shop: Till) -> None:
    with without_guards(shop), shop.engine.connect() as connection:
        if shop.engine.dialect.name == "sqlite":
            connection.rollback()
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
            connection.connection.driver_connection.execute("DELETE FROM btc_account WHERE id = 1")
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")
        else:
            connection.execute(text("ALTER TABLE btc_account DISABLE TRIGGER ALL"))
            connection.execute(text("DELETE FROM btc_account WHERE id = 1"))
            connection.execute(text("ALTER TABLE btc_account ENABLE TRIGGER ALL"))
            connection.commit()

    found = shop.audit()

    assert {finding.rule for finding in found} == {"account"}
    assert {finding.row_id for finding in found} == {1, 3, 4, 5, 6, 7}


def test_audit_changes_nothing_and_may_run_beside_a_writer(shop: Till) -> None:
    before = shop.dump()
    with shop.app.open_readonly_session() as session:
        findings = audit(session, shop.coin)
        first = next(findings, None)
        shop.do("shop", lambda wallet: wallet.import_balance(1, Decimal(1)))
        assert (first, list(findings)) == (None, [])
    assert len(shop.rows()) == len(before["btc_transaction"]) + 1


@pytest.mark.postgres
def test_audit_leaves_the_rows_at_the_server_until_it_needs_them(postgres_till: Till) -> None:
    """What a driver keeps for itself, no tracer of Python's memory sees."""
    till = postgres_till
    till.account("a", "1")
    till.execute("UPDATE btc_account SET balance = 2")

    with till.app.open_readonly_session() as session:
        findings = audit(session, till.coin)
        assert next(findings).rule == "balance"
        assert session.scalar(text("SELECT count(*) FROM pg_cursors")) > 0
        findings.close()


def test_memory_of_an_audit_does_not_grow_with_the_books(till: Till) -> None:
    a = till.account("a", "1")
    rows = 50_000
    # What both databases count with; the sums are 64 bits wide.
    till.execute(
        "WITH RECURSIVE numbers (n) AS (SELECT CAST(2 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows) "
        "INSERT INTO btc_transaction (kind, state, amount, created_at, credited_at, wallet_id, overdraft, "
        "receiving_account_id, receiving_entry, receiving_balance_after) SELECT 'balance_import', 'balance_import', "
        "100000000, account.created_at, account.created_at, 1, :no, :a, n, n * 100000000 "
        "FROM numbers CROSS JOIN btc_account AS account",
        rows=rows,
        a=a,
        no=False,
    )
    till.execute("UPDATE btc_account SET balance = :all, entries = :n", all=rows * 10**8, n=rows)

    tracemalloc.start()
    findings = till.audit()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert findings == []
    # All rows at once would be more than twenty times as much.
    assert peak < 4 * 2**20
