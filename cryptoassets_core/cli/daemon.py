"""The commands that run the helper daemon, and the one of its tasks that people start by hand."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cryptoassets_core.app import Subsystem
from cryptoassets_core.backend.transactionupdater import ScanProgress
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, coin_names
from cryptoassets_core.cli.output import console, json_line
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import CryptoAssetsError
from cryptoassets_core.service.main import DAEMON_SUBSYSTEMS, Service


@click.command("run")
@CONFIG_FILE
def run(config_file: str) -> None:
    """Run the helper daemon until SIGTERM or Ctrl-C.

    It follows the chains, credits deposits, broadcasts withdrawals and delivers events. Exit code 0 after a clean stop,
    1 if it cannot start, 2 if a component died.
    """
    with one_sentence():
        sys.exit(run_daemon(config_file))


@click.command("scan")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step, a line each; the last has the updates.")
def scan(config_file: str, as_json: bool) -> None:
    """Look for deposits that the books lack, in everything the backends know.

    Safe at any time, also beside a running daemon, which catches up by itself when it starts. Ctrl-C interrupts it, and
    the next scan goes on where it ended.
    """
    with one_sentence():
        scan_received(config_file, as_json=as_json)


def run_daemon(config_file: str) -> int:
    """Run the helper daemon until SIGTERM or Ctrl-C; returns its exit code."""
    service = Service(Configurator.prepare_yaml_file(config_file), DAEMON_SUBSYSTEMS, daemon=True)
    code = service.start()
    if service.left_behind is not None:
        # The interpreter would wait for the threads that were just given up.
        logging.shutdown()
        os._exit(code)
    return code


def scan_received(config_file: str, *, as_json: bool = False) -> None:
    """Look through everything the backends know for missed deposits; Ctrl-C ends it, and the next one goes on there."""
    service = Service(
        Configurator.prepare_yaml_file(config_file), [Subsystem.database, Subsystem.backend], logging=False
    )
    seen: list[ScanProgress] = []
    try:
        with _progress_shown(as_json=as_json) as show:

            def on_progress(progress: ScanProgress) -> None:
                seen.append(progress)
                show(progress)

            updates = service.scan_received(on_progress)
    except KeyboardInterrupt:
        raise CryptoAssetsError(f"interrupted{_where(seen)}; run it again, and it goes on there") from None
    click.echo(
        json_line({"updates": updates}) if as_json else f"Rescanned {coin_names(service.app)}: {updates} updates."
    )


@contextmanager
def _progress_shown(*, as_json: bool) -> Iterator[Callable[[ScanProgress], None]]:
    """Show a bar for each coin to people, and a line for each step to programs."""
    if as_json:
        yield lambda progress: click.echo(json_line(progress))
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bars = Progress(*columns, console=console(err=True))
    tasks: dict[str, TaskID] = {}

    def show(progress: ScanProgress) -> None:
        # Begun with the first step: it would leave an empty line before the sentence of what fails at once.
        bars.start()
        if progress.coin not in tasks:
            tasks[progress.coin] = bars.add_task(progress.coin)
        bars.update(tasks[progress.coin], completed=progress.done, total=progress.total)

    try:
        yield show
    finally:
        if tasks:
            bars.stop()


def _where(seen: Sequence[ScanProgress]) -> str:
    return f" in {seen[-1].coin} at transaction {seen[-1].done} of {seen[-1].total}" if seen else ""
