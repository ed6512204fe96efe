"""What plugins add to the ``cryptoassets`` command, and what becomes of a name that two of them want."""

from __future__ import annotations

import click

from cryptoassets_core.errors import PluginError
from cryptoassets_core.plugins import Plugins


def add_commands_of_plugins(group: click.Group, installed: Plugins) -> list[str]:
    """Let plugins add their commands.

    A name that two bring could mean either, so it stops with a sentence; the other commands work.

    :returns: the sentences, one a name.
    """
    owners = dict.fromkeys(group.commands, "cryptoassets-core")
    sentences: dict[str, str] = {}
    before = dict(group.commands)
    for plugin in installed.attempt("cryptoassets_cli_commands", group=group):
        for name in before.keys() | group.commands.keys():
            if name not in before or group.commands.get(name) is before[name]:
                owners.setdefault(name, plugin.origin)
                continue
            sentences[name] = (
                f"both {owners[name]} and {plugin.origin} bring the command {name!r}; uninstall or disable one of them"
            )
            group.commands[name] = _contested(name, sentences[name])
        before = dict(group.commands)
    return list(sentences.values())


def _contested(name: str, sentence: str) -> click.Command:
    def refuse() -> None:
        raise PluginError(sentence)

    # Whatever stands behind its name, asking for help too: the sentence is all there is to say.
    return click.Command(
        name,
        callback=refuse,
        short_help="Brought twice, so it does nothing; see below.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
