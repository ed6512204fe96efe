"""The notification pipe: whose it is, and that no line gets lost."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryptoassets_core.builtin import PIPE_WALLETNOTIFY
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.testing.walletnotifysuite import Heard, txid
from cryptoassets_core.validation import validate
from cryptoassets_core.walletnotify.base import NEW_BLOCK, Notify
from cryptoassets_core.walletnotify.pipe import PipeWalletNotifyHandler, PipeWalletNotifyOptions

Open = Callable[..., PipeWalletNotifyHandler]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pipe"


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def start(path: Path, heard: Heard) -> Iterator[Open]:
    """Start handlers, and stop them in the end."""
    made: list[PipeWalletNotifyHandler] = []

    def start(notify: Notify = heard.take, **options: object) -> PipeWalletNotifyHandler:
        made.append(PipeWalletNotifyHandler(PipeWalletNotifyOptions.model_validate({"fname": path, **options}), notify))
        made[-1].start()
        return made[-1]

    yield start
    for handler in made:
        handler.stop()


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, timeout=30)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_command_that_the_manual_gives_to_the_node_works(path: Path, start: Open, heard: Heard) -> None:
    start()
    shell(f"timeout --kill-after=10 5 /bin/bash -c 'echo {txid(1)} >> {path}'")
    shell(f"timeout 5 sh -c 'echo block {txid(2)} > {path}'")
    heard.wait_for(lambda hints: len(hints) == 2)
    assert heard.hints == [txid(1), NEW_BLOCK]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 0o600), ({"mode": 0o620}, 0o620), ({"mode": "0640"}, 0o640), ({"mode": "0o703"}, 0o703)],
)
def test_the_mode_is_what_was_asked_whatever_the_umask(
    path: Path, start: Open, options: dict[str, object], expected: int
) -> None:
    before = os.umask(0o077)
    try:
        start(**options)
    finally:
        os.umask(before)
    assert stat.S_ISFIFO(path.lstat().st_mode)
    assert permissions(path) == expected


@pytest.mark.parametrize("mode", [600, "rw", "0999", 0o1777, -1, None, 0.5])
def test_a_mode_that_makes_no_sense_is_refused_by_its_path(path: Path, mode: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^walletnotify\.mode: "):
        validate(PipeWalletNotifyOptions, {"fname": str(path), "mode": mode}, path="walletnotify")


def make_file(path: Path) -> None:
    path.write_text("precious")


def make_link_to_file(path: Path) -> None:
    path.with_name("target").write_text("precious")
    path.symlink_to("target")


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("target"))
    path.symlink_to("target")


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nothing")


def make_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [make_file, make_link_to_file, make_link_to_pipe, make_dangling_link, make_directory])
def test_what_is_no_pipe_is_refused_and_left_alone(path: Path, start: Open, make: Callable[[Path], None]) -> None:
    make(path)
    before = path.lstat()
    with pytest.raises(ConfigurationError, match="is there and is no pipe; move it away"):
        start()
    assert os.path.samestat(path.lstat(), before)
    assert permissions(path) == stat.S_IMODE(before.st_mode)


def test_a_pipe_of_somebody_else_is_refused(path: Path, start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.lstat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        start()
    assert path.exists()


def test_a_pipe_that_is_read_already_is_refused(path: Path, start: Open) -> None:
    start()
    with pytest.raises(ConfigurationError, match="is read by another process"):
        start()


def test_a_directory_that_is_missing_is_told(tmp_path: Path) -> None:
    handler = PipeWalletNotifyHandler(PipeWalletNotifyOptions(fname=tmp_path / "none" / "pipe"), lambda hint: None)
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file or directory"):
        handler.start()
    handler.stop()


def test_a_pipe_that_a_killed_daemon_left_is_taken_over_with_who_waits_at_it(
    path: Path, start: Open, heard: Heard
) -> None:
    os.mkfifo(path, 0o622)
    writer = threading.Thread(target=path.write_text, args=(f"{txid(1)}\n",))
    writer.start()
    start()
    heard.wait_for(bool)
    writer.join()
    assert heard.hints == [txid(1)]
    assert permissions(path) == 0o600


def test_the_pipe_outlives_the_daemon_and_writers_wait_for_the_next_one(path: Path, start: Open, heard: Heard) -> None:
    start().stop()
    assert path.is_fifo()
    writer = threading.Thread(target=path.write_text, args=(f"{txid(1)}\n",))
    writer.start()
    start()
    heard.wait_for(bool)
    writer.join()


def test_what_is_in_the_pipe_when_it_is_closed_is_passed_on(path: Path, start: Open, heard: Heard) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def notify(hint: str) -> None:
        busy.set()
        go_on.wait(30)
        heard.take(hint)  # type: ignore[arg-type]

    handler = start(notify)
    path.write_text(f"{txid(1)}\n")
    busy.wait(30)
    path.write_text(f"{txid(2)}\n{txid(3)}\n")
    stopping = threading.Thread(target=handler.stop)
    stopping.start()
    go_on.set()
    stopping.join()
    assert heard.hints == [txid(1), txid(2), txid(3)]


@pytest.mark.parametrize(
    "written",
    [
        [f"{txid(1)}\r\n"],
        [f"  {txid(1)}  \n"],
        [txid(1)[:30], txid(1)[30:], "\n"],
        ["half a line of a writer who died ", f"{txid(1)}\n"],
        ["abcdef", f"{txid(1)}\n"],
        ["x" * 70_000, f"{txid(1)}\n"],
        ["\n\n\n", f"{txid(1)}\n"],
    ],
    ids=["carriage-return", "spaces", "pieces", "dead-writer", "dead-writer-hex", "100-kB-then-a-line", "empty-lines"],
)
def test_a_good_line_survives_what_stands_around_it(path: Path, start: Open, heard: Heard, written: list[str]) -> None:
    start()
    for piece in written:
        path.write_text(piece)
    heard.wait_for(bool)
    assert heard.hints == [txid(1)]


def test_lines_are_counted(path: Path, start: Open, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    handler = start()
    path.write_bytes(b"foo\n\x1b[2J" + b"y" * 100_000 + b"\n" + f"{txid(1)}\n".encode())
    heard.wait_for(bool)
    assert (handler.hints.taken, handler.hints.refused) == (1, 2)
    refusals = [record.getMessage() for record in caplog.records if "refused the line" in record.getMessage()]
    assert len(refusals) == 2
    assert all(message.isprintable() and len(message) < 300 for message in refusals)


def test_a_pipe_that_was_tidied_away_is_a_problem(path: Path, start: Open) -> None:
    handler = start()
    assert handler.problem() is None
    path.unlink()
    assert handler.is_alive()
    assert "was removed or replaced" in str(handler.problem())
    path.write_text("as the node's shell does now")
    assert "was removed or replaced" in str(handler.problem())


def test_stopping_leaves_no_file_open(path: Path, start: Open) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        start().stop()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_type_has_the_names_of_the_manual() -> None:
    assert PIPE_WALLETNOTIFY.name == "pipe"
    assert "cryptoassets.core.backend.pipewalletnotify.PipedWalletNotifyHandler" in PIPE_WALLETNOTIFY.legacy_names
