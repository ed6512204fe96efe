"""Trouble that passes: the daemon goes on, and tells of it as long as it lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import SECRET, ask, daemon, eventually, simnet_config, write
from service_stage import problem, smoke

from cryptoassets_bitcoind.testing import RegtestNode
from cryptoassets_core.testing.requirements import require
from cryptoassets_simnet import Simnet


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
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
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
    assert ask("cryptoassets init-db", write(tmp_path, config)).returncode == 0
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


@pytest.mark.regtest
def test_f21_daemon_refuses_to_start_on_a_real_node_of_another_network(tmp_path: Path) -> None:
    require("litecoind", "litecoind")
    with RegtestNode(password=SECRET) as node:
        config = simnet_config(tmp_path)
        config["coins"] = {"ltc": {"network": "main", "backend": {"name": "bitcoind", "url": node.url()}}}
        assert ask("cryptoassets init-db", write(tmp_path, config)).returncode == 0
        with daemon(config, tmp_path) as running:
            assert running.end(None) == 1
    assert "Error: coins.ltc.backend: the daemon at 127.0.0.1:" in running.log
    assert "is on the network 'regtest', but ltc is configured for 'main'" in running.log
    assert "Traceback" not in running.log
    assert SECRET not in running.log


def test_job_that_raises_unexpectedly_goes_on_and_shows(config: dict[str, Any], simnet: Simnet, tmp_path: Path) -> None:
    code = """
from cryptoassets_simnet.backend import SimnetBackend

def spoilt(ask):
    def spoilt(*args, **options):
        if NOTES.exists():
            raise ZeroDivisionError("planted")
        return ask(*args, **options)
    return spoilt

# Both that a poll may ask: after one failed it asks the other.
for name in ("get_tip", "list_since"):
    setattr(SimnetBackend, name, spoilt(getattr(SimnetBackend, name)))
"""
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
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
    with daemon(config, tmp_path, **smoke(tmp_path, code)) as running:
        assert running.end(None) == 1
        assert running.log == (
            "Error: the plugin 'smoke' of shop-smoke 1.2.3 failed in cryptoassets_service_startup: "
            "ValueError: no smoke today\n"
        )
