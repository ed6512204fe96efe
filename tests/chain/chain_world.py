"""Books on a real database together with the network they follow; also run by child processes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.backend.base import PreparedTransaction
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.coin.validate import encode_segwit
from cryptoassets_core.configure import Configurator
from cryptoassets_core.event.outbox import event_table
from cryptoassets_core.tools.audit import audit
from cryptoassets_core.tools.broadcast import Broadcaster, BroadcastResult
from cryptoassets_core.utils.conflictresolver import ConflictResolver
from cryptoassets_simnet import Simnet

R = TypeVar("R")

#: Whole coins a simulated withdrawal transaction costs.
FEE = Decimal("0.0001")


def make_app(url: str, coin: str, backend: dict[str, object], **settings: object) -> CryptoAssetsApp:
    """Configure an app with one coin; the tables are there already."""
    app = CryptoAssetsApp()
    Configurator(app).load_from_dict(
        {"database": {"url": url}, "coins": {coin: {"network": "regtest", "backend": backend, **settings}}}
    )
    app.setup_session()
    return app


def outside(number: int, hrp: str = "bcrt") -> str:
    """Make an address of somebody else; each number another one."""
    return encode_segwit(hrp, 0, hashlib.sha256(f"payee {number}".encode()).digest()[:20])


class Books:
    """What a test asks of one coin's books, on whatever network."""

    def __init__(self, app: CryptoAssetsApp, symbol: str) -> None:
        self.app = app
        self.coin = app.coins.get(symbol)
        self.backend: Any = self.coin.backend
        self.tables = self.coin.wallet_model.books()
        self.updater = TransactionUpdater(app.conflict_resolver, self.backend, self.coin)
        #: Stands still until a test moves it, except past the pauses between attempts.
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def run(self, work: Callable[[Session], R]) -> R:
        return self.app.conflict_resolver.run(work)

    # --- What an application does ---------------------------------------------------------------------------

    def account(self, name: str = "alice", wallet: str = "shop") -> int:
        """Return the id of an account, made if need be."""

        def work(session: Session) -> int:
            owner = self.coin.wallet_model.get_or_create_by_name(wallet, session)
            return owner.get_or_create_account_by_name(name).id

        return self.run(work)

    def address(self, account: int | None = None) -> str:
        """Make a receiving address."""
        account = self.account() if account is None else account

        def work(session: Session) -> str:
            owner = session.get_one(self.coin.account_model, account)
            return owner.wallet.create_receiving_address(owner, automatic_label=True).address

        return self.run(work)

    def withdraw(self, address: str, amount: str, account: int | None = None, *, force_external: bool = False) -> int:
        """Queue a withdrawal and return its id."""
        account = self.account() if account is None else account

        def work(session: Session) -> int:
            owner = session.get_one(self.coin.account_model, account)
            return owner.wallet.send(owner, address, Decimal(amount), None, force_external).id

        return self.run(work)

    def acknowledge(self, transaction_id: int) -> None:
        def work(session: Session) -> None:
            row = session.get_one(self.coin.transaction_model, transaction_id)
            row.wallet.mark_transaction_processed(transaction_id)

        self.run(work)

    def broadcaster(
        self, wallet: str = "shop", *, backend: Any = None, resolver: ConflictResolver | None = None
    ) -> Broadcaster:
        found = self.run(lambda session: self.coin.wallet_model.get_or_create_by_name(wallet, session))
        return Broadcaster(
            found,
            resolver or self.app.conflict_resolver,
            backend or self.backend,
            coin=self.coin,
            clock=lambda: self.now,
        )

    def broadcast(self, wallet: str = "shop", **options: Any) -> BroadcastResult:
        """Send what can go now, any pause being over."""
        self.now += timedelta(hours=1)
        return self.broadcaster(wallet, **options).do_broadcasts()

    # --- What the books say ---------------------------------------------------------------------------------

    def balance(self, account: int | None = None) -> Decimal:
        account = self.account() if account is None else account
        with self.app.open_readonly_session() as session:
            return session.get_one(self.coin.account_model, account).balance

    def total(self) -> Decimal:
        """Add up all accounts, those for fees included."""
        with self.app.open_readonly_session() as session:
            return sum(session.scalars(select(self.tables.account.c.balance)), Decimal(0))

    def rows(self, *kinds: str) -> list[Any]:
        """Return the ledger's rows, oldest first."""
        transaction = self.tables.transaction
        wanted = select(transaction).order_by(transaction.c.id)
        if kinds:
            wanted = wanted.where(transaction.c.kind.in_(kinds))
        with self.app.open_readonly_session() as session:
            return list(session.execute(wanted).all())

    def row(self, transaction_id: int) -> Any:
        (found,) = [row for row in self.rows() if row.id == transaction_id]
        return found

    def withdrawal_states(self) -> list[str]:
        """Return the states of all withdrawals, oldest first."""
        return [str(row.state) for row in self.rows("withdrawal")]

    def network_rows(self, kind: str | None = None) -> list[Any]:
        network = self.tables.network_transaction
        with self.app.open_readonly_session() as session:
            found = session.execute(select(network).order_by(network.c.id)).all()
        return [row for row in found if kind is None or row.transaction_type == kind]

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what was told, by all events or by those of a name."""
        with self.app.open_readonly_session() as session:
            rows = session.execute(select(event_table.c.name, event_table.c.data).order_by(event_table.c.id)).all()
            return [json.loads(row.data) for row in rows if name in (None, row.name)]

    def confirmations_told(self, transaction_id: int) -> list[tuple[int, bool]]:
        """Return (confirmations, credited) of each event about a transaction."""
        return [
            (told["confirmations"], told["credited"])
            for told in self.events("txupdate")
            if told["transaction"] == transaction_id
        ]

    def fee_account(self, wallet: str = "shop") -> int:
        def work(session: Session) -> int:
            owner = self.coin.wallet_model.get_or_create_by_name(wallet, session)
            return owner.get_or_create_network_fee_account().id

        return self.run(work)

    def count(self, table: Any) -> int:
        with self.app.open_readonly_session() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def check(self) -> None:
        """See that the books are right in themselves."""
        with self.app.open_readonly_session() as session:
            findings = list(audit(session, self.coin))
        assert findings == []

    @contextmanager
    def counting_statements(self) -> Iterator[list[str]]:
        """Collect the SQL statements that are sent meanwhile."""
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            sent.append(statement)

        event.listen(self.app.engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(self.app.engine, "before_cursor_execute", note)


class World(Books):
    """Books that follow a simulated network."""

    def __init__(self, url: str, directory: Path, **settings: object) -> None:
        chain = directory / "chain"
        self.url = url
        self.directory = directory
        self.net = Simnet(chain, BITCOIN)
        super().__init__(make_app(url, "btc", {"name": "simnet", "path": str(chain), "fee": FEE}, **settings), "btc")

    def reopened(self, **settings: object) -> World:
        """Open the same books and network again, as another process would."""
        return World(self.url, self.directory, **settings)

    def close(self) -> None:
        self.app.close()
        self.net.close()

    def funded(self, amount: str, account: int | None = None, *, coins: int = 1) -> int:
        """Credit an account with deposits of the same size and return its id."""
        account = self.account() if account is None else account
        address = self.address(account)
        for _ in range(coins):
            self.net.pay(address, Decimal(amount))
        self.net.mine(self.coin.confirmation_count)
        self.updater.follow()
        return account

    def step(self, blocks: int = 1) -> int:
        """Mine block by block and follow each."""
        return sum(self.updater.poll() for _ in range(blocks) if self.net.mine(1))

    def paid(self, address: str) -> list[Decimal]:
        """Return what the network carries to an address, output by output."""
        with self.net.file.read() as db:
            found = db.execute(
                "SELECT amount_minor FROM coin JOIN tx USING (txid)"
                " WHERE address = ? AND state IN ('mempool', 'mined')",
                (address,),
            ).fetchall()
        return [self.net.facts.to_coins(amount) for (amount,) in found]

    def locked(self) -> set[tuple[str, int]]:
        """Return the coins that the node keeps for somebody."""
        with self.net.file.read() as db:
            return {(row["txid"], row["vout"]) for row in db.execute("SELECT txid, vout FROM lock")}

    def is_carried(self, txid: str | None) -> bool:
        """Tell whether the network has a transaction, in a block or waiting for one."""
        with self.net.file.read() as db:
            found = db.execute("SELECT 1 FROM tx WHERE txid = ? AND state IN ('mempool', 'mined')", (txid,)).fetchone()
        return found is not None


def stolen(world: World) -> PreparedTransaction:
    """Have the coin of a signed withdrawal of 2 spent by somebody else, who is in no block yet; return the rival."""
    world.funded("5")
    world.net.fund(Decimal(3))
    world.withdraw(outside(1), "2")
    world.net.fault("submit", "refuse")
    world.broadcast()
    world.net.forget_locks()
    rival = world.backend.prepare({outside(9): Decimal("4.9")})  # somebody with the same keys
    world.backend.submit(rival)
    return rival


class Observed:
    """A backend whose calls are counted, and met by a test before and after.

    :ivar calls: names of the methods that were called.
    """

    def __init__(
        self,
        backend: Any,
        *,
        before: Callable[[str], None] = lambda name: None,
        after: Callable[[str, Any], Any] = lambda name, answer: answer,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._backend = backend
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            self._before(name)
            return self._after(name, attribute(*arguments, **options))

        return call


class Crash(BaseException):
    """The process ends here: nothing in the code under test may catch it."""


class Wire:
    """Counts the moments at which a process may die, and lets it die at one of them.

    :ivar passed: the moments, in order.
    """

    def __init__(self, moment: int | None = None, *, die: Callable[[], None] | None = None) -> None:
        self.passed: list[str] = []
        self._moment = moment
        self._die = die

    def step(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self._moment:
            if self._die is not None:
                self._die()
            raise Crash(name)

    def around(self, backend: Any) -> Any:
        def after(name: str, answer: Any) -> Any:
            self.step(f"{name} done")
            return answer

        return Observed(backend, before=lambda name: self.step(f"before {name}"), after=after)


class WiredResolver(ConflictResolver):
    """Passes a wire before each database transaction, before its commit and after it."""

    def __init__(self, resolver: ConflictResolver, wire: Wire) -> None:
        super().__init__(resolver.session_factory, resolver.retries)
        self._wire = wire

    def run(self, work: Callable[[Session], R], *, isolation_level: str | None = None) -> R:
        def wired(session: Session) -> R:
            result = work(session)
            session.flush()
            self._wire.step("before commit")
            return result

        self._wire.step("before transaction")
        result = super().run(wired, isolation_level=isolation_level)
        self._wire.step("committed")
        return result


def see_credited_at_the_third_confirmation(world: Any) -> None:
    """See a deposit told of at each depth and credited when it is deep enough, whatever the backend.

    :param world: books with a network: ``pay()`` to an address, and ``step()`` a block on.
    """
    txid = world.pay(world.address(), "1.5")
    world.updater.handle_wallet_notify(txid)
    seen = [world.balance()]
    for _ in range(4):
        world.step()
        seen.append(world.balance())
    assert seen == [0, 0, 0, Decimal("1.5"), Decimal("1.5")]
    (deposit,) = world.rows()
    assert world.confirmations_told(deposit.id) == [(0, False), (1, False), (2, False), (3, True), (4, True)]
    assert world.updater.rescan() == 0
