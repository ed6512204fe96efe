"""Triggers that keep the journal: the database itself refuses to change or delete what a row says about money.

A refund, a reversal or a correction is a new row. What may change in a row is its state, forward only, and what becomes
known later, once.
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
}


def guard_journal(symbol: str, metadata: MetaData) -> None:
    """Have the triggers created with the coin's transaction table."""

    @event.listens_for(metadata, "after_create")
    def _create(_target: MetaData, connection: Connection, tables: Sequence[Table] = (), **_: object) -> None:
        table = metadata.tables[f"{symbol}_transaction"]
        if table in tables:
            for statement in _statements(table.name, connection.dialect.name):
                connection.exec_driver_sql(statement)


def _statements(table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        refuse = f"SELECT RAISE(ABORT, '{_refusal(table)}')"
        return [
            f"CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} WHEN {_violation('IS NOT')} BEGIN {refuse}; END",
            f"CREATE TRIGGER {table}_keep_all BEFORE DELETE ON {table} BEGIN {refuse}; END",
        ]
    refused = f"EXECUTE FUNCTION {table}_refuse()"
    return [
        f"""CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{_refusal(table)}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        f"""CREATE TRIGGER {table}_keep BEFORE UPDATE ON {table} FOR EACH ROW
        WHEN ({_violation("IS DISTINCT FROM")}) {refused}""",
        f"CREATE TRIGGER {table}_keep_all BEFORE DELETE ON {table} FOR EACH ROW {refused}",
        f"CREATE TRIGGER {table}_keep_table BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refused}",
    ]


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
    backward = f"OLD.state <> NEW.state AND NOT ({forward})"
    # Only what waits for the network may be bundled, or bundled anew.
    rebundled = f"OLD.state <> '{State.PENDING}' AND OLD.network_transaction_id {differs} NEW.network_transaction_id"
    return " OR ".join(f"({condition})" for condition in [*changed, *rewritten, backward, rebundled])
