"""Processes that broadcast over the hosted service and are killed; ``blockio_child.py`` reads whom to kill, and when.

Each line is a JSON list: URL of the books, coin, options of the backend, number of the moment. A process of its own is
forked for it, because to start Python and to import all of it takes longer than everything else; what became of it is
answered.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

from blockio_world import Hosted
from chain_world import Wire, WiredResolver


def broadcast(world: Hosted, moment: int) -> None:
    world.now = datetime(2031, 1, 1, tzinfo=UTC)
    wire = Wire(moment, die=lambda: os.kill(os.getpid(), signal.SIGKILL))
    resolver = WiredResolver(world.app.conflict_resolver, wire)
    world.broadcast(backend=wire.around(world.backend), resolver=resolver)
    world.close()


def main() -> None:
    worlds: dict[tuple[str, str], Hosted] = {}
    for line in sys.stdin:
        url, symbol, options, moment = json.loads(line)
        if (url, symbol) not in worlds:
            # It connects to nothing yet, so that no connection is shared.
            worlds[url, symbol] = Hosted(url, symbol, options)
        pid = os.fork()
        if pid == 0:
            broadcast(worlds[url, symbol], moment)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
