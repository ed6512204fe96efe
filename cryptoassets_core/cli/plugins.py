"""``cryptoassets plugins``: what is installed, what it brings, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cryptoassets_core.cli.errors import EXIT_FAILURE, one_sentence
from cryptoassets_core.cli.opening import JSON
from cryptoassets_core.cli.output import print_json, print_rows
from cryptoassets_core.configfile import expand_environment, read_yaml
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.plugins import FoundPlugin, Plugins
from cryptoassets_core.settings import PluginsSettings
from cryptoassets_core.validation import validate


@click.command("plugins")
@click.argument("config_file", metavar="[CONFIG]", required=False)
@JSON
@click.pass_context
def plugins(context: click.Context, config_file: str | None, as_json: bool) -> None:
    """List the installed plugins: distribution, version, what each brings, and what is wrong with it.

    With CONFIG, as that file disables and requires them. Exit code 1 if one is broken or two do not fit together.
    """
    with one_sentence():
        found = _load(config_file)
        rows = [_Row.of(found, plugin) for plugin in found.found]
        if as_json:
            print_json(rows)
        else:
            print_rows("Plugins", [row.shown() for row in rows])
        for sentence in _faults(found):
            click.echo(sentence, err=True)
        if any(_faults(found)):
            context.exit(EXIT_FAILURE)


def _load(config_file: str | None) -> Plugins:
    section: object = {}
    if config_file is not None:
        section = expand_environment(read_yaml(config_file).get("plugins") or {}, "plugins")
    if not isinstance(section, dict):
        raise ConfigurationError("plugins: this must be a section with options of its own")
    settings = validate(PluginsSettings, section, path="plugins")
    return Plugins(disabled=settings.disabled, required=settings.required, strict=False)


def _faults(plugins: Plugins) -> list[str]:
    return [*plugins.conflicts, *map(str, plugins.broken)]


#: Hooks whose results are listed as what a plugin brings.
_BRINGING = {
    "cryptoassets_backends",
    "cryptoassets_coins",
    "cryptoassets_event_sinks",
    "cryptoassets_walletnotify_handlers",
}


@dataclass(frozen=True, slots=True)
class _Row:
    plugin: str
    distribution: str
    version: str
    state: str
    brings: list[str]
    hooks: list[str]
    #: Why it is broken, or what disabled it.
    cause: str

    @classmethod
    def of(cls, plugins: Plugins, plugin: FoundPlugin) -> _Row:
        brings = [
            f"{catalogue.what} {entry.name}"
            for catalogue in plugins.catalogues()
            for origin, entry in catalogue.all()
            if origin is plugin
        ]
        return cls(
            plugin.name,
            plugin.distribution,
            plugin.version,
            plugin.state.value,
            brings,
            plugins.hooks_of(plugin),
            plugin.cause,
        )

    def shown(self) -> dict[str, object]:
        """Return the columns for people; the causes of faults stand below the table."""
        others = [hook for hook in self.hooks if hook not in _BRINGING]
        return {
            "plugin": self.plugin,
            "distribution": self.distribution,
            "version": self.version,
            "state": self.state,
            "brings": ", ".join(self.brings),
            "other_hooks": ", ".join(hook.removeprefix("cryptoassets_") for hook in others),
        }
