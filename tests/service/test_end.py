"""The daemon's end: when it is told to, and when something in it died."""

from __future__ import annotations

import signal
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import daemon, eventually
from service_stage import smoke

from cryptoassets_simnet import Simnet


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly(number: signal.Signals, config: dict[str, Any], tmp_path: Path) -> None:
    with daemon(config, tmp_path) as running:
        running.ready()
        assert running.end(number) == 0
        assert f"{number.name}: the daemon stops" in running.log
        assert "the daemon has stopped" in running.log
        assert "Traceback" not in running.log


def test_second_interrupt_does_not_wait_for_what_is_under_way(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
@hookimpl
def cryptoassets_service_startup(service):
    service.scheduler.add_job(threading.Event().wait)
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        running.ready()
        running.process.send_signal(signal.SIGINT)
        running.logs("SIGINT: the daemon stops")
        assert running.process.poll() is None
        assert running.end(signal.SIGINT) == -signal.SIGINT
        assert "Traceback" not in running.log


def test_systemd_is_told_how_it_is(config: dict[str, Any], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(60)
        systemd.bind(str(tmp_path / "notify"))
        with daemon(config, tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
            assert systemd.recv(100) == b"READY=1"
            assert "the daemon is ready" in running.log
            assert [systemd.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
            assert running.end() == 0
            told = systemd.recv(100)
            while told == b"WATCHDOG=1":
                told = systemd.recv(100)
            assert told == b"STOPPING=1"


def test_jobs_go_on_after_the_clock_was_set(config: dict[str, Any], tmp_path: Path) -> None:
    """F33: forward a year, then back to a day before."""
    code = """
import datetime as times
import apscheduler.schedulers.base as base, apscheduler.schedulers.blocking
from cryptoassets_core.clock import utc_now
from cryptoassets_core.service import jobs

jump = [0]

class Set(times.datetime):
    @classmethod
    def now(cls, tz=None):
        return times.datetime.now(tz) + times.timedelta(days=jump[0])

base.datetime = Set
wall = time.time
jobs.time = type("Time", (), {"time": staticmethod(lambda: wall() + jump[0] * 86400)})

@hookimpl
def cryptoassets_service_startup(service):
    runs = []
    def work():
        runs.append(1)
        if len(runs) in (3, 6, 9):
            jump[0] = {3: 365, 6: -1, 9: 0}[len(runs)]
        if len(runs) == 12:
            NOTES.touch()
    service.scheduler.add_job(work, jobs.Every(0.1), next_run_time=utc_now())
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        eventually((tmp_path / "notes").exists)
        assert running.log.count("the clock was set back by") == 1
        assert running.end() == 0


def test_signal_during_the_start_is_not_lost(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
@hookimpl
def cryptoassets_service_startup(service):
    os.kill(os.getpid(), 15)
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        assert running.end(None) == 0
        assert "SIGTERM: the daemon stops" in running.log


def test_work_under_way_is_finished_before_anything_is_closed(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
def note(words):
    with NOTES.open("a") as stream:
        stream.write(words)

def work():
    note("begun, ")
    time.sleep(1.5)
    note("finished, ")

@hookimpl
def cryptoassets_service_startup(service):
    service.scheduler.add_job(work)

@hookimpl
def cryptoassets_service_shutdown(service):
    note("closed")
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        notes = tmp_path / "notes"
        eventually(notes.exists)
        running.ready()
        assert running.end() == 0
        assert notes.read_text() == "begun, finished, closed"


def test_work_that_does_not_end_is_cut_off_and_named(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
from cryptoassets_core.service import main

main.STOP_SECONDS = 0.5

@hookimpl
def cryptoassets_service_startup(service):
    service.scheduler.add_job(threading.Event().wait)
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        running.ready()
        assert running.end() == 2
        assert "ERROR cryptoassets_core.service.main: scheduler is still busy after 0.5 seconds" in running.log


def test_component_that_dies_ends_it_with_code_2_and_is_named(
    config: dict[str, Any], simnet: Simnet, tmp_path: Path
) -> None:
    code = """
def fail(self, txids):
    raise RuntimeError("planted defect")

from cryptoassets_core.service.coinworker import CoinWorker
CoinWorker.look_at = fail
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        running.ready()
        simnet.pay(simnet.create_address(), Decimal(1))
        assert running.end(None) == 2
        assert "ERROR cryptoassets_core.service.main: btc notification queue died; the daemon stops" in running.log
        assert "planted defect" in running.log


def test_notification_channel_that_dies_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
from cryptoassets_core.walletnotify.base import (
    IncomingTransactionRunnable, WalletNotifyOptions, WalletNotifyType
)

class Frail(IncomingTransactionRunnable):
    def start(self):
        self.thread = threading.Thread(target=time.sleep, args=(0.5,), daemon=True)
        self.thread.start()

    def stop(self):
        pass

    def is_alive(self):
        return self.thread.is_alive()

@hookimpl
def cryptoassets_walletnotify_handlers():
    return [WalletNotifyType(name="frail", factory=Frail, options=WalletNotifyOptions)]
"""
    config["coins"]["btc"]["backend"]["walletnotify"] = {"name": "frail"}
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        assert running.end(None) == 2
        assert "btc walletnotify died; the daemon stops" in running.log
