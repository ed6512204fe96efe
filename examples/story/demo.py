"""Tell the story on a SIMULATED network, with the books in SQLite; ``scripts/demo`` runs this."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from narrator import TerminalNarrator
from network import SimulatedNetwork
from ports import Ports
from processes import StoryError, find_command
from program import run
from stage import Stage
from story import ALICE, end, play

_TITLE: Final = "cryptoassets-core: receive, credit, move, send, notify"

_SIMULATION: Final = (
    "This is a SIMULATION: the Bitcoin network is a file on this machine, and no real coin moves. "
    "All else is real: the database, the helper daemon, an application, and the events between them."
)


def main() -> int:
    """Tell the story; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=_SIMULATION)
    parser.add_argument("--keep", action="store_true", help="leave daemon and status page running until Ctrl-C")
    arguments = parser.parse_args()
    return run(lambda narrator: _tell(narrator, keep=arguments.keep), title=_TITLE, sentence=_SIMULATION)


def _tell(narrator: TerminalNarrator, *, keep: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="ca-demo-") as name, Ports() as ports:
        directory = Path(name)
        with SimulatedNetwork(directory) as network, Stage(network, directory, ports) as stage:
            play(stage, narrator)
            _show_status(stage, narrator)
            if keep:
                _keep(stage, network, narrator)
            end(stage, narrator)


def _show_status(stage: Stage, narrator: TerminalNarrator) -> None:
    """Ask the status page as a program does, and tell what it shows."""
    narrator.scene("The status page")
    report = stage.daemon.report()
    if report is None:
        raise StoryError(f"the status page {stage.daemon.status_url} does not answer")
    narrator.say(f"{stage.daemon.status_url} is for people; for programs /api/status there says:")
    narrator.fact("Health", "all is well" if report["healthy"] else "needs attention")
    for coin in report["coins"]:
        narrator.fact(
            coin["title"],
            f"{coin['balance']} {coin['name'].upper()} in all accounts, {coin['queued']} withdrawals queued, "
            f"{coin['incoming']} deposits incoming",
        )
    for sink in report["sinks"]:
        narrator.fact("Events", f"{sink['pending']} wait for {sink['name']}, {sink['dead']} were given up")
    narrator.fact("Running", ", ".join(name for name, alive in report["components"].items() if alive))
    narrator.say("There are lists, pictures and each transaction's whole story too, and /metrics for Prometheus.")


def _keep(stage: Stage, network: SimulatedNetwork, narrator: TerminalNarrator) -> None:
    try:
        narrator.scene("Your turn")
        simnet = f"{shlex.quote(find_command('cryptoassets'))} simnet"
        narrator.say(f"The daemon goes on until Ctrl-C. Open {stage.daemon.status_url} in a browser.")
        narrator.say("Play the outside world in another terminal; what the application hears shows here:")
        narrator.command(f"export CRYPTOASSETS_SIMNET={shlex.quote(str(network.chain_file))}")
        narrator.command(f"{simnet} pay {stage.application.new_address(ALICE)} 0.25")
        narrator.command(f"{simnet} mine 3")
        _tell_news(stage, narrator)
    except KeyboardInterrupt:
        narrator.console.print()


def _tell_news(stage: Stage, narrator: TerminalNarrator) -> None:
    told = stage.application.updates.all()
    while True:
        update = stage.application.updates.wait(lambda update: update not in told, seconds=1)
        stage.daemon.check_alive()
        if update is not None:
            told.append(update)
            narrator.update(update)


if __name__ == "__main__":
    sys.exit(main())
