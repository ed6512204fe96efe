"""``cryptoassets new-plugin``: a distribution to start from, that works and has tests."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any, Final

import click

from cryptoassets_core.cli.errors import one_sentence
from cryptoassets_core.coin.validate import encode_base58check
from cryptoassets_core.errors import ConfigurationError
from cryptoassets_core.plugins import Catalogue, Plugins

KINDS: Final = ("coin", "backend", "sink")

#: A coin's name is the prefix of its tables too.
_NAMES: Final = {
    "coin": (re.compile(r"[a-z][a-z0-9]{0,15}"), "up to 16 lowercase letters and digits, such as vtc"),
    "backend": (re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*"), "lowercase letters, digits and single hyphens"),
    "sink": (re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*"), "lowercase letters, digits and single hyphens"),
}
_MAX_LENGTH: Final = 40

#: Templates are no source: they carry this behind their names.
_SUFFIX: Final = ".txt"


@click.command("new-plugin")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to make it; the current directory if none is given.",
)
def new_plugin(kind: str, name: str, directory: Path) -> None:
    """Make a plugin to start from: a distribution cryptoassets-NAME with a coin, a backend or an event sink.

    It works, inherits the conformance suite, and says in its README what to replace.
    """
    with one_sentence():
        _check_name(kind, name)
        made = generate(kind, name, directory)
        click.echo(f"{made} is ready. Install it with: pip install -e {made}")
        click.echo(f"Run its tests with: cd {made} && pytest")


def generate(kind: str, name: str, directory: Path) -> Path:
    """Write the distribution, whole or not at all.

    :returns: its directory.
    :raises ConfigurationError: something is there already, or nothing can be written.
    """
    target = directory / f"cryptoassets-{name}"
    if target.exists() or target.is_symlink():
        raise ConfigurationError(f"{target} exists already; choose another name or another --directory")
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is no directory; make it first")
    words = _words(kind, name)
    try:
        draft = Path(tempfile.mkdtemp(prefix=".new-plugin-", dir=directory))
        try:
            for place, text in _templates(kind):
                path = draft / place.replace("package/", f"{words['package']}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(Template(text).substitute(words), encoding="utf-8")
            (draft / words["package"] / "py.typed").touch()
            draft.chmod(0o755)
            # In one step: whoever looks sees all of it or nothing.
            os.rename(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be made: {error.strerror}") from error
    return target


def _check_name(kind: str, name: str) -> None:
    pattern, words = _NAMES[kind]
    if not pattern.fullmatch(name) or len(name) > _MAX_LENGTH:
        raise ConfigurationError(f"{name!r:.60} cannot name a {kind}: it must be {words}")
    plugins = Plugins(strict=False)
    if any(plugin.name == name for plugin in plugins.found):
        raise ConfigurationError(f"a plugin {name!r} is installed already; choose another name")
    catalogues: dict[str, Catalogue[Any]] = {
        "coin": plugins.coins,
        "backend": plugins.backends,
        "sink": plugins.event_sinks,
    }
    catalogue = catalogues[kind]
    if catalogue.find(name) is not None:
        raise ConfigurationError(f"the {catalogue.what} {name!r} is there already; choose another name")


def _words(kind: str, name: str) -> dict[str, str]:
    prefix = "".join(part.capitalize() for part in name.split("-"))
    title = prefix
    descriptions = {
        "coin": f"{title} for cryptoassets-core: its tables, address rules and limits",
        "backend": f"The backend {name} for cryptoassets-core",
        "sink": f"The event sink {name} for cryptoassets-core",
    }
    hash160 = bytes(range(20))
    return {
        "name": name,
        "distribution": f"cryptoassets-{name}",
        "package": f"cryptoassets_{name.replace('-', '_')}",
        "prefix": prefix,
        "title": title,
        "constant": name.upper(),
        "description": descriptions[kind],
        "main_key": encode_base58check(0x4B, hash160),
        "main_script": encode_base58check(0x55, hash160),
    }


def _templates(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each file in the distribution, and its text."""
    root = files("cryptoassets_core.cli").joinpath("templates")
    for name in ("common", kind):
        for place, file in _walk(root.joinpath(name), ""):
            yield place.removesuffix(_SUFFIX), file.read_text(encoding="utf-8")


def _walk(directory: Traversable, place: str) -> Iterator[tuple[str, Traversable]]:
    for found in sorted(directory.iterdir(), key=lambda one: one.name):
        if found.is_dir():
            yield from _walk(found, f"{place}{found.name}/")
        elif found.name.endswith(_SUFFIX):
            yield f"{place}{found.name}", found
