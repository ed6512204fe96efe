"""A long history, written by set-based SQL: books as years of use leave them, and an audit finds nothing wrong.

Seven of ten movements are transfers, two are credited deposits, one is a broadcast withdrawal; every deposit has an
address and a network transaction of its own, a broadcast carries a hundred withdrawals. What is open is the same
whatever the length: a hundred deposits wait for confirmations and a hundred withdrawals for the broadcast.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from support.books import Books

#: Minor units of every movement.
_AMOUNT = 1000

_OPEN = 100

# Numbers 0 to 9 decide what a movement is. Balances after follow by adding up, account by account.
_STATEMENTS = (
    """CREATE TEMP TABLE account_of AS
       SELECT row_number() OVER (ORDER BY id) - 1 AS number, id FROM btc_account WHERE kind = 'user'""",
    """CREATE TEMP TABLE movement AS
       SELECT n, CASE WHEN n % 10 < 7 THEN 'internal' WHEN n % 10 < 9 THEN 'deposit' ELSE 'withdrawal' END AS kind,
              (n * 7919) % :accounts AS payer, (n * 7919 + 1 + n % (:accounts - 1)) % :accounts AS payee
       FROM generate_series(CAST(0 AS bigint), :rows - 1) AS n""",
    """CREATE TEMP TABLE leg AS
       SELECT n, account, sign, :opening + sum(sign * :amount) OVER one AS after, 1 + row_number() OVER one AS entry
       FROM (SELECT n, payer AS account, -1 AS sign FROM movement WHERE kind <> 'deposit'
             UNION ALL SELECT n, payee, 1 FROM movement WHERE kind <> 'withdrawal') AS legs
       WINDOW one AS (PARTITION BY account ORDER BY n)""",
    "CREATE INDEX ON leg (n, sign)",
    """INSERT INTO btc_address (address, account_id, balance, created_at)
       SELECT 'deposit-' || n, account_of.id, :amount, now()
       FROM movement JOIN account_of ON account_of.number = payee WHERE kind = 'deposit'""",
    """INSERT INTO btc_address (address, balance, created_at)
       SELECT 'payee-' || n, 0, now() FROM movement WHERE kind = 'withdrawal'""",
    """INSERT INTO btc_network_transaction
           (txid, transaction_type, state, confirmations, tracked, coinbase, attempts, wallet_id, created_at, opened_at,
            closed_at)
       SELECT CASE WHEN kind = 'deposit' THEN md5('d' || n) || md5('e' || n) ELSE md5('w' || n) || md5('x' || n) END,
              CASE WHEN kind = 'deposit' THEN 'deposit' ELSE 'broadcast' END, 'live', 15, false, false, 0,
              CASE WHEN kind = 'deposit' THEN NULL ELSE CAST(:wallet AS bigint) END, now(), now(), now()
       FROM movement WHERE kind = 'deposit' OR (kind = 'withdrawal' AND n % 1000 = 9)""",
    # A planner that knows nothing of these tables takes a quarter of an hour for a million rows.
    "ANALYZE",
    """INSERT INTO btc_transaction
           (wallet_id, kind, state, amount, overdraft, created_at, credited_at, processed_at, address_id,
            network_transaction_id, sending_account_id, sending_entry, sending_balance_after, receiving_account_id,
            receiving_entry, receiving_balance_after)
       SELECT :wallet, movement.kind,
              CASE movement.kind WHEN 'internal' THEN 'internal' WHEN 'deposit' THEN 'processed' ELSE 'broadcasted' END,
              :amount, false, now(), CASE WHEN movement.kind <> 'withdrawal' THEN now() END,
              CASE WHEN movement.kind <> 'internal' THEN now() END, address.id, network.id,
              payer.id, sent.entry, sent.after, payee.id, received.entry, received.after
       FROM movement
       LEFT JOIN leg AS sent ON sent.n = movement.n AND sent.sign = -1
       LEFT JOIN account_of AS payer ON payer.number = sent.account
       LEFT JOIN leg AS received ON received.n = movement.n AND received.sign = 1
       LEFT JOIN account_of AS payee ON payee.number = received.account
       LEFT JOIN btc_address AS address ON address.address =
           CASE movement.kind WHEN 'deposit' THEN 'deposit-' WHEN 'withdrawal' THEN 'payee-' END || movement.n
       LEFT JOIN btc_network_transaction AS network ON network.txid = CASE movement.kind
           WHEN 'deposit' THEN md5('d' || movement.n) || md5('e' || movement.n)
           WHEN 'withdrawal' THEN md5('w' || movement.n / 1000 * 1000 + 9) || md5('x' || movement.n / 1000 * 1000 + 9)
           END
       ORDER BY movement.n""",
    """UPDATE btc_account SET balance = last.after, entries = last.entry
       FROM (SELECT DISTINCT ON (account) account, after, entry FROM leg ORDER BY account, entry DESC) AS last
       JOIN account_of ON account_of.number = last.account WHERE btc_account.id = account_of.id""",
    """INSERT INTO cryptoassets_event (event_id, name, subject, data, created_at, fanned_out)
       SELECT md5('v' || n), 'txupdate', 'btc:' || n, '{}', now(), true FROM movement""",
    """INSERT INTO cryptoassets_event_delivery
           (sink, event_row_id, subject, state, attempts, next_attempt_at, delivered_at)
       SELECT 'sink', id, subject, CASE WHEN id > :rows - :open THEN 'pending' ELSE 'delivered' END, 0, now(), now()
       FROM cryptoassets_event""",
)

_WAITING = (
    """INSERT INTO btc_address (address, account_id, balance, created_at)
       SELECT 'open-' || n, account_of.id, 0, now()
       FROM generate_series(1, :open) AS n JOIN account_of ON account_of.number = n""",
    """INSERT INTO btc_network_transaction
           (txid, transaction_type, state, confirmations, tracked, coinbase, attempts, created_at)
       SELECT md5('o' || n) || md5('p' || n), 'deposit', 'live', 1, true, false, 0, now()
       FROM generate_series(1, :open) AS n""",
    """INSERT INTO btc_transaction
           (wallet_id, kind, state, amount, overdraft, created_at, receiving_account_id, address_id,
            network_transaction_id)
       SELECT :wallet, 'deposit', 'incoming', :amount, false, now(), address.account_id, address.id, network.id
       FROM generate_series(1, :open) AS n
       JOIN btc_address AS address ON address.address = 'open-' || n
       JOIN btc_network_transaction AS network ON network.txid = md5('o' || n) || md5('p' || n)""",
)


def fill(books: Books, *, movements: int) -> None:
    """Write a history of so many movements, and let PostgreSQL look at it as autovacuum would."""
    if books.app.engine is None:
        raise SystemExit("the books have no database")
    values = {
        "rows": movements,
        # Few movements are shared by few accounts, so that a page of an account's history is full in short books too,
        # from the middle of it as well.
        "accounts": max(2, min(len(books.account_ids), movements // 100)),
        "wallet": books.wallet_id,
        "amount": _AMOUNT,
        "opening": 1000 * 10**8,
        "open": _OPEN,
    }
    with books.app.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            connection.exec_driver_sql("SET LOCAL work_mem = '256MB'")
            # The guards would look at each of these rows, for longer than all the rest takes.
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            _set_defaults(connection, books)
            for statement in (*_STATEMENTS, *_WAITING):
                text = sa.text(statement)
                wanted = {name: value for name, value in values.items() if f":{name}" in statement}
                connection.execute(text, wanted)
    _queue_withdrawals(books)
    with books.app.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


def _set_defaults(connection: sa.Connection, books: Books) -> None:
    """Let the database know the models' plain defaults: the statements above name only what they are about."""
    tables = books.coin.wallet_model.books()
    for table in (tables.address, tables.network_transaction, tables.transaction):
        for column in table.columns:
            if isinstance(column.default, ScalarElementColumnDefault):
                value = sa.literal(column.default.arg, column.type).compile(
                    dialect=connection.dialect, compile_kwargs={"literal_binds": True}
                )
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ALTER {column.name} SET DEFAULT {value}")


def _queue_withdrawals(books: Books) -> None:
    outside = "bcrt1qp77u49uaw20lrjw8fmwlwghte97xpcmqh9cvt9"
    with books.app.conflict_resolver.transaction() as session:
        wallet = books.coin.wallet_model.get_by_id(session, books.wallet_id)
        for account_id in books.account_ids[:_OPEN]:
            wallet.send_external(account_id, outside, books.coin.description.dust * 2, None)
