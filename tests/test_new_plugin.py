"""``cryptoassets new-plugin`` makes a distribution that can be built and installed, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import assert_refused, run

from cryptoassets_core.cli import newplugin
from cryptoassets_core.errors import ConfigurationError

#: Each kind with a name, and how a configuration speaks of it.
KINDS = {"coin": "vtc", "backend": "my-pay", "sink": "diary2"}


def built_and_installed(distribution: Path, site: Path) -> Path:
    """Build the wheel and lay it out as an installer does; returns the directory for the path."""
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    wheels = site.with_name("wheels")
    wheels.mkdir()
    subprocess.run([sys.executable, "-c", build, str(wheels)], cwd=distribution, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_generated_distribution_passes_its_own_tests_once_installed(kind: str, tmp_path: Path) -> None:
    made = run("cryptoassets new-plugin", kind, KINDS[kind], "--directory", tmp_path)
    assert made.returncode == 0, made.stderr
    distribution = tmp_path / f"cryptoassets-{KINDS[kind]}"
    assert str(distribution) in made.stdout
    site = built_and_installed(distribution, tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(site)}

    # Away from the sources: what is tested is what was installed.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    tested = subprocess.run(
        [*command, "-c", str(distribution / "pyproject.toml"), str(distribution / "tests")],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    assert "skipped" not in tested.stdout

    listed = run("cryptoassets plugins --json", PYTHONPATH=str(site))
    (line,) = (line for line in listed.stdout.splitlines() if f'"cryptoassets-{KINDS[kind]}"' in line)
    assert '"state": "active"' in line
    assert '"version": "0.1.0"' in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["coin", "Vtc"], "'Vtc' cannot name a coin"),
        (["coin", "my-coin"], "'my-coin' cannot name a coin"),
        (["coin", ""], "'' cannot name a coin"),
        (["coin", "x" * 17], "cannot name a coin"),
        (["coin", "1coin"], "cannot name a coin"),
        (["backend", "../evil"], "cannot name a backend"),
        (["backend", "a--b"], "cannot name a backend"),
        (["backend", "x" * 41], "cannot name a backend"),
        (["sink", "s\nk"], "cannot name a sink"),
        (["coin", "btc"], "a plugin 'btc' is installed already"),
        (["sink", "http"], "the event sink 'http' is there already"),
        (["sink", "diary", "--directory", "no/such/place"], "no/such/place is no directory"),
    ],
)
def test_bad_name_or_place_is_refused(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(run("cryptoassets new-plugin", *arguments), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["directory", "file", "dangling link"])
def test_what_is_there_stays_as_it_is(there: str, tmp_path: Path) -> None:
    target = tmp_path / "cryptoassets-vtc"
    if there == "directory":
        target.mkdir()
    elif there == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match="exists already"):
        newplugin.generate("coin", "vtc", tmp_path)
    assert list(tmp_path.iterdir()) == [target]


def test_failure_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        if path.name == "models.py":
            raise OSError(28, "No space left on device")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigurationError, match="cannot be made: No space left on device"):
        newplugin.generate("coin", "vtc", tmp_path)
    assert list(tmp_path.iterdir()) == []
