"""The Python API: drive a simulated network from an application's tests or from a demo."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self

from cryptoassets_core.amounts import check_amount
from cryptoassets_core.backend.base import BlockHash, Txid, WalletTransaction
from cryptoassets_core.coin.description import CoinDescription, Network
from cryptoassets_core.coin.validate import canonical_address
from cryptoassets_simnet import chain, faults, listing, transactions, wallet
from cryptoassets_simnet.chain import DoubleSpend, Reorganisation
from cryptoassets_simnet.errors import SimnetError
from cryptoassets_simnet.facts import ChainFacts
from cryptoassets_simnet.faults import Fault
from cryptoassets_simnet.store import ChainFile
from cryptoassets_simnet.transactions import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class SimnetStatus:
    """A simulated network at one moment."""

    symbol: str
    network: Network
    height: int
    tip: BlockHash
    #: Transactions that wait for a block, the wallet's and others.
    mempool: int
    #: Whole coins of the wallet, unconfirmed ones included.
    balance: Decimal
    #: Whole coins of the wallet that are in a block.
    confirmed_balance: Decimal
    #: The simulated node refuses every call.
    down: bool
    faults: tuple[Fault, ...]


class Simnet:
    """One simulated network of one coin, kept in a file. SIMULATION: no real coin ever moves.

    The file may be in use by a daemon, an application and a test at once. Usable as a context manager.

    Every method raises :py:class:`~cryptoassets_simnet.errors.SimnetError` with one sentence when it refuses, and
    amounts are refused as by :py:func:`cryptoassets_core.amounts.check_amount`.
    """

    def __init__(self, path: str | os.PathLike[str], coin: CoinDescription, *, network: Network = "regtest") -> None:
        """Open the file, making it first where there is none.

        :raises ChainMismatchError: the file simulates another coin or network.
        """
        self.file = ChainFile.open_or_create(path, coin, network=network)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Simnet:
        """Open a file that exists, for the coin and network it was made for.

        :raises ChainFileError: there is none.
        """
        simnet = cls.__new__(cls)
        simnet.file = ChainFile(path)
        return simnet

    @property
    def facts(self) -> ChainFacts:
        """What is simulated."""
        return self.file.facts

    def create_address(self, label: str = "") -> str:
        """Make a receiving address of the wallet, as the backend does."""
        with self.file.write() as db:
            return wallet.new_address(db, self.facts, label)

    def pay(self, address: str, amount: Decimal) -> Txid:
        """Deposit coins from outside, unconfirmed until a block is mined.

        :param address: one of the wallet's.
        :param amount: whole coins; dust is carried too, as a miner may do.
        """
        return self.pay_many([(address, amount)])

    def pay_many(self, outputs: Sequence[tuple[str, Decimal]]) -> Txid:
        """Deposit from outside with several outputs in one transaction; an address may have more than one."""
        if not outputs:
            raise SimnetError("a deposit needs at least one output: an address and an amount")
        with self.file.write() as db:
            return transactions.pay_from_outside(
                db, self.facts, [self._own_output(address, amount) for address, amount in outputs]
            )

    def fund(self, amount: Decimal) -> Txid:
        """Top up the hot wallet: pay a new address that belongs to no account, and mine it."""
        with self.file.write() as db:
            output = Output(wallet.new_address(db, self.facts, "hot-wallet"), self._minor(amount))
            txid = transactions.pay_from_outside(db, self.facts, [output])
            chain.mine(db, self.facts, 1)
            return txid

    def mine(self, blocks: int = 1) -> tuple[BlockHash, ...]:
        """Add blocks, the whole mempool in the first of them."""
        with self.file.write() as db:
            return chain.mine(db, self.facts, blocks)

    def reward(self, address: str, amount: Decimal = Decimal(50)) -> Txid:
        """Mine one block whose reward goes to an address of the wallet, spendable when mature."""
        with self.file.write() as db:
            return chain.reward(db, self.facts, self._own_output(address, amount))

    def reorg(self, depth: int, *, drop: Collection[Txid] = ()) -> Reorganisation:
        """Replace the last blocks by a branch of empty ones that is one block longer.

        :param drop: transactions that the network forgets; the others wait in the mempool again.
        """
        with self.file.write() as db:
            return chain.reorganise(db, self.facts, depth, drop=drop)

    def double_spend(self, txid: Txid) -> DoubleSpend:
        """Replace a deposit by a conflicting transaction that does not pay us.

        An unconfirmed deposit is only replaced in the mempool: it looks alive until the rival is mined, as it does to
        a real daemon. A confirmed one is reorganised away, and the rival is confirmed at once.
        """
        with self.file.write() as db:
            return chain.double_spend(db, self.facts, txid, thief=wallet.foreign_address(db, self.facts))

    def balance(self, confirmations: int = 0) -> Decimal:
        """Return the whole coins that the wallet holds with at least so many confirmations."""
        with self.file.read() as db:
            return self.facts.to_coins(wallet.balance_minor(db, self.facts, confirmations))

    def transactions(self, limit: int = 10) -> list[WalletTransaction]:
        """Return the wallet's newest transactions, newest first."""
        with self.file.read() as db:
            return listing.recent_transactions(db, self.facts, limit)

    def status(self) -> SimnetStatus:
        """Return what there is to know at a glance."""
        with self.file.read() as db:
            tip = chain.get_tip(db)
            (waiting,) = db.execute("SELECT count(*) FROM tx WHERE state = 'mempool'").fetchone()
            return SimnetStatus(
                symbol=self.facts.coin.symbol,
                network=self.facts.network,
                height=tip.height,
                tip=tip.hash,
                mempool=waiting,
                balance=self.facts.to_coins(wallet.balance_minor(db, self.facts, 0)),
                confirmed_balance=self.facts.to_coins(wallet.balance_minor(db, self.facts, 1)),
                down=faults.is_down(db),
                faults=faults.armed(db),
            )

    def fault(self, method: str, kind: str, *, count: int = 1) -> None:
        """Make the next calls of a backend method fail, in every process.

        :param kind: ``refuse``, ``timeout-before`` or ``timeout-after``.
        """
        with self.file.write() as db:
            faults.arm(db, method, kind, count=count)

    def clear_faults(self) -> None:
        """Disarm every fault; the node stays down if it is."""
        with self.file.write() as db:
            faults.clear(db)

    def set_down(self, down: bool) -> None:
        """Switch the simulated node off or on."""
        with self.file.write() as db:
            faults.set_down(db, down)

    def forget_locks(self) -> None:
        """Forget the coins held for transactions that were not submitted, as a daemon does when it restarts."""
        with self.file.write() as db:
            wallet.forget_locks(db)

    def close(self) -> None:
        """Let go of the file; the chain stays in it."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _minor(self, amount: Decimal) -> int:
        return self.facts.to_minor(check_amount(amount, self.facts.coin.decimals))

    def _own_output(self, address: str, amount: Decimal) -> Output:
        return Output(canonical_address(address, self.facts.rules), self._minor(amount))
