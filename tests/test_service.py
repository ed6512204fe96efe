"""The daemon's life: how it starts, ends and dies, and what it tells of trouble."""

from __future__ import annotations

import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import requests
from commands import SECRET, Daemon, daemon, eventually, run, simnet_config, unused_port, write
from planted import plant

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_btc import BITCOIN
from cryptoassets_core.app import Subsystem
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.models import GenericWallet
from cryptoassets_core.service.main import Service
from cryptoassets_core.service.status.server import make_wsgi_app
from cryptoassets_core.testing.requirements import require
from cryptoassets_simnet import Simnet

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

HOSTILE = "<script>alert('coins')</script>"


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A configuration whose database is initialised."""
    config = simnet_config(tmp_path)
    assert run("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    return config


@pytest.fixture
def simnet(tmp_path: Path, config: dict[str, Any]) -> Iterator[Simnet]:
    """The outside world of that configuration."""
    with Simnet(config["coins"]["btc"]["backend"]["path"], BITCOIN) as simnet:
        yield simnet


def planted(tmp_path: Path, code: str) -> dict[str, str]:
    """Install the plugin ``smoke`` and return the environment in which it is found."""
    header = """
import os, threading, time
from pathlib import Path
from cryptoassets_core.hookspecs import hookimpl
NOTES = Path(os.environ["NOTES"])
"""
    installed = plant(tmp_path / "installed", "smoke", header + code)
    return {"PYTHONPATH": str(installed), "NOTES": str(tmp_path / "notes")}


def problem(running: Daemon) -> str | None:
    found: str | None = running.status()["coins"][0]["problem"]
    return found


# --- Its end --------------------------------------------------------------------------------------------------------


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
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
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
from cryptoassets_core.service import every, main

jump = [0]

class Set(times.datetime):
    @classmethod
    def now(cls, tz=None):
        return times.datetime.now(tz) + times.timedelta(days=jump[0])

base.datetime = Set
wall = time.time
main.time = type("Time", (), {"time": staticmethod(lambda: wall() + jump[0] * 86400)})

@hookimpl
def cryptoassets_service_startup(service):
    runs = []
    def work():
        runs.append(1)
        if len(runs) in (3, 6, 9):
            jump[0] = {3: 365, 6: -1, 9: 0}[len(runs)]
        if len(runs) == 12:
            NOTES.touch()
    service.scheduler.add_job(work, every.Every(0.1), next_run_time=main.utc_now())
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        eventually((tmp_path / "notes").exists)
        assert running.log.count("the clock was set back by") == 1
        assert running.end() == 0


def test_signal_during_the_start_is_not_lost(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
@hookimpl
def cryptoassets_service_startup(service):
    os.kill(os.getpid(), 15)
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        assert running.end(None) == 2
        assert "btc walletnotify died; the daemon stops" in running.log


# --- Trouble that passes --------------------------------------------------------------------------------------------


def test_backend_that_goes_down_and_comes_back(config: dict[str, Any], simnet: Simnet, tmp_path: Path) -> None:
    with daemon(config, tmp_path) as running:
        running.ready()
        eventually(lambda: running.status()["healthy"])
        simnet.set_down(True)
        eventually(lambda: not running.status()["healthy"])
        assert "is down" in str(problem(running))
        simnet.set_down(False)
        eventually(lambda: running.status()["healthy"])
        assert running.end() == 0
        # Told once and not at every try.
        assert running.log.count("is down") == 1
        assert "the backend works again" in running.log


def test_application_hears_of_an_outage_and_of_its_end(config: dict[str, Any], simnet: Simnet, tmp_path: Path) -> None:
    code = """
from cryptoassets_core.service import outage
outage.OUTAGE_SECONDS = 0.1

@hookimpl
def cryptoassets_event(event):
    with NOTES.open("a") as stream:
        stream.write(f"{event.name} ")
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        running.ready()
        eventually(lambda: running.status()["healthy"])
        notes = tmp_path / "notes"
        simnet.set_down(True)
        eventually(lambda: notes.exists() and notes.read_text() == "backend_down ")
        simnet.set_down(False)
        eventually(lambda: notes.read_text() == "backend_down backend_up ")
        assert running.end() == 0


@pytest.mark.parametrize("kind", ["refuse", "timeout-before"])
def test_backend_that_does_not_answer_at_the_start(
    kind: str, config: dict[str, Any], simnet: Simnet, tmp_path: Path
) -> None:
    simnet.fault("check", kind, count=3)
    with daemon(config, tmp_path) as running:
        running.ready()
        eventually(lambda: running.status()["healthy"])
        assert running.end() == 0


@pytest.mark.regtest
def test_real_node_that_starts_after_the_daemon(tmp_path: Path) -> None:
    require("litecoind", "litecoind")
    node = RegtestNode(password=SECRET)
    config = simnet_config(tmp_path)
    config["coins"] = {"ltc": {"network": "regtest", "backend": {"name": "bitcoind", "url": node.url()}}}
    assert run("cryptoassets init-db", write(tmp_path, config)).returncode == 0
    with daemon(config, tmp_path) as running:
        running.ready()
        assert "connection refused" in str(eventually(lambda: problem(running)))
        try:
            node.start()
            node.create_wallet("")
            (tip,) = node.mine()
            eventually(lambda: running.status()["coins"][0]["tip"] == tip)
            eventually(lambda: running.status()["healthy"])
            # And it goes away and comes back.
            node.stop()
            eventually(lambda: problem(running))
            node.start()
            eventually(lambda: running.status()["healthy"])
            assert running.end() == 0
        finally:
            node.close()
        assert "Traceback" not in running.log
        assert SECRET not in running.log


def test_job_that_raises_unexpectedly_goes_on_and_shows(config: dict[str, Any], simnet: Simnet, tmp_path: Path) -> None:
    code = """
from cryptoassets_simnet.backend import SimnetBackend

find_tip = SimnetBackend.get_tip

def get_tip(self):
    if NOTES.exists():
        raise ZeroDivisionError("planted")
    return find_tip(self)

SimnetBackend.get_tip = get_tip
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        running.ready()
        eventually(lambda: running.status()["healthy"])
        (tmp_path / "notes").touch()
        # The other jobs of the coin do well all the time and do not hide it.
        eventually(lambda: problem(running))
        for _ in range(10):
            assert problem(running) == "poll failed with ZeroDivisionError; the log has the details"
        (tmp_path / "notes").unlink()
        eventually(lambda: running.status()["healthy"])
        assert running.end() == 0
        assert "ZeroDivisionError: planted" in running.log


def test_job_of_a_plugin_is_run_and_its_failure_shows(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
def smoke_signals():
    if not NOTES.exists():
        raise ZeroDivisionError("planted")
    NOTES.write_text("went on")

@hookimpl
def cryptoassets_service_startup(service):
    service.scheduler.add_job(smoke_signals, "interval", seconds=0.3)

@hookimpl
def cryptoassets_service_shutdown(service):
    NOTES.write_text("cleaned up")
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        running.ready()
        notes = tmp_path / "notes"
        told = "the job smoke_signals failed with ZeroDivisionError; the log has the details"
        eventually(lambda: running.status()["problems"] == [told])
        assert not running.status()["healthy"]
        running.logs("ZeroDivisionError: planted")
        notes.touch()
        eventually(lambda: notes.read_text() == "went on")
        eventually(lambda: running.status()["healthy"])
        assert running.end() == 0
        assert notes.read_text() == "cleaned up"


def test_plugin_that_fails_at_the_start_ends_the_daemon_by_name(config: dict[str, Any], tmp_path: Path) -> None:
    code = """
@hookimpl
def cryptoassets_service_startup(service):
    raise ValueError("no smoke today")
"""
    with daemon(config, tmp_path, **planted(tmp_path, code)) as running:
        assert running.end(None) == 1
        assert running.log == (
            "Error: the plugin 'smoke' of shop-smoke 1.2.3 failed in cryptoassets_service_startup: "
            "ValueError: no smoke today\n"
        )


# --- What strangers send ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"txid=", b"txid=" + b"0" * 63, b"txid=" + b"x" * 64, b"txid=\xff\x00", b"{}", b"txid=%s&txid=%s"]
)
def test_junk_for_walletnotify_is_answered_4xx_and_changes_nothing(
    body: bytes, noticing: tuple[Daemon, int, Path]
) -> None:
    running, port, books = noticing
    before = rows(books)
    with pytest.raises(HTTPError) as refused:
        urlopen(f"http://127.0.0.1:{port}/", data=body)
    assert 400 <= refused.value.code < 500
    refused.value.close()
    assert running.status()["coins"][0]["last_wallet_notify"] is None
    assert running.status()["healthy"]
    assert rows(books) == before


def test_good_notification_is_looked_at_after_all_the_junk(noticing: tuple[Daemon, int, Path]) -> None:
    """F29."""
    running, port, books = noticing
    for body in (b"", b"txid=" + b"x" * 100_000, b"txid=\xff\xfe", b"txid=" + b"0" * 64, b"\x00" * 300_000):
        assert requests.post(f"http://127.0.0.1:{port}/", data=body, headers=FORM, timeout=30).status_code < 500
    with Simnet(books.with_name("chain.simnet"), BITCOIN) as simnet:
        txid = simnet.pay(simnet.create_address(), Decimal(1))
    before = running.status()["coins"][0]["last_wallet_notify"]
    urlopen(f"http://127.0.0.1:{port}/", data=f"txid={txid}".encode()).close()
    eventually(lambda: running.status()["coins"][0]["last_wallet_notify"] != before)
    eventually(lambda: running.status()["healthy"])
    assert all(line.isprintable() for line in running.log.splitlines())


@pytest.fixture(scope="module")
def noticing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, int, Path]]:
    """A daemon that takes notifications over HTTP, the port, and its books."""
    directory, port = tmp_path_factory.mktemp("noticing"), unused_port()
    config = simnet_config(directory)
    config["coins"]["btc"]["backend"]["walletnotify"] = {"name": "http", "port": port}
    assert run("cryptoassets init-db", write(directory, config)).returncode == 0
    with daemon(config, directory) as running:
        running.ready()
        running.logs("caught up with the chain")
        yield running, port, directory / "books.sqlite"


def rows(books: Path) -> list[str]:
    """Return all that a database holds."""
    with closing(sqlite3.connect(books)) as connection:
        return list(connection.iterdump())


# --- What it tells --------------------------------------------------------------------------------------------------


@pytest.fixture
def service(config: dict[str, Any]) -> Iterator[Service]:
    """A daemon that is not started."""
    made = Service(config, tuple(Subsystem), logging=False)
    yield made
    made.app.close()


def import_balance(service: Service, amount: str) -> None:
    def work(session: Any) -> None:
        wallet: GenericWallet = service.app.coins.get("btc").wallet_model.get_or_create_by_name("shop", session)
        wallet.import_balance(wallet.create_account(HOSTILE), Decimal(amount))

    service.app.conflict_resolver.run(work)


def test_json_has_amounts_as_strings_and_times_with_their_zone(service: Service) -> None:
    import_balance(service, "0.00000001")
    service.workers["btc"].health.last_success_at = datetime(2026, 1, 2, tzinfo=UTC)
    answer = make_wsgi_app(service).test_client().get("/api/status")
    assert answer.status_code == 200
    (coin,) = answer.json["coins"]
    assert coin["balance"] == "0.00000001"
    assert coin["last_success_at"] == "2026-01-02T00:00:00+00:00"
    assert (coin["queued"], coin["incoming"], coin["tip"]) == (0, 0, None)


def test_page_shows_amounts_in_fixed_notation(service: Service) -> None:
    import_balance(service, "0.00000001")
    page = make_wsgi_app(service).test_client().get("/")
    assert page.content_type == "text/html; charset=utf-8"
    assert "0.00000001 BTC" in page.text


def test_hostile_texts_are_shown_as_texts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    import_balance(service, "1")
    service.workers["btc"].health.problems["poll"] = HOSTILE
    monkeypatch.setattr(service, "problems", lambda: [f"job {HOSTILE}"])
    monkeypatch.setattr(service, "components", lambda: {f"thread {HOSTILE}": True})
    client = make_wsgi_app(service).test_client()
    page = client.get("/").text
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    answer = client.get("/api/status")
    assert answer.content_type == "application/json"
    assert answer.json["coins"][0]["problem"] == HOSTILE
    assert answer.json["problems"] == [f"job {HOSTILE}"]


def test_deposit_that_cannot_be_credited_is_a_problem(service: Service) -> None:
    coin = service.app.coins.get("btc")

    def refuse(session: Any) -> None:
        deposit, _ = coin.network_transaction_model.get_or_create_deposit(session, "ab" * 32)
        deposit.reason = HOSTILE

    service.app.conflict_resolver.run(refuse)
    client = make_wsgi_app(service).test_client()
    (problem,) = client.get("/api/status").json["problems"]
    assert problem == f"btc: {'ab' * 32} pays what is not credited: {HOSTILE}"
    assert "<script" not in client.get("/").text


def test_status_is_told_while_the_database_cannot_be_asked(service: Service) -> None:
    assert service.app.engine is not None
    with service.app.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE btc_account RENAME TO elsewhere")
    client = make_wsgi_app(service).test_client()
    told = client.get("/api/status").json
    assert told["healthy"] is False
    assert told["coins"][0]["balance"] is None
    assert told["problems"] == ["the database cannot be asked: no such table: btc_account"]
    assert "the database cannot be asked" in client.get("/").text


def test_health_check_fails_when_a_component_is_dead(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_wsgi_app(service).test_client()
    for alive, status in ((True, 200), (False, 503)):
        monkeypatch.setattr(service, "components", lambda alive=alive: {"scheduler": alive})
        answer = client.get("/healthz")
        assert (answer.status_code, answer.json) == (status, {"alive": alive})


def test_service_of_the_manual_can_be_asked_for_single_tasks(service: Service) -> None:
    """H02, H04, H05: without being a daemon, and beside one that is somewhere else."""
    assert list(service.incoming_transaction_runnables) == ["btc"]
    assert service.broadcast_period == 0.2
    assert service.poll_network_transaction_confirmations() == 1
    assert service.workers["btc"].health.last_success_at is not None
    service.poll_broadcast()
    assert service.workers["btc"].health.problem is None


def test_daemon_without_a_coin_that_has_a_backend_is_refused(config: dict[str, Any]) -> None:
    config["coins"]["btc"]["backend"] = None
    service = Service(config, tuple(Subsystem), logging=False)
    with pytest.raises(ConfigurationError, match=r"^coins: no coin has a backend"):
        service.start()
    service.app.close()


def test_service_inside_an_application_stops_when_asked(config: dict[str, Any]) -> None:
    config["status_server"] = {"port": unused_port()}
    service = Service(config, tuple(Subsystem), logging=False)
    service.scheduler.add_job(service.stop)
    assert service.start() == 0
