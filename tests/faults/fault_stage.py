"""A stage on which calls get lost and everybody dies, and the reckoning that follows: the chain itself is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from fault_proxy import FaultProxy
from litecoind_network import HOT_WALLET, OUTSIDE, LitecoindNetwork
from ports import Ports
from processes import Daemon
from sqlalchemy import select
from stage import Stage

from cryptoassets_core.ledger.states import NetworkTransactionType
from cryptoassets_core.testing.apps import make_app
from cryptoassets_core.tools.audit import audit

HERE: Final = Path(__file__).parent

#: How long anything may take: far more than it does, for machines that are busy.
PATIENCE_SECONDS: Final = 90.0

USER: Final = "alice"


def create_tables(url: str) -> None:
    """Make the tables in an empty database."""
    make_app(url, {"ltc": {"network": "regtest"}}).close()


class ReadyStage(Stage):
    """A stage on books that are there already."""

    def make_tables(self) -> str:
        return ""


class FaultyNetwork(LitecoindNetwork):
    """The real node, reached through a proxy."""

    template = HERE / "litecoind.yaml"

    def __enter__(self) -> Self:
        super().__enter__()
        self.proxy = FaultProxy(self.node.port)
        self.proxy.__enter__()
        url = self.node.url(HOT_WALLET).replace(f":{self.node.port}/", f":{self.proxy.port}/")
        self._settings = {**self._settings, "node_url": url}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.proxy.__exit__(kind, error, trace)
        finally:
            super().__exit__(kind, error, trace)


class ImpatientDaemon(Daemon):
    """The helper daemon as ``impatient_daemon.py`` runs it."""

    command = "impatient_daemon.py"

    def start(self, *, die_at: int | None = None) -> None:
        """Start the process, to be killed by itself at a moment of its first broadcast if one is given."""
        moment = {} if die_at is None else {"DIE_AT": str(die_at)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / self.command), str(self.config_file)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **moment},
            )

    def shoot(self) -> None:
        """Kill the process at once, from any thread; :py:meth:`bury` is still to come."""
        self._running().kill()

    def bury(self) -> None:
        """Wait for the end of a process that is killed by somebody."""
        try:
            self._running().wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon should have died, and lives; its log:\n{self.log()}") from None
        self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None


@dataclass(frozen=True, slots=True)
class Asked:
    """A withdrawal that was asked for."""

    id: int
    address: str
    amount: Decimal


class Trial:
    """Everything under test, and what is asked of it.

    :ivar daemon: the first helper daemon.
    :ivar lost: whole coins that left the node's wallet without the books, by somebody else's doing.
    """

    def __init__(self, network: FaultyNetwork, directory: Path, ports: Ports) -> None:
        self.network = network
        self.node = network.node
        self.proxy = network.proxy
        self.stage = ReadyStage(network, directory, ports, broadcast_period=0.3)
        self.daemon = ImpatientDaemon(
            self.stage.config_file, log_file=directory / "daemon.log", status_port=self.stage.daemon.status_port
        )
        self.stage.daemon = self.daemon
        self.application = self.stage.application
        self.asked: list[Asked] = []
        self.lost = Decimal(0)
        self._directory = directory
        self._ports = ports
        self._others: list[ImpatientDaemon] = []

    def close(self) -> None:
        for other in self._others:
            other.close()
        self.stage.__exit__(None, None, None)

    # --- What a test does -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the first daemon and return when it is ready."""
        self.stage.start_daemon()

    def second_daemon(self) -> ImpatientDaemon:
        """Make another daemon on the same database and node, with ports of its own."""
        settings = yaml.safe_load(self.stage.config_file.read_text(encoding="utf-8"))
        settings["status_server"]["port"] = self._ports.lend()
        settings["coins"]["ltc"]["backend"]["walletnotify"]["port"] = self._ports.lend()
        config_file = self._directory / "second.yaml"
        config_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        other = ImpatientDaemon(
            config_file, log_file=self._directory / "second.log", status_port=settings["status_server"]["port"]
        )
        self._others.append(other)
        return other

    def fund(self, *amounts: str) -> None:
        """Have deposits of so many whole coins credited."""
        txids = [self.network.pay(self.application.new_address(USER), Decimal(amount)) for amount in amounts]
        self.network.mine(3)
        for txid in txids:
            self.stage.wait_for_update(txid, confirmations=3)

    def withdraw(self, amount: str = "0.1", *, address: str | None = None) -> Asked:
        """Ask for a withdrawal to a new address of somebody outside."""
        address = address or self.network.outside_address()
        asked = Asked(self.application.send(USER, address, Decimal(amount)), address, Decimal(amount))
        self.asked.append(asked)
        return asked

    def reconnect(self) -> None:
        """Have the application forget connections that a stop of the database has closed; the daemon must notice."""
        if self.application.app.engine is not None:
            self.application.app.engine.dispose()

    def until(self, fact: Callable[[], bool], what: str) -> None:
        """Wait for a fact, whoever is dead meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not fact():
            if time.monotonic() > deadline:
                raise AssertionError(f"this did not happen within {PATIENCE_SECONDS:g} seconds: {what}\n{self.story()}")
            time.sleep(0.05)

    def own(self, method: str, *params: object) -> Any:
        """Ask the node as a user of the wallet that the daemon uses."""
        return self.node.rpc(method, *params, wallet=HOT_WALLET)

    def outsiders(self, method: str, *params: object) -> Any:
        """Ask the node as somebody outside."""
        return self.node.rpc(method, *params, wallet=OUTSIDE)

    # --- What the books say ---------------------------------------------------------------------------------

    def broadcasts(self) -> list[Any]:
        """Return the broadcasts in the books, oldest first."""
        network = self.application.coin.wallet_model.books().network_transaction
        with self.application.app.open_readonly_session() as session:
            rows = session.execute(
                select(network)
                .where(network.c.transaction_type == NetworkTransactionType.BROADCAST)
                .order_by(network.c.id)
            )
            return list(rows.all())

    def state(self, asked: Asked) -> str:
        return self.application.transaction_state(asked.id)

    def is_left(self) -> bool:
        """Tell whether no withdrawal waits any more."""
        return all(self.state(asked) != "pending" for asked in self.asked)

    def story(self) -> str:
        """Return what helps to understand a failure."""
        lines = [f"  {row._asdict() | {'raw': '...'}}" for row in self.broadcasts()]
        deposits = [f"  {update}" for update in self.application.updates.all() if update.transaction_type == "deposit"]
        states = [f"  {self.state(asked)} {asked}" for asked in self.asked]
        logs = [line for log in sorted(self._directory.glob("*.log")) for line in log.read_text().splitlines()[-80:]]
        return "\n".join(
            ["Broadcasts:", *lines, "Withdrawals:", *states[-20:], "Deposits:", *deposits[-40:], "Logs:", *logs]
        )

    # --- The reckoning --------------------------------------------------------------------------------------

    def settle(self) -> None:
        """See that all ends well with nobody's help: each is paid once or refunded, and books and node agree."""
        try:
            self.until(self.is_left, "every withdrawal is broadcast or refunded")
            self.node.sync()
            self.network.mine(3)
            self.until(self._is_deep, "all broadcasts have three confirmations in the books, or are dead for good")
            self.until(self._is_told, "the application has heard of all three confirmations")
            self._check_payments()
            self._check_books()
        except AssertionError as error:
            error.add_note(self.story())
            raise

    def check_nothing_is_locked(self) -> None:
        """See that all coins of the node's wallet may be spent: no broadcast is under way."""
        assert self.own("listlockunspent") == []

    def _is_deep(self) -> bool:
        # What died and could come back is followed, and its withdrawals wait.
        return all(not row.tracked if row.state == "dead" else row.confirmations >= 3 for row in self.broadcasts())

    def _is_told(self) -> bool:
        told = {
            (update.transaction, update.txid)
            for update in self.application.updates.all()
            if update.confirmations >= 3 and update.credited
        }
        txids = {row.id: row.txid for row in self.broadcasts()}
        transaction = self.application.coin.wallet_model.books().transaction
        with self.application.app.open_readonly_session() as session:
            rows = session.execute(
                select(transaction.c.id, transaction.c.network_transaction_id).where(
                    transaction.c.id.in_([asked.id for asked in self.asked]),
                    transaction.c.network_transaction_id.is_not(None),
                )
            )
            return all((row.id, txids[row.network_transaction_id]) in told for row in rows)

    def _check_payments(self) -> None:
        wanted = {
            asked.address: [] if self.state(asked) in ("failed", "cancelled") else [asked.amount]
            for asked in self.asked
        }
        paid: dict[str, list[Decimal]] = {address: [] for address in wanted}
        for address, amount in self.outputs_on_chain():
            if address in paid:
                paid[address].append(amount)
        assert paid == wanted
        assert self.node.rpc("getrawmempool") == []

    def outputs_on_chain(self) -> list[tuple[str, Decimal]]:
        """Read who is paid what in the chain, block by block, from the first that is not an empty one."""
        block: Any = self.node.rpc("getblock", self.node.rpc("getbestblockhash"), 2)
        outputs = []
        while block["height"] > 101:
            for transaction in block["tx"]:
                for output in transaction["vout"]:
                    for address in output["scriptPubKey"].get("addresses", []):
                        outputs.append((address, output["value"]))
            block = self.node.rpc("getblock", block["previousblockhash"], 2)
        return outputs

    def _check_books(self) -> None:
        with self.application.app.open_readonly_session() as session:
            assert list(audit(session, self.application.coin)) == []
        ledger = sum(self.application.balances().values(), Decimal(0))
        assert ledger - self.lost == self.network.balance()
