"""The help of ``cryptoassets``: its commands in sections, in the order in which people meet them."""

from __future__ import annotations

from typing import Final

import click

from cryptoassets_core.cli.later import Later

#: Our own commands; each summary is what the command's help begins with.
SECTIONS: Final = {
    "Set up": (
        Later("config", "config:config", "Check and show configurations; nothing is connected to."),
        Later("plugins", "plugins:plugins", "List the installed plugins."),
        Later("new-plugin", "newplugin:new_plugin", "Make a plugin to start from."),
        Later("init-db", "initializing:init_db", "Create the database tables of all configured coins."),
        Later("import-wallet", "reconciling:import_wallet", "Credit to an account what only the backend knows of."),
        Later("completion", "completion:completion", "Print what completes the words of this command in a shell."),
    ),
    "The daemon": (
        Later("run", "daemon:run", "Run the helper daemon until SIGTERM or Ctrl-C."),
        Later("status", "asking:status", "Ask the running daemon how it is."),
        Later("scan", "daemon:scan", "Look for deposits that the books lack."),
        Later("broadcasts", "broadcasts:broadcasts", "Show how withdrawals leave, and resolve what was interrupted."),
        Later("events", "events:events", "Show what the application was told, and tell it again."),
    ),
    "The books": (
        Later("accounts", "lists:accounts", "List accounts with their balances, the newest first."),
        Later("addresses", "lists:addresses", "List addresses, the newest first."),
        Later("transactions", "lists:transactions", "List movements of coins, the newest first."),
        Later("withdrawals", "withdrawals:withdrawals", "Show withdrawals, and call back those that are not signed."),
        Later("audit", "auditing:audit", "Recompute every account and check every rule of the books."),
        Later("reconcile", "reconciling:reconcile", "Hold the books against what the backends hold."),
    ),
}

#: Commands that no section names: plugins brought them.
OTHERS: Final = "From plugins"


class SectionedGroup(click.Group):
    """A group whose help has sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands section by section."""
        ours = {title: [command.name or "" for command in commands] for title, commands in SECTIONS.items()}
        placed = {name for names in ours.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in placed]
        width = max(map(len, self.commands), default=0)
        for title, names in {**ours, OTHERS: others}.items():
            rows = [
                (name.ljust(width), command.get_short_help_str(limit=formatter.width - width - 6))
                for name in names
                if (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a line names, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest
