"""Any sequence of payments, blocks, reorganisations, double spends and withdrawals, against a plain model.

The model keeps sets of transactions and replays them from scratch to answer; the simulation keeps indexes and states.
They must agree on every confirmation and every coin.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cryptoassets_core.backend.base import BlockHash, PreparedTransaction, Txid
from cryptoassets_core.coin.description import AddressRules, CoinDescription
from cryptoassets_core.errors import BroadcastDeadError, InsufficientHotWalletFunds, OutcomeUnknownError
from cryptoassets_simnet import Simnet
from cryptoassets_simnet.backend import SimnetBackend, SimnetOptions
from cryptoassets_simnet.facts import ChainFacts
from cryptoassets_simnet.store import create_file

COIN = CoinDescription(
    symbol="btc",
    title="Bitcoin",
    models="example.models",
    networks={"regtest": AddressRules(p2pkh=(0x6F,), p2sh=(0xC4,), bech32_hrp="bcrt")},
    dust=Decimal("0.00000546"),
    coinbase_maturity=3,
    uri_scheme="bitcoin",
)
CUSTOMER = "bcrt1qyakh5nc6pmwer2ydszglvcy85zwek7wrpy7e2v"
FEE_MINOR = 10_000


@dataclass(frozen=True)
class ModelTransaction:
    """What a transaction moves; coins of the outside have names of their own."""

    inputs: frozenset[tuple[str, int]]
    #: Minor units to the wallet, by output index.
    to_wallet: dict[int, int] = field(hash=False)
    own: bool = False
    coinbase: bool = False


class Model:
    """The network as a list of blocks and a mempool."""

    def __init__(self) -> None:
        self.known: dict[str, ModelTransaction] = {}
        self.blocks: list[set[str]] = []
        self.mempool: set[str] = set()

    @property
    def live(self) -> set[str]:
        return self.mempool.union(*self.blocks)

    def block_of(self, txid: str) -> int | None:
        return next((height for height, block in enumerate(self.blocks) if txid in block), None)

    def descendants(self, txid: str) -> set[str]:
        found = {txid}
        while more := {t for t, tx in self.known.items() if {p for p, _ in tx.inputs} & found} - found:
            found |= more
        return found

    def killed_at(self, txid: str) -> int | None:
        """Height at which a rival of it, or of an ancestor, was mined."""
        for height, block in enumerate(self.blocks):
            for winner in block:
                inputs = self.known[winner].inputs
                losers = {t for t, tx in self.known.items() if t != winner and tx.inputs & inputs}
                if any(txid in self.descendants(loser) for loser in losers):
                    return height
        return None

    def confirmations(self, txid: str) -> int:
        """Count as the wallet does; what was never published counts as unconfirmed."""
        mined = self.block_of(txid)
        if mined is not None:
            return len(self.blocks) - mined
        killed = self.killed_at(txid)
        return 0 if killed is None else killed - len(self.blocks)

    def acceptable(self, txid: str) -> bool:
        live = self.live
        spent = {coin for each in live for coin in self.known[each].inputs}
        parents = {parent for parent, _ in self.known[txid].inputs if parent in self.known}
        return not self.known[txid].inputs & spent and parents <= live

    def disconnect(self, depth: int) -> None:
        for _ in range(depth):
            self.mempool |= self.blocks.pop()
        for txid in [t for t in self.mempool if self.known[t].coinbase]:
            self.mempool -= self.descendants(txid)

    def balance(self, confirmations: int) -> int:
        spent = {coin for txid in self.live for coin in self.known[txid].inputs}
        total = 0
        for txid in self.live:
            depth = self.confirmations(txid)
            if depth < confirmations or (self.known[txid].coinbase and depth <= COIN.coinbase_maturity):
                continue
            total += sum(value for vout, value in self.known[txid].to_wallet.items() if (txid, vout) not in spent)
        return total


class Network(RuleBasedStateMachine):
    """Drives the simulation and the model alike."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name, "chain")
        # Named alike in every run, so that what Hypothesis found can be repeated.
        create_file(path, ChainFacts(COIN, "regtest", "0" * 32))
        self.simnet = Simnet(path, COIN)
        self.backend = SimnetBackend(COIN, "regtest", SimnetOptions(path=path))
        self.model = Model()
        self.prepared: list[PreparedTransaction] = []
        self.address = ""
        self.checkpoint: BlockHash | None = None
        self.followed: dict[Txid, int] = {}

    def teardown(self) -> None:
        self.simnet.close()
        self.backend.close()
        self.directory.cleanup()

    @initialize()
    def begin(self) -> None:
        self.address = self.backend.create_address("a")

    # --- what happens ---------------------------------------------------------------------------------------

    @rule(amounts=st.lists(st.integers(1_000, 10**9), min_size=1, max_size=3))
    def pay(self, amounts: list[int]) -> None:
        txid = self.simnet.pay_many([(self.address, Decimal(amount).scaleb(-8)) for amount in amounts])
        inputs = frozenset((f"outside {txid}", vout) for vout in range(len(amounts)))
        self.model.known[txid] = ModelTransaction(inputs, dict(enumerate(amounts)))
        self.model.mempool.add(txid)

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks: int) -> None:
        self.simnet.mine(blocks)
        self.model.blocks += [self.model.mempool, *(set() for _ in range(blocks - 1))]
        self.model.mempool = set()

    @rule(amount=st.integers(10**6, 10**9))
    def reward(self, amount: int) -> None:
        txid = self.simnet.reward(self.address, Decimal(amount).scaleb(-8))
        self.model.known[txid] = ModelTransaction(frozenset({(f"outside {txid}", 0)}), {0: amount}, coinbase=True)
        self.model.blocks.append(self.model.mempool | {txid})
        self.model.mempool = set()

    @precondition(lambda self: self.model.blocks)
    @rule(data=st.data())
    def reorg(self, data: st.DataObject) -> None:
        depth = data.draw(st.integers(1, min(len(self.model.blocks), 5)), label="depth")
        exposed = self.model.mempool.union(*self.model.blocks[-depth:])
        drop = data.draw(
            st.sets(st.sampled_from(sorted(exposed)), max_size=2) if exposed else st.just(set()), label="drop"
        )
        killed = [t for t in self.model.known if self.model.confirmations(t) < 0]
        self.simnet.reorg(depth, drop=[Txid(txid) for txid in drop])
        self.model.disconnect(depth)
        for txid in drop:
            self.model.mempool -= self.model.descendants(txid)
        self._bring_back(killed, without=drop)
        self.model.blocks += [set() for _ in range(depth + 1)]

    @precondition(lambda self: self._victims())
    @rule(data=st.data())
    def double_spend(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(self._victims()), label="victim")
        confirmations = self.model.confirmations(victim)
        killed = [t for t in self.model.known if self.model.confirmations(t) < 0]
        rival = self.simnet.double_spend(Txid(victim)).rival
        self.model.disconnect(confirmations)
        self.model.mempool -= self.model.descendants(victim)
        self.model.known[rival] = ModelTransaction(self.model.known[victim].inputs, {})
        self.model.mempool.add(rival)
        if confirmations:
            self._bring_back(killed, without=set())
            self.model.mempool.remove(rival)
            self.model.blocks += [{rival}, *(set() for _ in range(confirmations))]

    def _victims(self) -> list[str]:
        def possible(txid: str) -> bool:
            tx = self.model.known[txid]
            is_deposit = bool(tx.to_wallet) and not tx.own and not tx.coinbase
            return is_deposit and (txid in self.model.live or self.model.acceptable(txid))

        return [txid for txid in self.model.known if possible(txid)]

    def _bring_back(self, killed: list[str], *, without: set[str]) -> None:
        for txid in killed:
            if self.model.killed_at(txid) is None and txid not in without and self.model.acceptable(txid):
                self.model.mempool.add(txid)

    @rule(amount=st.integers(1_000, 2 * 10**9))
    def prepare(self, amount: int) -> None:
        with contextlib.suppress(InsufficientHotWalletFunds):
            prepared = self.backend.prepare({CUSTOMER: Decimal(amount).scaleb(-8)})
            # What can never confirm any more has given its other coins back.
            alive = [other for other in self.prepared if self.model.confirmations(other.txid) >= 0]
            kept = {coin for other in alive for coin in other.inputs}
            assert not kept & set(prepared.inputs), "a coin that is held was chosen again"
            for spent in prepared.inputs:
                self._check_spendable(spent.txid)
            self.backend.hold(prepared)
            self.prepared.append(prepared)

    def _check_spendable(self, txid: Txid) -> None:
        tx = self.model.known[txid]
        depth = self.model.confirmations(txid)
        assert depth > (COIN.coinbase_maturity if tx.coinbase else 0) or (tx.own and txid in self.model.mempool)

    @precondition(lambda self: self.prepared)
    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        prepared = data.draw(st.sampled_from(self.prepared), label="prepared")
        txid = prepared.txid
        if txid not in self.model.known:
            inputs = frozenset((spent.txid, spent.vout) for spent in prepared.inputs)
            total = sum(self.model.known[spent.txid].to_wallet[spent.vout] for spent in prepared.inputs)
            paid = int(self._paid(prepared).scaleb(8))
            fee = int(prepared.fee.scaleb(8))
            assert fee >= FEE_MINOR
            change = total - paid - fee
            self.model.known[txid] = ModelTransaction(inputs, {1: change} if change else {}, own=True)
            fresh = True
        else:
            fresh = False
        if txid in self.model.live:
            expected = "taken"
        elif self.model.killed_at(txid) is not None:
            expected = "dead"
        else:
            expected = "taken" if self.model.acceptable(txid) else "unknown"
        assert self._submit(prepared) == expected
        if expected == "taken" and txid not in self.model.live:
            self.model.mempool.add(txid)
        elif fresh and expected != "taken":
            del self.model.known[txid]

    def _paid(self, prepared: PreparedTransaction) -> Decimal:
        # The recipient's output is the first; what it holds is the one thing the model takes from the bytes.
        raw = bytes.fromhex(prepared.raw).decode()
        amount_minor = int(raw.split(f'"{CUSTOMER}",')[1].split("]")[0])
        return Decimal(amount_minor).scaleb(-8)

    def _submit(self, prepared: PreparedTransaction) -> str:
        try:
            self.backend.submit(prepared)
        except BroadcastDeadError:
            return "dead"
        except OutcomeUnknownError:
            return "unknown"
        return "taken"

    # --- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def confirmations_agree(self) -> None:
        known = [Txid(txid) for txid in self.model.known]
        seen = self.backend.get_transactions(known)
        rivals = {t for t, tx in self.model.known.items() if not tx.to_wallet and not tx.own}
        assert {txid: each.confirmations for txid, each in seen.items()} == {
            txid: self.model.confirmations(txid) for txid in known if txid not in rivals
        }

    @invariant()
    def coins_are_conserved(self) -> None:
        for confirmations in (0, 1, 3):
            balance = self.backend.get_backend_balance(confirmations)
            assert int(balance.scaleb(8)) == self.model.balance(confirmations)

    @invariant()
    def every_transaction_balances(self) -> None:
        with self.simnet.file.read() as db:
            wrong = db.execute(
                "SELECT tx.txid FROM tx WHERE"
                " (SELECT sum(amount_minor) FROM coin WHERE coin.txid = tx.txid) + coalesce(fee_minor, 0) <>"
                " (SELECT sum(amount_minor) FROM input JOIN coin ON coin.txid = prev_txid AND coin.vout = prev_vout"
                "  WHERE input.txid = tx.txid)"
            ).fetchall()
        assert wrong == []

    @invariant()
    def following_by_checkpoint_misses_nothing(self) -> None:
        """Whoever polls, and looks up by name what vanished, knows as much as who asks for all."""
        changes = self.backend.list_since(self.checkpoint, depth=2)
        self.checkpoint = changes.checkpoint
        listed = {each.txid: each.confirmations for each in changes.transactions}
        open_ones = [txid for txid, seen in self.followed.items() if seen < 2 and txid not in listed]
        listed |= {txid: each.confirmations for txid, each in self.backend.get_transactions(open_ones).items()}
        self.followed |= listed
        for each in self.backend.list_since(None, depth=1).transactions:
            is_open = each.confirmations < 2
            assert (self.followed[each.txid] < 2) == is_open, each
            assert not is_open or self.followed[each.txid] == each.confirmations


TestNetwork = Network.TestCase
TestNetwork.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
