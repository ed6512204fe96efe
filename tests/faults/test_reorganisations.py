"""Blocks are taken back, before and after crediting, with and without a double spend, with the daemon up and down."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from fault_stage import USER, Trial

#: Confirmations at which a deposit is credited.
CREDITED_AT = 3

#: So many blocks are taken back.
DEPTHS = (1, 2, 3, 6, 20)

#: Blocks after which the books take a conflict with the chain to be final.
FINAL = 15

#: What the outsider's transactions pay the network, whole coins.
FEE = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A deposit in blocks that will be taken back."""

    txid: str
    amount: Decimal
    raw: str
    #: Spends the same coin and pays nobody of ours; signed, not published.
    rival: str


def deposit(trial: Trial, coin: Any) -> Doubtful:
    """Publish a deposit of a whole coin of somebody outside; it is in no block yet."""
    spent = [{"txid": coin["txid"], "vout": coin["vout"]}]
    amount = coin["amount"] - FEE

    def sign(address: str) -> str:
        unsigned = trial.node.rpc("createrawtransaction", spent, {address: amount})
        return str(trial.outsiders("signrawtransactionwithwallet", unsigned)["hex"])

    # Both now: what is spent by one the node would not sign for the other.
    raw, rival = sign(trial.application.new_address(USER)), sign(trial.network.outside_address())
    txid = str(trial.node.rpc("sendrawtransaction", raw))
    return Doubtful(txid, amount, raw, rival)


def take_back(trial: Trial, blocks: int, *, died: list[Doubtful], alive: list[Doubtful]) -> None:
    """Replace the last blocks by one more than they were; the first of them holds the double spends."""
    height = int(str(trial.node.rpc("getblockcount")))
    trial.node.rpc("invalidateblock", trial.node.rpc("getblockhash", height - blocks + 1))
    trial.node.rpc("generateblock", trial.network.outside_address(), [one.rival for one in died])
    for one in alive:
        # Of what was more than ten blocks deep the node's mempool takes nothing back; whoever paid it sends it again.
        trial.node.rpc("sendrawtransaction", one.raw)
    trial.network.mine(blocks)
    trial.node.sync()


@pytest.mark.parametrize("up", [True, False], ids=["daemon up", "daemon down"])
def test_reorganisation_takes_what_died_and_nothing_else(trial: Trial, up: bool) -> None:
    trial.start()
    trial.fund("2", "2")
    for blocks in DEPTHS:
        trial.network.mine(max(DEPTHS))  # so that each one stays clear of what came before
        reorganise(trial, blocks, up=up)


def reorganise(trial: Trial, blocks: int, *, up: bool) -> None:
    """Take blocks back with deposits and a withdrawal in them, some of which die, and see what becomes of each."""
    before = trial.application.balance(USER)
    coins: Any = trial.outsiders("listunspent", 1, 9999999, [], True, {"minimumAmount": 10})
    # Credited and then taken back, where the reorganisation is as deep as that.
    deep = [deposit(trial, coin) for coin in coins[:2]] if blocks >= CREDITED_AT else []
    trial.network.mine(blocks - 1)
    shallow = [deposit(trial, coin) for coin in coins[2:4]]
    trial.network.mine()
    payment = trial.withdraw("0.5")
    trial.until(trial.is_left, "the withdrawal leaves")
    trial.until(lambda: all(trial.application.updates.of(one.txid) for one in [*deep, *shallow]), "all are seen")
    for one in deep:
        trial.stage.wait_for(lambda update, one=one: update.txid == one.txid and update.credited, "the credit")
    if not up:
        trial.daemon.kill()
    died = [*deep[:1], *shallow[:1]]
    alive = [one for one in [*deep, *shallow] if one not in died]
    take_back(trial, blocks, died=died, alive=alive)
    if not up:
        trial.start()
    trial.network.mine(CREDITED_AT)
    expected = before - payment.amount + sum((one.amount for one in alive), Decimal(0))
    trial.until(lambda: trial.application.balance(USER) == expected, f"{USER} has {expected} after {blocks} blocks")
    trial.settle()


def test_deposit_whose_coin_was_paid_out_already_is_reversed_and_the_payee_paid_from_others(trial: Trial) -> None:
    """The withdrawal spent a coin that then never existed: with the deposit the withdrawal's transaction died."""
    trial.start()
    coins: Any = trial.outsiders("listunspent", 1, 9999999, [], True, {"minimumAmount": 10})
    trial.network.mine(10)  # so that each of them is mature in the shorter chain, too
    bad = deposit(trial, coins[0])
    trial.network.mine(CREDITED_AT)
    trial.stage.wait_for(lambda update: update.txid == bad.txid and update.credited, "the credit")
    payment = trial.withdraw("0.5")
    trial.until(trial.is_left, "the withdrawal leaves")
    take_back(trial, 2 * CREDITED_AT, died=[bad], alive=[])
    trial.until(lambda: trial.broadcasts()[0].state == "dead", "the withdrawal is dead")
    trial.network.mine(FINAL)
    trial.until(lambda: not trial.is_left(), "the withdrawal is queued again")
    assert trial.application.balance(USER) == -payment.amount  # which holds it until that is made up for
    trial.fund("1")
    trial.settle()
    assert [row.state for row in trial.broadcasts()] == ["dead", "live"]
