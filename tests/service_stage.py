"""What tests of the daemon share: a plugin inside it that does what the test wants, and its word on its coin."""

from __future__ import annotations

from pathlib import Path

from commands import Daemon
from planted import plant


def smoke(tmp_path: Path, code: str) -> dict[str, str]:
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
    """Return what is wrong with the only coin."""
    found: str | None = running.status()["coins"][0]["problem"]
    return found
