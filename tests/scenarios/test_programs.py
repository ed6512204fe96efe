"""The programs that tell the story to a person: they end well, and they leave nothing, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryptoassets_core.testing.postgres import server_path
from cryptoassets_core.testing.requirements import require

STORY = Path(__file__).parents[2] / "examples" / "story"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where the programs put their files: a short path, for PostgreSQL's socket, and open to its user like ``/tmp``."""
    with tempfile.TemporaryDirectory(prefix="story-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@contextmanager
def started(program: str, *arguments: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a program whose temporary files go to a directory."""
    process = subprocess.Popen(
        [sys.executable, str(STORY / program), *arguments],
        env={**os.environ, "TMPDIR": str(directory), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As from a terminal: Ctrl-C is for all processes of a group.
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read what a program prints, to the line with some words or to the end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            break
    told = "".join(lines)
    assert words in told
    return told


def read_to_end(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read()


def check_nothing_is_left(directory: Path) -> None:
    assert list(directory.iterdir()) == []
    left = [
        command
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(directory) in (command := _read(path).replace("\0", " "))
    ]
    assert left == []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # it ended just now


def test_demo_ends_well_and_leaves_nothing(directory: Path) -> None:
    with started("demo.py", directory=directory) as process:
        told = read_to_end(process)
        assert process.wait() == 0, told
    assert "SIMULATION" in told
    assert "Health    all is well" in told
    assert "They agree to the last satoshi." in told
    assert max(len(line) for line in told.splitlines()) <= 120
    check_nothing_is_left(directory)


def test_demo_that_is_kept_goes_on_until_ctrl_c(directory: Path) -> None:
    with started("demo.py", "--keep", directory=directory) as process:
        told = read_until(process, "simnet mine 3")
        # What the demo proposes to do in another terminal, done just so.
        proposed = [
            line.strip().removeprefix("$ ") for line in told.partition("Your turn")[2].splitlines() if "$ " in line
        ]
        subprocess.run(["sh", "-ec", "\n".join(proposed)], check=True, stdout=subprocess.DEVNULL)
        read_until(process, "deposit of 0.25000000  3 confirmations  credited")
        os.killpg(process.pid, signal.SIGINT)
        told = read_to_end(process)
        assert process.wait() == 0, told
    assert "exit code 0" in told
    check_nothing_is_left(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["cryptoassets-helper-service", "2. A deposit"])
def test_interrupted_demo_leaves_nothing(directory: Path, number: signal.Signals, moment: str) -> None:
    with started("demo.py", directory=directory) as process:
        read_until(process, moment)
        process.send_signal(number)
        told = read_to_end(process)
        assert process.wait() == 130, told
    assert "Interrupted" in told
    check_nothing_is_left(directory)


@pytest.mark.postgres
@pytest.mark.regtest
def test_story_on_a_real_daemon_ends_well_and_leaves_nothing(directory: Path) -> None:
    require("litecoind", "litecoind")
    require("curl", "curl")
    require("initdb", "postgresql", path=server_path())
    with started("on_litecoind.py", directory=directory) as process:
        told = read_to_end(process)
        assert process.wait() == 0, told
    assert "They agree to the last satoshi." in told
    check_nothing_is_left(directory)
