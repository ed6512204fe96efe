"""``cryptoassets audit``: checks every rule of the books."""

from __future__ import annotations

import sys

import click

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, coin_names, open_app
from cryptoassets_core.cli.output import console, json_line
from cryptoassets_core.tools.audit import Finding
from cryptoassets_core.tools.audit import audit as run_audit


@click.command("audit")
@CONFIG_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, a line each.")
def audit(config_file: str, as_json: bool) -> None:
    """Recompute every account and check every rule of the books.

    Each row that does not fit is named. Reads only, and may run beside everything else. Exit code 0 if all is well, 1
    if not.
    """
    with one_sentence():
        sys.exit(_audit(config_file, as_json=as_json))


def _audit(config_file: str, *, as_json: bool) -> int:
    app = open_app(config_file)
    found = 0
    progress = console(err=True)  # what goes to stdout may be read by a program
    with app.open_readonly_session() as session:
        for name, coin in app.coins.all():
            with progress.status(f"Auditing the books of {name}"):
                for finding in run_audit(session, coin):
                    found += 1
                    click.echo(_line(finding, as_json=as_json))
    if not as_json:
        click.echo(f"{found} findings." if found else f"All is well in the books of {coin_names(app)}.")
    return 1 if found else 0


def _line(finding: Finding, *, as_json: bool) -> str:
    if as_json:
        return json_line(finding)
    return f"{finding.table} {finding.row_id}: {finding.rule}: {finding.message}"
