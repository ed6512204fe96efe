"""Recognise a process of this machine again, and tell whether it is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class _State(NamedTuple):
    letter: str
    started: str


def own_process() -> str | None:
    """Return what tells this process from all others, on any machine and at any time; None where /proc does not."""
    place, state = _place(), _state(os.getpid())
    return None if place is None or state is None else f"{place} {os.getpid()} {state.started}"


def is_gone(process: str) -> bool:
    """Tell whether a process has certainly ended.

    :param process: what :py:func:`own_process` said there; False for one of another machine or container.
    """
    place, _, rest = process.partition(" ")
    if place != _place():
        return False
    number, _, started = rest.partition(" ")
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is somebody else's, and there
    state = _state(int(number))
    # Another one may have its number by now. What cannot be looked at is taken to live.
    return state is not None and (state.letter == "Z" or state.started != started)


def _place() -> str | None:
    """Return the boot of this machine and the set of process numbers, which each container has of its own."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return None


def _state(pid: int) -> _State | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name, in brackets, and may hold anything. Source: proc_pid_stat(5), fields 3 and 22.
    fields = text.rpartition(")")[2].split()
    return _State(fields[0], fields[19])
