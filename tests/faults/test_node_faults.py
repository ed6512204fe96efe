"""The node hangs in a call, or dies after it: what it accepted is paid once, and what it forgot is sent again."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

from fault_proxy import Fault
from fault_stage import USER, Trial


def test_node_that_hangs_during_a_call_and_does_it_later_pays_once(trial: Trial) -> None:
    """What a hanging node was asked is done when it goes on, long after the daemon gave up."""
    trial.start()
    trial.fund("1", "1", "1")
    for method in ("fundrawtransaction", "signrawtransactionwithwallet", "sendrawtransaction"):
        trap = trial.proxy.trap(method, Fault.NONE, arrived=lambda _calls: trial.node.pause())
        payee = trial.network.outside_address()
        try:
            trial.withdraw(address=payee)
            trial.until(lambda: any(row.attempts for row in trial.broadcasts()), f"the daemon gives up {method}")
        finally:
            trial.node.resume()
        trial.until(trap.sprung.is_set, f"the node does {method}")
        trial.until(trial.is_left, f"the withdrawal leaves after {method} hung")
    trial.settle()


def test_node_that_hangs_during_a_listing_misses_no_deposit(trial: Trial) -> None:
    trial.start()
    address = trial.application.new_address(USER)
    trap = trial.proxy.trap("listsinceblock", Fault.NONE, arrived=lambda _calls: trial.node.pause())
    try:
        txid = trial.network.pay(address, Decimal("1.5"))
        trial.network.mine(3)
        trial.stage.wait_until(lambda: _problem(trial) is not None, "the status page shows that the node hangs")
    finally:
        trial.node.resume()
    trial.until(trap.sprung.is_set, "the node answers in the end")
    trial.stage.wait_for_update(txid, confirmations=3)
    assert trial.application.balance(USER) == Decimal("1.5")
    trial.settle()


def test_node_killed_after_it_accepted_pays_once(trial: Trial) -> None:
    """It comes back with an empty mempool; a node that remembers its wallet's transactions publishes them again."""
    trial.start()
    trial.fund("1", "1", "1", "1")

    def kill(_calls: Any) -> None:
        trial.node.kill()

    for told, republishes in ((False, False), (False, True), (True, True)):
        # What is not flushed the node forgets when it is killed, and the whole chain with it.
        trial.node.rpc("gettxoutsetinfo")
        hooks: dict[str, Any] = {"told" if told else "answered": kill}
        trap = trial.proxy.trap("sendrawtransaction", Fault.NONE if told else Fault.REPLY_LOST, **hooks)
        trial.withdraw()
        trial.until(trap.sprung.is_set, "the node has accepted the transaction and is dead")
        (trial.node.datadir / "regtest" / "mempool.dat").unlink(missing_ok=True)
        trial.node.start(options=["-persistmempool=0", f"-walletbroadcast={int(republishes)}"])
        trial.withdraw()
        trial.settle()


def exchange(trial: Trial, other: Path) -> None:
    """Put another node in the place of this one, and keep this one in that one's place."""
    trial.node.stop()
    aside = other.with_name("aside")
    for source, target in ((trial.node.datadir, aside), (other, trial.node.datadir), (aside, other)):
        shutil.move(source, target)
    trial.node.start()


def test_node_exchanged_for_one_that_is_behind_does_not_spend_coins_again(trial: Trial, tmp_path: Path) -> None:
    """It offers the coins of what is confirmed elsewhere, and takes what spends them (BTCPay #6540)."""
    trial.start()
    trial.fund("1")
    # Before there are two nodes, for both would make the same ones.
    payees = [trial.network.outside_address() for _ in range(2)]
    trial.node.stop()
    behind = tmp_path / "behind"
    shutil.copytree(trial.node.datadir, behind)
    trial.node.start()
    trial.withdraw(address=payees[0])
    trial.until(trial.is_left, "the withdrawal leaves")
    trial.network.mine(2)
    trial.until(lambda: trial.broadcasts()[0].confirmations == 2, "it is confirmed")
    exchange(trial, behind)
    trial.withdraw(address=payees[1])
    trial.until(lambda: len(trial.broadcasts()) == 2 and trial.broadcasts()[1].attempts >= 2, "the second one waits")
    assert trial.broadcasts()[1].state == "collected"
    exchange(trial, behind)
    trial.settle()
    assert [row.state for row in trial.broadcasts()] == ["live", "live"]


def _problem(trial: Trial) -> str | None:
    report = trial.daemon.report()
    problem: str | None = report["coins"][0]["problem"] if report else None
    return problem
