"""Triggers that keep the journal: the database itself refuses to change or delete what a row says about money.

A refund, a reversal or a correction is a new row. What may change in a row is its state, forward only, and what becomes
known later, once. The accounts and wallets that rows speak of stay too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, MetaData, Table, event

from cryptoassets_core.ledger.states import TransactionState as State

#: Columns that are as they were written.
_FIXED = (
    "id",
    "kind",
    "amount",
    "created_at",
    "wallet_id",
    "sending_account_id",
    "sending_entry",
    "sending_balance_after",
    "receiving_account_id",
    "address_id",
    "answers_id",
    "idempotency_key",
    "overdraft",
)

#: Columns that are filled in later and fixed from then on.
_WRITTEN_ONCE = ("credited_at", "processed_at", "receiving_entry", "receiving_balance_after")

#: Where a state may go from each; what is not listed is final.
_FORWARD: dict[State, tuple[State, ...]] = {
    State.PENDING: (State.BROADCASTED, State.CANCELLED, State.FAILED),
    State.BROADCASTED: (State.PROCESSED,),
    State.INCOMING: (State.PROCESSED, State.REVERSED),
    State.PROCESSED: (State.REVERSED,),
    State.BELOW_MINIMUM: (State.REVERSED,),
}

#: The one way back: a withdrawal leaves a network transaction that died for good, and is queued again.
_QUEUED_AGAIN = (
    f"OLD.kind = 'withdrawal' AND OLD.state IN ('{State.BROADCASTED}', '{State.PROCESSED}')"
    f" AND OLD.network_transaction_id IS NOT NULL"
    f" AND NEW.state = '{State.PENDING}' AND NEW.network_transaction_id IS NULL"
)


def guard_books(symbol: str, metadata: MetaData) -> None:
    """Have the triggers created with the coin's tables."""

    @event.listens_for(metadata, "after_create")
    def _create(_target: MetaData, connection: Connection, tables: Sequence[Table] = (), **_: object) -> None:
        journal, account, wallet = (f"{symbol}_{role}" for role in ("transaction", "account", "wallet"))
        created = {table.name for table in tables}
        if connection.dialect.name == "sqlite":
            statements = {
                journal: _journal_on_sqlite(journal),
                account: _owner_on_sqlite(account, ("id", "wallet_id")),
                wallet: _owner_on_sqlite(wallet, ("id",)),
            }
        else:
            statements = {
                wallet: _owner(wallet, ("id",)),
                account: _owner(account, ("id", "wallet_id")),
                journal: [*_journal(journal), *_legs(journal, account)],
            }
        for table, wanted in statements.items():
            if table in created:
                for statement in wanted:
                    connection.exec_driver_sql(statement)


def _journal_on_sqlite(table: str) -> list[str]:
    refuse = f"SELECT RAISE(ABORT, '{_refusal(table)}')"
    return [
        f"CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} WHEN {_violation('IS NOT')} BEGIN {refuse}; END",
        f"CREATE TRIGGER {table}_keep_all BEFORE DELETE ON {table} BEGIN {refuse}; END",
    ]


def _owner_on_sqlite(table: str, columns: Sequence[str]) -> list[str]:
    refuse = f"SELECT RAISE(ABORT, '{_owner_refusal(table)}')"
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
    return [
        f"CREATE TRIGGER {table}_keep BEFORE UPDATE OF {', '.join(columns)} ON {table} WHEN {changed} "
        f"BEGIN {refuse}; END",
        f"CREATE TRIGGER {table}_keep_all BEFORE DELETE ON {table} BEGIN {refuse}; END",
    ]


def _journal(table: str) -> list[str]:
    refused = f"EXECUTE FUNCTION {table}_refuse()"
    return [
        _refusing_function(table, _refusal(table)),
        f"""CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} FOR EACH ROW
        WHEN ({_violation("IS DISTINCT FROM")}) {refused}""",
        *_keep_all(table),
    ]


def _owner(table: str, columns: Sequence[str]) -> list[str]:
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return [
        _refusing_function(table, _owner_refusal(table)),
        f"""CREATE TRIGGER {table}_keep BEFORE UPDATE OF {", ".join(columns)} ON {table} FOR EACH ROW
        WHEN ({changed}) EXECUTE FUNCTION {table}_refuse()""",
        *_keep_all(table),
    ]


def _refusing_function(table: str, message: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"""


def _keep_all(table: str) -> list[str]:
    refused = f"EXECUTE FUNCTION {table}_refuse()"
    return [
        f"CREATE TRIGGER {table}_keep_all BEFORE DELETE ON {table} FOR EACH ROW {refused}",
        f"CREATE TRIGGER {table}_keep_table BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refused}",
    ]


def _legs(table: str, account: str) -> list[str]:
    """See once a statement, and not three times a row, that accounts exist and are the wallet's.

    Foreign keys would take two fifths of the time of a large batch. They would also watch the other side, the deletion
    of what is referred to: but accounts and wallets are never deleted, which the triggers of theirs see to. A wallet
    exists if an account of it does.
    """
    strangers = " OR ".join(
        f"{side} IS NOT NULL AND inserted.wallet_id IS DISTINCT FROM "  # noqa: S608 - our own names
        f"(SELECT owner.wallet_id FROM {account} AS owner WHERE owner.id = {side})"
        for side in ("sending_account_id", "receiving_account_id")
    )
    return [
        f"""CREATE OR REPLACE FUNCTION {table}_check_legs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM inserted WHERE {strangers}) THEN
                RAISE EXCEPTION '{table}: the foreign key to {account} is violated, or it is of another wallet'
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_{table}_legs';
            END IF;
            RETURN NULL;
        END $$""",
        f"""CREATE TRIGGER fk_{table}_legs AFTER INSERT ON {table} REFERENCING NEW TABLE AS inserted
        FOR EACH STATEMENT EXECUTE FUNCTION {table}_check_legs()""",
    ]


def _owner_refusal(table: str) -> str:
    return f"{table}: whose money it is stays on record, so no row is deleted, renumbered or moved"


def _refusal(table: str) -> str:
    return f"{table} is a journal: what a row says about money is never changed or deleted"


def _violation(differs: str) -> str:
    """Return the SQL condition of an update that the journal forbids."""
    changed = [f"OLD.{column} {differs} NEW.{column}" for column in _FIXED]
    rewritten = [f"OLD.{column} IS NOT NULL AND OLD.{column} {differs} NEW.{column}" for column in _WRITTEN_ONCE]
    forward = " OR ".join(
        f"OLD.state = '{before}' AND NEW.state IN ({', '.join(repr(str(after)) for after in afters)})"
        for before, afters in _FORWARD.items()
    )
    backward = f"OLD.state <> NEW.state AND NOT ({forward} OR {_QUEUED_AGAIN})"
    # Only what waits for the network may be bundled, or bundled anew.
    rebundled = (
        f"OLD.state <> '{State.PENDING}' AND OLD.network_transaction_id {differs} NEW.network_transaction_id"
        f" AND NOT ({_QUEUED_AGAIN})"
    )
    return " OR ".join(f"({condition})" for condition in [*changed, *rewritten, backward, rebundled])
