"""The anchor: what PostgreSQL's own load generator makes of the least SQL that a transfer can be.

Absolute figures of a shared machine mean little. So each figure is divided by what pgbench reached on the same server
just before.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

from cryptoassets_core.testing.postgres import server_path
from cryptoassets_core.testing.requirements import require

_SCHEMA = (
    "CREATE TABLE anchor_account (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))",
    "CREATE TABLE anchor_transfer (id bigserial PRIMARY KEY, sender bigint NOT NULL, receiver bigint NOT NULL,"
    " amount bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now())",
    "INSERT INTO anchor_account SELECT number, 1000000000000 FROM generate_series(1, {accounts}) AS number",
)

#: Two conditional updates and one insert, in one transaction.
_SCRIPT = r"""
\set sender random(1, {accounts})
\set receiver 1 + (:sender + random(0, {accounts} - 2)) % {accounts}
BEGIN;
UPDATE anchor_account SET balance = balance - 10000 WHERE id = :sender AND balance >= 10000;
UPDATE anchor_account SET balance = balance + 10000 WHERE id = :receiver;
INSERT INTO anchor_transfer (sender, receiver, amount) VALUES (:sender, :receiver, 10000);
COMMIT;
"""


class Anchor:
    """pgbench on a database of its own, at SERIALIZABLE and with prepared statements."""

    def __init__(self, url: str, *, accounts: int) -> None:
        """Make the tables."""
        self._pgbench = require("pgbench", "postgresql", path=server_path())
        self._url = sa.make_url(url)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in _SCHEMA:
                connection.exec_driver_sql(statement.format(accounts=accounts))
        self._script = _SCRIPT.format(accounts=accounts)

    def transfers_per_second(self, *, clients: int, seconds: int) -> float:
        """Run it."""
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "transfer.sql"
            script.write_text(self._script)
            done = subprocess.run(
                [
                    str(self._pgbench),
                    "--no-vacuum",
                    "--protocol=prepared",
                    f"--client={clients}",
                    f"--jobs={clients}",
                    f"--time={seconds}",
                    "--max-tries=100",
                    f"--file={script}",
                ],
                env={
                    "PGHOST": str(self._url.query["host"]),
                    "PGPORT": str(self._url.query["port"]),
                    "PGUSER": str(self._url.username),
                    "PGDATABASE": str(self._url.database),
                    "PGOPTIONS": "-c default_transaction_isolation=serializable",
                },
                capture_output=True,
                text=True,
                check=False,
            )
        found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        if done.returncode != 0 or found is None:
            raise SystemExit(f"pgbench failed: {' '.join(done.stderr.split())}")
        return float(found.group(1))
