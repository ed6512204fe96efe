"""What a process takes of the machine. Source of all: Linux, proc(5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

MIB: Final = 1024 * 1024


def memory_mib(pid: int | str = "self", *, which: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
    """Return the memory of a process that is in RAM, or the most that ever was, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024 / MIB
    raise SystemExit(f"the system does not tell the memory of process {pid}")


def cpu_seconds(pid: int) -> float:
    """Return the time that a process has run: ``stat``, fields 14 and 15."""
    # The name in the second field may hold anything; what follows it does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
