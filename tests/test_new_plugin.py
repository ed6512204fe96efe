"""``cryptoassets new-plugin`` makes a distribution that can be built and installed, and passes its own tests."""

from __future__ import annotations

import json
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


def install(distribution: Path, site: Path) -> None:
    """Build the wheel and lay it out as an installer does."""
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    wheels = distribution / "dist"
    wheels.mkdir()
    subprocess.run([sys.executable, "-c", build, str(wheels)], cwd=distribution, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def test_generated_distributions_pass_their_own_tests_once_installed(tmp_path: Path) -> None:
    made = run("cryptoassets new-plugin", "coin", KINDS["coin"], "--directory", tmp_path)
    assert made.returncode == 0, made.stderr
    assert str(tmp_path / "cryptoassets-vtc") in made.stdout
    for kind in ("backend", "sink"):
        newplugin.generate(kind, KINDS[kind], tmp_path)
    site, distributions = tmp_path / "site", [tmp_path / f"cryptoassets-{name}" for name in KINDS.values()]
    for distribution in distributions:
        install(distribution, site)

    # Away from the sources: what is tested is what was installed.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    tested = subprocess.run(
        [*command, "-c", str(distributions[0] / "pyproject.toml"), *(str(each / "tests") for each in distributions)],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    assert "skipped" not in tested.stdout

    listed = run("cryptoassets plugins --json", PYTHONPATH=str(site))
    rows = {row["distribution"]: row for row in map(json.loads, listed.stdout.splitlines())}
    for kind, name in KINDS.items():
        row = rows[f"cryptoassets-{name}"]
        assert (row["state"], row["version"]) == ("active", "0.1.0")
        assert any(kind in brought and brought.endswith(f" {name}") for brought in row["brings"])


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
