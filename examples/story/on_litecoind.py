"""Tell the story with a real Litecoin daemon on a private chain, and the books in PostgreSQL.

Both are started for the story and are gone after it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from litecoind_network import LitecoindNetwork
from narrator import TerminalNarrator
from ports import Ports
from program import run
from stage import Stage
from story import end, play

from cryptoassets_core.testing.postgres import PostgresServer

_TITLE: Final = "cryptoassets-core on a real coin daemon"

_REAL: Final = (
    "Litecoin Core runs on a private chain (regtest): everything is real but the worth of its coins. "
    "The books are in PostgreSQL."
)


def main() -> int:
    """Tell the story; returns the exit code."""
    parser = argparse.ArgumentParser(description=_REAL)
    parser.add_argument(
        "--database",
        metavar="URL",
        help="SQLAlchemy URL of an empty PostgreSQL database, where the books stay; a temporary server by default",
    )
    arguments = parser.parse_args()
    return run(lambda narrator: _tell(narrator, arguments.database), title=_TITLE, sentence=_REAL)


def _tell(narrator: TerminalNarrator, database_url: str | None) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ca-story-")))
        ports = stack.enter_context(Ports())
        with narrator.waiting("PostgreSQL and litecoind start"):
            url = database_url or stack.enter_context(PostgresServer()).create_database()
            network = LitecoindNetwork(walletnotify_port=ports.lend(), database_url=url)
            stage = Stage(stack.enter_context(network), directory, ports)
        stack.enter_context(stage)
        play(stage, narrator)
        end(stage, narrator)


if __name__ == "__main__":
    sys.exit(main())
