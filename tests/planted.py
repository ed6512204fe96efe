"""Distributions that a test plants: what an installer would leave behind, in a directory of their own."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent


def plant(directory: Path, name: str, code: str, *, distribution: str | None = None, version: str = "1.2.3") -> Path:
    """Install a plugin whose module, entry point and distribution carry one name.

    :param name: of the plugin; its module is called ``planted_`` and the distribution's name.
    :param distribution: another name of the distribution.
    :returns: the directory to put on the path.
    """
    distribution = distribution or f"shop-{name}"
    module = "planted_" + distribution.replace("-", "_")
    info = directory / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[cryptoassets]\n{name} = {module}\n")
    (directory / f"{module}.py").write_text(dedent(code))
    return directory
