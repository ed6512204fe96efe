"""Rules about the source itself that no linter of ours knows."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
KERNEL = ROOT / "cryptoassets_core"

#: Every directory that holds a distribution: the kernel's, then each plugin's.
DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def packages(distribution: Path) -> list[Path]:
    return sorted(init.parent for init in distribution.glob("cryptoassets_*/__init__.py"))


def sources(distribution: Path) -> Iterator[Path]:
    """List what users run; what only tests run may be more relaxed."""
    for package in packages(distribution):
        for path in sorted(package.rglob("*.py")):
            if {"pytest_plugin", "testing"}.isdisjoint(path.relative_to(package).with_suffix("").parts):
                yield path


def named(distribution: Path) -> str:
    return distribution.name if distribution != ROOT else "kernel"


def pyproject(distribution: Path) -> dict[str, Any]:
    return tomllib.loads((distribution / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(distribution: Path) -> set[str]:
    """Return the normalised names of the distributions that are installed with this one in any case."""
    project = pyproject(distribution)["project"]
    return {
        normalised(re.split(r"[\s<>=!~\[;]", requirement, maxsplit=1)[0]) for requirement in project["dependencies"]
    }


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(path: Path) -> set[str]:
    return set(_imported(ast.parse(path.read_text(encoding="utf-8"))))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def providers() -> dict[str, set[str]]:
    """Map each top-level module to the distributions that bring it; those of this repository included."""
    found = {module: set(map(normalised, names)) for module, names in packages_distributions().items()}
    ours = {package.name: {project_name(each)} for each in DISTRIBUTIONS for package in packages(each)}
    return found | ours


def project_name(distribution: Path) -> str:
    return normalised(pyproject(distribution)["project"]["name"])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=named)
def test_no_amount_can_become_a_float(distribution: Path) -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(distribution)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]

    assert calls == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=named)
def test_nothing_depends_on_assert(distribution: Path) -> None:
    """``python -O`` leaves assertions out, and must be as safe."""
    statements = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(distribution)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]

    assert statements == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=named)
def test_every_import_is_a_declared_dependency(distribution: Path) -> None:
    """A plugin may use what the kernel brings, and nothing else that it does not declare."""
    declared = {project_name(distribution)} | requirements(distribution) | requirements(ROOT)
    brings = providers()

    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources(distribution)
        for module in imported_modules(path)
        if (top := module.partition(".")[0]) not in sys.stdlib_module_names
        and declared.isdisjoint(brings.get(top, set()))
    }

    assert undeclared == set()


def test_every_dependency_of_the_kernel_is_imported() -> None:
    brings = providers()
    tops = {module.partition(".")[0] for path in sources(ROOT) for module in imported_modules(path)}
    used = {name for top in tops for name in brings.get(top, set())}

    assert requirements(ROOT) - used == set()


def test_the_import_contracts_know_every_plugin() -> None:
    plugins = {package.name for distribution in DISTRIBUTIONS[1:] for package in packages(distribution)}
    settings = pyproject(ROOT)["tool"]["importlinter"]
    _layers, kernel, independence, workshop = settings["contracts"]

    assert set(settings["root_packages"]) == plugins | {"cryptoassets_core"}
    assert set(kernel["forbidden_modules"]) == plugins
    assert set(independence["modules"]) == plugins
    assert set(workshop["source_modules"]) == plugins


def test_every_module_of_the_kernel_has_its_layer() -> None:
    layers = pyproject(ROOT)["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {module.strip(" ()\n") for layer in layers for module in re.split(r"[:|]", layer)}
    forgotten = []
    for path in KERNEL.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__" and not imported_modules(path):
            continue
        if not any(".".join(parts[:length]) in placed for length in range(1, len(parts) + 1)):
            forgotten.append(".".join(parts))

    assert forgotten == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=named)
def test_each_package_tells_type_checkers_that_it_is_typed(distribution: Path) -> None:
    assert packages(distribution)
    assert [package.name for package in packages(distribution) if not (package / "py.typed").exists()] == []
