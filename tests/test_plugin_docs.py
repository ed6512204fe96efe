"""docs/plugins.md does what it says: the plugins that it writes are found, and pass the suites that it shows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoassets_core import testing
from cryptoassets_core.testing.suite import ConformanceSuite

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples" / "thirdparty"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")

#: Capabilities that nobody declares.
READ_OFF_THE_CLASS = {"can_send_in_two_steps", "can_send_in_one_go"}

#: What plugins may import of the kernel.
PUBLIC = {
    "amounts",
    "backend.base",
    "coin.description",
    "coin.registry",
    "coin.validate",
    "errors",
    "event.base",
    "hookspecs",
    "models",
    "statuspanel",
    "testing",
    "walletnotify.base",
    "walletnotify.hints",
}


def files() -> Iterator[tuple[str, str]]:
    """Return name and content of each file that the page shows."""
    for block in re.findall(r"^```(?:toml|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        name, content = block.split("\n", 1)
        yield name.removeprefix("# "), content


@pytest.fixture
def projects(tmp_path: Path) -> list[Path]:
    """Write what the page shows, each project installed as an installer would leave it."""
    for name, content in files():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    found = sorted(path.parent for path in tmp_path.glob("*/pyproject.toml"))
    for place in found:
        project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
        info = place / f"{project['name']}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        ((name, module),) = project["entry-points"]["cryptoassets"].items()
        (info / "entry_points.txt").write_text(f"[cryptoassets]\n{name} = {module}\n")
    return found


def test_the_plugins_pass_their_tests(projects: list[Path], tmp_path: Path) -> None:
    assert [place.name for place in projects] == ["lines", "starcoin", "watcher"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, projects))}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-rA", "--tb=short"]

    done = subprocess.run(
        [*command, tmp_path], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for test in (
        "TestStarcoin::test_installed_plugin_brings_the_coin",
        "TestWatcher::test_a_deposit_is_told_exactly",
        "TestLines::test_a_refusal_is_said_and_the_next_attempt_succeeds",
    ):
        assert f"::{test}" in done.stdout
    assert "skipped" not in done.stdout


def sources() -> Iterator[tuple[str, str]]:
    """Return the Python that strangers write: on the page, and under examples/thirdparty."""
    yield from (each for each in files() if each[0].endswith(".py"))
    for path in sorted(EXAMPLES.rglob("*.py")):
        yield str(path.relative_to(EXAMPLES)), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in sources()])
def test_strangers_import_public_modules_only(code: str) -> None:
    imported = {
        (node.module or "").removeprefix("cryptoassets_core.")
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptoassets_core")
    }

    assert imported <= PUBLIC


def test_the_public_modules_are_documented() -> None:
    page = (DOCS / "hooks.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^Public for plugins are .*?\.\s", page, re.DOTALL | re.MULTILINE)
    named = {name.removeprefix("cryptoassets_core.") for name in re.findall(r"`([\w.]+)`", sentence)}

    assert named == PUBLIC


def test_every_suite_and_capability_is_documented() -> None:
    suites = [getattr(testing, name) for name in testing.__all__ if name.endswith("Suite")]
    assert len(suites) >= 4
    for suite in suites:
        assert f"`{suite.__name__}`" in PAGE
        if issubclass(suite, ConformanceSuite):
            declared = {name for name in vars(suite) if name.startswith("can_")} - READ_OFF_THE_CLASS
            assert [name for name in sorted(declared) if f"`{name}`" not in PAGE] == []
