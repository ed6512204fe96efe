"""A process of its own on a test's books and network: ``chain_child.py URL DIRECTORY TASK [ARGUMENT]``.

``die N``: broadcast, and be killed at the Nth moment. ``broadcast``: broadcast until the file ``stop`` appears.
``rescan``: look through everything again until then. ``follow N``: follow the chain five transactions at a time, and be
killed at the Nth moment.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chain_world import Wire, WiredResolver, World

from cryptoassets_core.backend import transactionupdater
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.tools.receivescan import scan


def kill_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, directory: Path, task: str, argument: str = "0") -> None:
    world = World(url, directory)
    world.now = datetime(2031, 1, 1, tzinfo=UTC)
    (directory / f"ready-{os.getpid()}").touch()
    if task == "die":
        wire = Wire(int(argument), die=kill_ourselves)
        resolver = WiredResolver(world.app.conflict_resolver, wire)
        world.broadcast(backend=wire.around(world.backend), resolver=resolver)
    if task == "follow":
        transactionupdater.CHUNK = 5
        wire = Wire(int(argument), die=kill_ourselves)
        backend: Any = wire.around(world.backend)
        TransactionUpdater(WiredResolver(world.app.conflict_resolver, wire), backend, world.coin).follow()
    while task in ("broadcast", "rescan") and not (directory / "stop").exists():
        if task == "broadcast":
            world.broadcast()
            time.sleep(0.01)
        else:
            scan(world.updater)
    world.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
