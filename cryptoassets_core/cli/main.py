"""The ``cryptoassets`` command."""

from __future__ import annotations

import click

from cryptoassets_core import __version__
from cryptoassets_core.cli.additions import add_commands_of_plugins
from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.cli.sections import SECTIONS, SectionedGroup
from cryptoassets_core.plugins import Plugins


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryptoassets-core")
def cryptoassets() -> None:
    """Hold, receive and send Bitcoin-like coins from a Python application.

    CONFIG is the application's YAML configuration file. Exit codes: 0 is fine; 1 means refused, not found or not well,
    with a sentence on stderr; 2 is a wrong use of the command, or a component of the daemon that died.
    """


for _section in SECTIONS.values():
    for _command in _section:
        cryptoassets.add_command(_command)


def main() -> None:
    """Run the command with what the plugins add to it."""
    with one_sentence():
        # What does not fit together stops what needs it, and not the commands that tell about it.
        installed = Plugins(strict=False)
        contested = add_commands_of_plugins(cryptoassets, installed)
        # Where people look who miss a plugin's command.
        cryptoassets.epilog = "\n\n".join(
            [f"Broken: {broken}." for broken in installed.broken]
            + [f"Contested: {sentence}." for sentence in contested]
        )
        cryptoassets()
