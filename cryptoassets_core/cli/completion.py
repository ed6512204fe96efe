"""``cryptoassets completion``: what a shell needs to complete the command's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", epilog='Example, in ~/.bashrc: eval "$(cryptoassets completion bash)"')
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what completes the words of this command in a shell."""
    root = context.find_root()
    completer = get_completion_class(shell)
    if completer is None:
        raise click.ClickException(f"this version of click completes nothing in {shell}")
    name = "cryptoassets"
    click.echo(completer(root.command, {}, name, f"_{name.upper()}_COMPLETE").source())
