"""What an installer gets: wheels of the kernel and of the plugins, in clean environments, used there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
THIRD_PARTY = sorted(path.parent for path in ROOT.glob("examples/thirdparty/*/pyproject.toml"))

#: What belongs to plugins; nothing of it may come in with the kernel.
FOREIGN = ("bitcoinrpc", "redis", "block_io", "websocket")


def call(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    # Nothing of the environment that runs the tests may leak into the clean ones.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd or Path("/"),
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel of every distribution."""
    directory = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, *PLUGINS, *THIRD_PARTY):
        build(source, directory, "--wheel")
    return directory


def build(source: Path, directory: Path, kind: str) -> None:
    """Build from a copy: builders may leave things beside the sources."""
    if shutil.which("uv"):
        call(["uv", "build", "--quiet", kind, "--out-dir", directory, source])
    else:
        pytest.importorskip("build", reason="neither uv nor build is installed; get one with: pip install build")
        call([sys.executable, "-m", "build", kind, "--outdir", directory, source])


class Environment:
    """A clean virtual environment with some of the wheels."""

    def __init__(self, place: Path, wheels: Path, *wanted: str) -> None:
        self.place = place
        if shutil.which("uv"):
            call(["uv", "venv", "--quiet", "--python", sys.executable, place])
            install = ["uv", "pip", "install", "--quiet", "--python", self.program("python")]
        else:
            call([sys.executable, "-m", "venv", place])
            install = [str(self.program("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Ours are taken from the directory by their files, so that no registry can serve others of the same name.
        files = [path for path in wheels.iterdir() if path.name.partition("-")[0].replace("_", "-") in wanted]
        others = [name for name in wanted if name.startswith("pytest")]
        assert len(files) + len(others) == len(wanted)
        call([*install, *files, *others])

    def program(self, name: str) -> Path:
        return self.place / "bin" / name

    def run(self, code: str) -> str:
        return call([self.program("python"), "-I", "-W", "error", "-c", code])

    def command(self, *arguments: str | Path) -> str:
        return call([self.program("cryptoassets"), *arguments], cwd=self.place)


def test_the_kernel_alone_works_and_brings_nothing_of_the_plugins(tmp_path: Path, wheels: Path) -> None:
    alone = Environment(tmp_path / "venv", wheels, "cryptoassets-core")

    for command in (["--help"], ["config", "--help"], ["plugins"]):
        assert alone.command(*command)
    schema = json.loads(alone.command("config", "schema"))
    loaded = alone.run(
        "import pkgutil, sys, importlib, cryptoassets_core\n"
        "for module in pkgutil.walk_packages(cryptoassets_core.__path__, 'cryptoassets_core.'):\n"
        "    if not module.name.startswith(('cryptoassets_core.testing', 'cryptoassets_core.migrations')):\n"
        "        importlib.import_module(module.name)\n"
        f"print(sorted(set(sys.modules) & set({FOREIGN!r})))\n"
    )

    assert schema
    assert loaded.strip() == "[]"


def test_the_kernel_with_one_coin_keeps_books(tmp_path: Path, wheels: Path) -> None:
    place = Environment(tmp_path / "venv", wheels, "cryptoassets-core", "cryptoassets-btc")
    config = tmp_path / "shop.yaml"
    config.write_text(f"database: {{url: 'sqlite:///{tmp_path}/books.sqlite'}}\ncoins: {{btc: {{}}}}\n")

    place.command("init-db", config)
    place.run(
        "from cryptoassets_core.app import CryptoAssetsApp\n"
        "from cryptoassets_core.configure import Configurator\n"
        "app = CryptoAssetsApp()\n"
        f"Configurator(app).load_yaml_file({str(config)!r})\n"
        "app.setup_session()\n"
        "wallet = app.coins.get('btc').wallet_model\n"
        "app.conflict_resolver.run(lambda session: wallet.get_or_create_by_name('shop', session))\n"
        "app.close()\n"
    )

    assert "btc" in place.command("plugins")


def test_what_strangers_write_passes_its_own_tests(tmp_path: Path, wheels: Path) -> None:
    """A third-party coin with the stock bitcoind backend, a third-party backend, and a plugin of hooks."""
    ours = ("core", "bitcoind", "btc", "simnet")
    names = [*(f"cryptoassets-{name}" for name in ours), *(path.name for path in THIRD_PARTY), "pytest"]
    place = Environment(tmp_path / "venv", wheels, *names)
    config = tmp_path / "moon.yaml"
    config.write_text(
        f"database: {{url: 'sqlite:///{tmp_path}/books.sqlite'}}\n"
        "coins: {moon: {network: test, backend: {name: bitcoind, url: 'http://user:password@127.0.0.1:1/'}}}\n"
    )

    for distribution in THIRD_PARTY:
        tests = shutil.copytree(distribution / "tests", tmp_path / distribution.name)
        call([place.program("python"), "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tests], cwd=tests)
    place.command("init-db", config)
    place.command("config", "check", config)
    shown = place.command("plugins")

    assert all(path.name in shown for path in THIRD_PARTY)
    assert "nothing was credited yet" in place.command("ledgernotes")


@pytest.mark.parametrize("source", [ROOT, *PLUGINS], ids=lambda path: path.name)
def test_each_wheel_says_that_it_is_typed(source: Path, wheels: Path) -> None:
    (package,) = [path.parent for path in source.glob("cryptoassets_*/__init__.py")]
    (wheel,) = wheels.glob(f"{'cryptoassets_core' if source == ROOT else source.name.replace('-', '_')}-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    wanted = {str(path.relative_to(source)) for path in package.rglob("*") if is_content(path)}
    assert f"{package.name}/py.typed" in names
    assert wanted <= names


def test_the_source_distribution_of_the_kernel_is_whole(tmp_path: Path) -> None:
    build(ROOT, tmp_path, "--sdist")
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}

    package = {str(path.relative_to(ROOT)) for path in (ROOT / "cryptoassets_core").rglob("*") if is_content(path)}
    assert package <= names
    assert {"README.md", "LICENSE", "pyproject.toml"} <= names


def is_content(path: Path) -> bool:
    """Tell whether it is a file that a user needs: templates, migrations and py.typed among them."""
    return path.is_file() and "__pycache__" not in path.parts
