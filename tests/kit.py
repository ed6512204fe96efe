"""Small factories for tests of the kernel: books on any database, and coins in them without a node."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, Table, event, inspect, select, text
from sqlalchemy.orm import Session

from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import (
    BackendOptions,
    BlockHash,
    ChainChanges,
    Outpoint,
    PreparedTransaction,
    ReceivedOutput,
    TwoStepBackend,
    Txid,
    WalletTransaction,
)
from cryptoassets_core.backend.chainwrites import apply_transactions
from cryptoassets_core.coin.registry import Coin
from cryptoassets_core.coin.validate import encode_segwit
from cryptoassets_core.configure import Configurator
from cryptoassets_core.event.outbox import metadata as outbox
from cryptoassets_core.ledger.books import Books
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.tools.audit import Finding, audit
from cryptoassets_core.tools.broadcast import Broadcaster
from cryptoassets_core.tools.teller import Teller

R = TypeVar("R")

#: Processes that share nothing with the test, and start quickly: what they need is imported once.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["cryptoassets_core.configure", "cryptoassets_btc.models", "psycopg2"])


def open_app(url: str, *, plugins: Iterable[object] = (), retries: int = 10, **coin: object) -> CryptoAssetsApp:
    """Configure an app with the coin btc on a database; its tables must be made by whoever is first.

    :param coin: settings of the coin.
    """
    app = CryptoAssetsApp(plugins=tuple(plugins))
    Configurator(app).load_from_dict(
        {
            "database": {"url": url, "transaction_retries": retries},
            "coins": {"btc": {"network": "regtest"} | coin},
        }
    )
    app.setup_session()
    return app


def address(name: object) -> str:
    """Return an address of the regtest network that nobody has the key of, always the same for a name."""
    return encode_segwit("bcrt", 0, hashlib.sha256(repr(name).encode()).digest()[:20])


def txid(name: object) -> Txid:
    """Return a transaction hash, always the same for a name."""
    return Txid(hashlib.sha256(repr(name).encode()).hexdigest())


def seen(
    name: object, received: Mapping[str, Decimal | str], confirmations: int = 0, *, coinbase: bool = False
) -> WalletTransaction:
    """Describe an incoming network transaction as a backend would report it.

    :param received: whole coins by address.
    """
    outputs = tuple(ReceivedOutput(to, Decimal(amount), vout) for vout, (to, amount) in enumerate(received.items()))
    return WalletTransaction(
        txid=txid(name),
        confirmations=confirmations,
        block_hash=BlockHash(txid((name, "block"))) if confirmations > 0 else None,
        received=outputs,
        coinbase=coinbase,
    )


class PaperBackend(TwoStepBackend):
    """Signs and publishes without a network; ``before_return`` of a preparation lets a test act at that moment."""

    def __init__(self, *, fee: str = "0.00001", before_return: Callable[[], None] | None = None) -> None:
        super().__init__(BITCOIN, "regtest", BackendOptions())
        self.fee = Decimal(fee)
        self.before_return = before_return
        self.prepared: list[dict[str, Decimal]] = []
        self.submitted: list[Txid] = []
        self.submit_error: Exception | None = None

    def prepare(self, recipients: Mapping[str, Decimal]) -> PreparedTransaction:
        self.prepared.append(dict(recipients))
        if self.before_return is not None:
            self.before_return()
        signed = txid((sorted(recipients.items()), len(self.prepared), id(self)))
        return PreparedTransaction(signed, "00", self.fee, (Outpoint(signed, 0),))

    def submit(self, prepared: PreparedTransaction) -> Txid:
        if self.submit_error is not None:
            raise self.submit_error
        published = prepared.txid or txid(prepared.inputs)
        self.submitted.append(published)
        return published

    def hold(self, prepared: PreparedTransaction) -> None:
        pass

    def release(self, prepared: PreparedTransaction) -> None:
        pass

    def create_address(self, label: str) -> str:
        return address(label)

    def check(self) -> None:
        raise NotImplementedError

    def get_tip(self) -> BlockHash:
        raise NotImplementedError

    def list_since(self, checkpoint: BlockHash | None, *, depth: int) -> ChainChanges:
        raise NotImplementedError

    def get_transactions(self, txids: Iterable[Txid]) -> Mapping[Txid, WalletTransaction]:
        raise NotImplementedError

    def get_backend_balance(self, confirmations: int = 0) -> Decimal:
        raise NotImplementedError


@dataclass(frozen=True)
class Till:
    """An app's books for tests: ids in, ids and exact amounts out, every call in a transaction of its own."""

    app: CryptoAssetsApp

    @property
    def coin(self) -> Coin:
        return self.app.coins.get("btc")

    @property
    def books(self) -> Books:
        return self.coin.wallet_model.books()

    @property
    def engine(self) -> Engine:
        assert self.app.engine is not None
        return self.app.engine

    @property
    def teller(self) -> Teller:
        return Teller(self.coin, self.app.conflict_resolver)

    def run(self, work: Callable[[Session], R]) -> R:
        return self.app.conflict_resolver.run(work)

    def withdraw(self, account: int, amount: str, to: object = "payee") -> int:
        """Queue a withdrawal from an account of the shop; returns its id."""
        return self.do("shop", lambda wallet: wallet.send_external(account, address(to), Decimal(amount), None).id)

    def do(self, wallet: str | int, work: Callable[[GenericWallet], R]) -> R:
        """Run work on a wallet, given by name or id, in a managed transaction."""
        return self.run(lambda session: work(self.wallet(session, wallet)))

    def wallet(self, session: Session, wallet: str | int) -> GenericWallet:
        model = self.coin.wallet_model
        if isinstance(wallet, int):
            return model.get_by_id(session, wallet)
        return model.get_or_create_by_name(wallet, session)

    def wallet_id(self, name: str = "shop") -> int:
        return self.do(name, lambda wallet: int(wallet.id))

    def account(self, name: str, balance: str | Decimal = "0", *, wallet: str = "shop") -> int:
        """Make an account with a balance."""

        def work(wallet: GenericWallet) -> int:
            account = wallet.get_or_create_account_by_name(name)
            if Decimal(balance):
                wallet.import_balance(account, Decimal(balance))
            return int(account.id)

        return self.do(wallet, work)

    def accounts(self, *balances: str, wallet: str = "shop") -> list[int]:
        """Make an account for each balance, named a, b, c and so on."""
        return [self.account("abcdefghijkl"[place], balance, wallet=wallet) for place, balance in enumerate(balances)]

    def receiving_address(self, account_id: int, name: object = "in", *, wallet: str = "shop") -> str:
        """Make an address whose deposits go to an account."""

        def work(wallet: GenericWallet) -> str:
            account = wallet.session().get_one(self.coin.account_model, account_id)
            return wallet.add_address(account, str(name), address(name)).address

        return self.do(wallet, work)

    def chain_says(self, *transactions: WalletTransaction) -> int:
        """Write what a chain reports, as the daemon would; returns the number of events."""
        return self.run(lambda session: apply_transactions(session, self.coin, transactions))

    def balance(self, account_id: int) -> Decimal:
        """Return what the database has, whatever any session has loaded."""
        account = self.books.account
        with self.engine.connect() as connection:
            return connection.execute(select(account.c.balance).where(account.c.id == account_id)).scalar_one()

    def unconfirmed(self, account_id: int) -> Decimal:
        """Return what is on its way to an account."""
        return self.run(lambda session: session.get_one(self.coin.account_model, account_id).get_unconfirmed_balance())

    def total(self) -> Decimal:
        with self.engine.connect() as connection:
            return sum(connection.execute(select(self.books.account.c.balance)).scalars(), Decimal(0))

    def row(self, transaction_id: int) -> Any:
        transaction = self.books.transaction
        with self.engine.connect() as connection:
            return connection.execute(select(transaction).where(transaction.c.id == transaction_id)).one()

    def rows(self, **conditions: object) -> list[Any]:
        """Return ledger rows in order, all or those with the given values."""
        transaction = self.books.transaction
        wanted = select(transaction).where(*(transaction.c[name] == value for name, value in conditions.items()))
        with self.engine.connect() as connection:
            return list(connection.execute(wanted.order_by(transaction.c.id)))

    def tables(self) -> list[Table]:
        return [*self.coin.wallet_model.metadata.sorted_tables, *outbox.sorted_tables]

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table, exactly as stored."""
        with self.engine.connect() as connection:
            return {
                table.name: sorted(
                    (tuple(row) for row in connection.execute(text(f"SELECT * FROM {table.name}"))),  # noqa: S608
                    key=repr,
                )
                for table in self.tables()
            }

    def audit(self) -> list[Finding]:
        with self.app.open_readonly_session() as session:
            return list(audit(session, self.coin))

    def broadcaster(self, backend: TwoStepBackend, *, wallet: str = "shop") -> Broadcaster:
        with self.app.open_session() as session:
            return Broadcaster(self.wallet(session, wallet), self.app.conflict_resolver, backend, coin=self.coin)

    def execute(self, sql: str, **values: object) -> None:
        """Run SQL past the library, as somebody with a database console would."""
        with self.engine.begin() as connection:
            connection.execute(text(sql), values)


@contextmanager
def open_till(url: str, **options: Any) -> Iterator[Till]:
    """Open an app on a database that has its tables."""
    app = open_app(url, **options)
    try:
        yield Till(app)
    finally:
        app.close()


def create_tables(url: str) -> None:
    """Make the tables and let go of the database."""
    app = open_app(url)
    app.create_tables()
    app.close()


@contextmanager
def without_guards(till: Till) -> Iterator[None]:
    """Take the journal's triggers away for a while: what a test plants, an intruder with enough rights could."""
    sqlite = till.engine.dialect.name == "sqlite"
    table = till.books.transaction.name
    if not sqlite:
        till.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        till.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    with till.engine.connect() as connection:
        triggers = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
    for name, _ in triggers:
        till.execute(f"DROP TRIGGER {name}")
    yield
    with till.engine.begin() as connection:
        for _, sql in triggers:
            connection.exec_driver_sql(sql)


@contextmanager
def paused(till: Till, before: str, meanwhile: Callable[[], object]) -> Iterator[None]:
    """Do something else right before the first statement of this thread that begins so."""
    thread, done = threading.get_ident(), []

    def pause(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == thread and statement.startswith(before) and not done:
            done.append(True)
            other = threading.Thread(target=meanwhile)
            other.start()
            other.join()

    event.listen(till.engine, "before_cursor_execute", pause)
    yield
    event.remove(till.engine, "before_cursor_execute", pause)
    assert done


def sqlite_file(path: Path) -> str:
    return f"sqlite:///{path}"


def table_names(engine: Engine) -> list[str]:
    return sorted(inspect(engine).get_table_names())
