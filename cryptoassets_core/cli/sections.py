"""The help of ``cryptoassets``: its commands in sections, in the order in which people meet them."""

from __future__ import annotations

from typing import Final

import click

SECTIONS: Final = {
    "Set up": ("config", "plugins", "new-plugin", "init-db", "import-wallet", "completion"),
    "The daemon": ("run", "status", "scan", "broadcasts", "events"),
    "The books": ("accounts", "addresses", "transactions", "withdrawals", "audit", "reconcile"),
}

#: Commands that no section names: plugins brought them.
OTHERS: Final = "From plugins"


class SectionedGroup(click.Group):
    """A group whose help has sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands section by section."""
        placed = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in placed)
        width = max(map(len, self.commands), default=0)
        for title, names in {**SECTIONS, OTHERS: others}.items():
            rows = [
                (name.ljust(width), command.get_short_help_str(limit=formatter.width - width - 6))
                for name in names
                if (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
