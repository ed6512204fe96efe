"""The project's checks and tests; ``scripts/test`` runs them all on a bare machine."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

#: Every directory that holds a plugin's distribution.
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely bugs."""
    install_group(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, of everything that is installed at a user's."""
    install_project(session)
    install_group(session, "types")
    session.run("mypy", "cryptoassets_core", *(str(package) for plugin in PLUGINS for package in packages_of(plugin)))


@nox.session
def imports(session: nox.Session) -> None:
    """Imports run one way, and plugins stay apart."""
    install_project(session)
    install_group(session, "imports")
    session.run("lint-imports", "--no-cache")


@nox.session
def tests(session: nox.Session) -> None:
    """The kernel's tests and every plugin's; arguments after ``--`` go to pytest."""
    install_project(session)
    install_group(session, "test")
    # Hundreds of commands and daemons are started: none of them shall compile what the one before has compiled.
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    # More workers than the two cores that are there at least: much of the time is spent waiting for daemons and blocks.
    session.run("pytest", "--numprocesses=4", "--dist=worksteal", *session.posargs, env=env)


def install_project(session: nox.Session) -> None:
    """Install the kernel and all plugins, editable: an installer's cache would serve yesterday's source."""
    editables = [option for plugin in PLUGINS for option in ("--editable", str(plugin))]
    session.install("--editable", ".[postgresql]", *editables)


def install_group(session: nox.Session, group: str) -> None:
    """Install one dependency group of the root pyproject.toml."""
    session.install(*nox.project.dependency_groups(PYPROJECT, group))


def packages_of(plugin: Path) -> list[Path]:
    """Find the import packages of a plugin's distribution, relative to the root."""
    return sorted(init.parent.relative_to(ROOT) for init in plugin.glob("cryptoassets_*/__init__.py"))
