"""Commands whose modules are imported when they run."""

from __future__ import annotations

import pkgutil

import click


class Later(click.Command):
    """Stands in the help for a command: most import a database library, for which help and completion cannot wait."""

    def __init__(self, name: str, place: str, summary: str) -> None:
        """
        :param place: where the command is in this package, ``module:name``.
        :param summary: what its own help begins with.
        """
        super().__init__(name, short_help=summary)
        self.place = place

    def load(self) -> click.Command:
        """Return the command itself."""
        command: click.Command = pkgutil.resolve_name(f"{__package__}.{self.place}")
        return command
