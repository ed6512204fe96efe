"""Another user of the node's wallet spends the coins of a signed withdrawal before it is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from commands import ask
from fault_proxy import Fault
from fault_stage import Trial

#: Blocks after which a double spend cannot be reorganised away any more, as far as the books are concerned.
FINAL = 15

#: What the thief pays the network, whole coins.
FEE = Decimal("0.001")


def rival(trial: Trial, raw: str) -> str:
    """Sign a transaction that takes all coins of another one, and note what the wallet loses by it."""
    decoded: Any = trial.node.rpc("decoderawtransaction", raw)
    taken = [{"txid": spent["txid"], "vout": spent["vout"]} for spent in decoded["vin"]]
    worth = sum((trial.own("gettxout", coin["txid"], coin["vout"])["value"] for coin in taken), Decimal(0))
    unsigned = trial.node.rpc("createrawtransaction", taken, {trial.network.outside_address(): worth - FEE})
    trial.lost += worth
    return str(trial.own("signrawtransactionwithwallet", unsigned)["hex"])


def steal_before_publication(trial: Trial, publish: Callable[[str], object]) -> None:
    """Queue a withdrawal, and have its coins stolen in the moment in which it is to be published."""

    def steal(calls: Any) -> None:
        publish(rival(trial, calls[0]["params"][0]))

    trap = trial.proxy.trap("sendrawtransaction", Fault.NONE, arrived=steal)
    trial.withdraw()
    trial.until(trap.sprung.is_set, "the coins are stolen")


def robbed(trial: Trial) -> Any:
    """Return the broadcast whose coins were stolen."""
    return trial.broadcasts()[0]


def told(trial: Trial, command: str, *options: str) -> list[Any]:
    """Return what a command tells about the coin, beside the daemon."""
    done = ask(f"cryptoassets {command}", trial.stage.config_file, *options, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_what_operators_are_told(trial: Trial) -> None:
    """See that everybody is told of the theft, to the smallest unit, while the wallet's queue goes on."""
    dead = robbed(trial)
    (listed,) = [each for each in told(trial, "broadcasts list") if each["id"] == dead.id]
    assert (listed["conflicted"], listed["reason"], listed["next_attempt_at"] is not None) == (True, dead.reason, True)
    (withdrawal,) = told(trial, "withdrawals list", "--open")
    assert (withdrawal["id"], withdrawal["conflicted"], withdrawal["txid"]) == (trial.asked[0].id, True, dead.txid)
    (status,) = told(trial, "status")
    assert (status["daemon"], status["healthy"], status["coins"][0]["conflicted"]) == (True, False, 1)
    (found,) = told(trial, "reconcile")
    named = {(each["cause"], Decimal(each["amount"])) for each in found["differences"]}
    reserved = trial.asked[0].amount + dead.fee
    assert named == {("conflicted broadcast", reserved), ("unknown payment", -trial.lost)}
    assert (Decimal(found["difference"]), Decimal(found["unexplained"])) == (reserved - trial.lost, 0)


def test_withdrawal_whose_coins_were_stolen_in_a_block_is_paid_from_others_and_keeps_nobody_waiting(
    trial: Trial,
) -> None:
    trial.start()
    trial.fund("1", "1", "1")

    def mine(raw: str) -> None:
        trial.node.rpc("generateblock", trial.network.outside_address(), [raw])

    steal_before_publication(trial, mine)
    trial.until(lambda: robbed(trial).state == "dead", "it is dead as the chain is now")
    other = trial.withdraw()
    trial.until(lambda: trial.state(other) == "broadcasted", "the next one leaves")
    check_what_operators_are_told(trial)
    trial.network.mine(FINAL - 2)
    trial.until(lambda: f"{FINAL - 1} blocks deep" in robbed(trial).reason, "it waits until that is final")
    assert robbed(trial).tracked
    trial.network.mine()
    trial.until(lambda: not robbed(trial).tracked, "it is built anew")
    trial.settle()
    assert [row.state for row in trial.broadcasts()] == ["dead", "live", "live"]


def test_withdrawal_whose_coins_were_stolen_in_the_mempool_waits_and_is_paid_from_others(trial: Trial) -> None:
    """As long as the thief's transaction may still vanish, another payment could be the second one."""
    trial.start()
    trial.fund("1", "1", "1")
    steal_before_publication(trial, lambda raw: trial.node.rpc("sendrawtransaction", raw))
    trial.until(lambda: robbed(trial).attempts >= 2, "it was tried again")
    assert robbed(trial).state == "prepared"
    trial.network.mine(FINAL)
    trial.until(lambda: robbed(trial).state == "dead" and not robbed(trial).tracked, "it is built anew")
    trial.settle()
    assert [row.state for row in trial.broadcasts()] == ["dead", "live"]
