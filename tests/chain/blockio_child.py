"""Processes that broadcast over the hosted service and are killed: ``blockio_child.py URL COIN OPTIONS``.

For each number that it reads, a process of its own dies at that moment; what became of it is answered. They are forked,
because to start Python and to import all of it takes longer than everything else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

from blockio_world import Hosted
from chain_world import Wire, WiredResolver


def broadcast(url: str, coin: str, options: str, moment: int) -> None:
    world = Hosted(url, coin, json.loads(options))
    world.now = datetime(2031, 1, 1, tzinfo=UTC)
    wire = Wire(moment, die=lambda: os.kill(os.getpid(), signal.SIGKILL))
    resolver = WiredResolver(world.app.conflict_resolver, wire)
    world.broadcast(backend=wire.around(world.backend), resolver=resolver)
    world.close()


def main(*arguments: str) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            broadcast(*arguments, moment=int(line))  # type: ignore[misc]  # there are three
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
