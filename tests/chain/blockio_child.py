"""A process that broadcasts over the hosted service and is killed: ``blockio_child.py URL COIN OPTIONS MOMENT``."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

from blockio_world import Hosted
from chain_world import Wire, WiredResolver


def main(url: str, coin: str, options: str, moment: str) -> None:
    world = Hosted(url, coin, json.loads(options))
    world.now = datetime(2031, 1, 1, tzinfo=UTC)
    wire = Wire(int(moment), die=lambda: os.kill(os.getpid(), signal.SIGKILL))
    resolver = WiredResolver(world.app.conflict_resolver, wire)
    world.broadcast(backend=wire.around(world.backend), resolver=resolver)
    world.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
