"""A scan in a process of its own, beside the running daemon: killed, interrupted, and taken up again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import IO

from fault_stage import HERE, PATIENCE_SECONDS, USER, Trial
from slow_scan import PART
from sqlalchemy.orm import Session

#: Payments that the books lack; each is a network transaction.
MISSED = 40

AMOUNT = Decimal("0.01")


class Scan:
    """A running scan."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._told: IO[str] = process.stdout  # type: ignore[assignment]
        #: How far it was when it began.
        self.began = self._step()["done"]

    def _step(self) -> dict[str, int]:
        line = self._told.readline()
        assert line, "the scan has ended"
        step: dict[str, int] = json.loads(line)
        return step

    def is_past(self, done: int) -> int:
        """Wait until so many transactions are looked at, and return how many are."""
        while (step := self._step())["done"] < done:
            pass
        return step["done"]

    def end(self) -> tuple[int, dict[str, int], str]:
        """Wait for its end, and return its exit code, the last line of its output and what it says to people."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, json.loads((out.splitlines() or ["{}"])[-1]), err


@contextmanager
def scanning(trial: Trial) -> Iterator[Scan]:
    command = [sys.executable, str(HERE / "slow_scan.py"), str(trial.stage.config_file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Scan(process)
        finally:
            process.kill()


def adopt(trial: Trial, address: str) -> None:
    """Enter an address of the node's wallet that was paid before the books knew whose it is."""
    coin = trial.application.coin

    def work(session: Session) -> None:
        wallet = coin.wallet_model.get_or_create_by_name("customers", session)
        wallet.add_address(wallet.get_or_create_account_by_name(USER), "adopted", address)

    trial.application.app.conflict_resolver.run(work)


def test_scan_beside_the_daemon_is_killed_interrupted_and_taken_up_again(trial: Trial) -> None:
    trial.start()
    trial.fund("1")
    address = str(trial.own("getnewaddress"))
    for _ in range(MISSED):
        trial.network.pay(address, AMOUNT)
    trial.network.mine(20)
    trial.fund("1")  # the daemon's checkpoint is beyond them
    adopt(trial, address)
    balance = trial.application.balance(USER)
    assert balance == 2

    with scanning(trial) as killed:
        far = killed.is_past(3 * PART)
        killed.process.kill()
        killed.process.wait()
    found = trial.application.balance(USER) - balance
    assert 0 < found < MISSED * AMOUNT, "what was written is kept, and it was killed in the middle"

    with scanning(trial) as interrupted:
        # What stands in the database is where it goes on, in whole parts.
        assert 0 < interrupted.began <= far + PART
        # The daemon follows a new block meanwhile, and what the scan was told by the node is yesterday's news.
        trial.fund("1")
        interrupted.is_past(interrupted.began + 2 * PART)
        interrupted.process.send_signal(signal.SIGINT)
        code, _, said = interrupted.end()
    assert code == 1
    assert "interrupted in ltc at transaction" in said
    assert said.rstrip().endswith("run it again, and it goes on there")
    assert "Traceback" not in said

    with scanning(trial) as last:
        assert last.began > interrupted.began
        code, told, _ = last.end()
    assert (code, told["updates"] > 0) == (0, True)
    assert trial.application.balance(USER) == 3 + MISSED * AMOUNT
    with scanning(trial) as again:
        assert again.began == 0
        assert again.end()[:2] == (0, {"updates": 0})

    assert trial.daemon.is_running
    trial.fund("1")  # it goes on
    trial.settle()
    assert trial.application.balance(USER) == 4 + MISSED * AMOUNT
