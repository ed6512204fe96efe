"""``cryptoassets config``: look at a configuration without running anything."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
import yaml

from cryptoassets_core.cli.errors import EXIT_FAILURE, one_sentence
from cryptoassets_core.cli.opening import CONFIG_FILE, JSON
from cryptoassets_core.cli.output import json_line
from cryptoassets_core.configcheck import check as run_check
from cryptoassets_core.configfile import read_yaml
from cryptoassets_core.configschema import configuration_schema
from cryptoassets_core.effective import effective
from cryptoassets_core.plugins import Plugins

#: How a finding begins, and its colour on a terminal.
_MARKS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "error": ("error  ", "red")}


@click.group("config")
def config() -> None:
    """Check and show configurations; nothing is connected to."""


@config.command("check")
@CONFIG_FILE
@JSON
@click.pass_context
def check(context: click.Context, config_file: str, as_json: bool) -> None:
    """Say what is right in CONFIG, what is wrong, and what is unwise.

    Exit code 1 if something is wrong; warnings alone are no failure.
    """
    with one_sentence():
        failed = False
        for finding in run_check(read_yaml(config_file)):
            failed |= finding.level == "error"
            if as_json:
                click.echo(json_line(asdict(finding)))
                continue
            mark, color = _MARKS[finding.level]
            place = f"{finding.path}: " if finding.path else ""
            click.echo(f"{click.style(mark, fg=color)}  {place}{' '.join(finding.message.split())}")
    if failed:
        context.exit(EXIT_FAILURE)


@config.command("show")
@CONFIG_FILE
@JSON
def show(config_file: str, as_json: bool) -> None:
    """Print what is in effect by CONFIG: every option with its value, defaults included.

    Secrets are masked; what comes from the environment is shown as it is written in CONFIG.
    """
    with one_sentence():
        values = effective(read_yaml(config_file))
        if as_json:
            click.echo(json.dumps(values))
        else:
            click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema of configuration files, with the options of every installed plugin.

    Editors use it to complete and check what is written.
    """
    with one_sentence():
        click.echo(json.dumps(configuration_schema(Plugins()), indent=2))
