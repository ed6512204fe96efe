"""What the commands do, whatever they are called."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cryptoassets_core.app import Subsystem
from cryptoassets_core.backend.transactionupdater import ScanProgress
from cryptoassets_core.cli.opening import open_service
from cryptoassets_core.cli.output import console, json_line
from cryptoassets_core.configure import Configurator
from cryptoassets_core.database import shown
from cryptoassets_core.errors import CryptoAssetsError
from cryptoassets_core.service.main import DAEMON_SUBSYSTEMS, Service
from cryptoassets_core.tools.audit import Finding
from cryptoassets_core.tools.audit import audit as run_audit


def initialize_database(config_file: str) -> None:
    """Create the tables of all configured coins."""
    service = open_service(config_file, tables=False)
    service.initialize_db()
    click.echo(f"The tables of {_coins(service)} are ready in {shown(_engine(service))}.")


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
    service = open_service(config_file, Subsystem.database, Subsystem.backend)
    seen: list[ScanProgress] = []
    try:
        with _progress_shown(as_json=as_json) as show:

            def on_progress(progress: ScanProgress) -> None:
                seen.append(progress)
                show(progress)

            updates = service.scan_received(on_progress)
    except KeyboardInterrupt:
        raise CryptoAssetsError(f"interrupted{_where(seen)}; run it again, and it goes on there") from None
    click.echo(json_line({"updates": updates}) if as_json else f"Rescanned {_coins(service)}: {updates} updates.")


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


def audit(config_file: str, *, as_json: bool) -> int:
    """Check every rule of the books; returns 0 if all is well, 1 if not."""
    service = open_service(config_file)
    found = 0
    progress = console(err=True)  # what goes to stdout may be read by a program
    with service.app.open_readonly_session() as session:
        for name, coin in service.app.coins.all():
            with progress.status(f"Auditing the books of {name}"):
                for finding in run_audit(session, coin):
                    found += 1
                    click.echo(_audit_line(finding, as_json=as_json))
    if not as_json:
        click.echo(f"{found} findings." if found else f"All is well in the books of {_coins(service)}.")
    return 1 if found else 0


def _audit_line(finding: Finding, *, as_json: bool) -> str:
    if as_json:
        return json_line(finding)
    return f"{finding.table} {finding.row_id}: {finding.rule}: {finding.message}"


def _coins(service: Service) -> str:
    return ", ".join(name for name, _ in service.app.coins.all()) or "no coins"


def _engine(service: Service) -> Any:
    return service.app.engine
