"""The example of the README runs as it stands there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from documents import README, blocks, read

from cryptoassets_simnet import Simnet

#: Only what hangs meets it.
PATIENCE_SECONDS = 60


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    (config,) = blocks(read(README), "yaml")
    (code,) = blocks(read(README), "python")
    port = free_port()
    assert "10000" in config
    (tmp_path / "shop.yaml").write_text(config.replace("10000", port), encoding="utf-8")
    (tmp_path / "shop.py").write_text(code, encoding="utf-8")
    run(tmp_path, "cryptoassets", "init-db", "shop.yaml")

    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen([command("cryptoassets"), "run", "shop.yaml"], cwd=tmp_path, stderr=log)
        shop = subprocess.Popen(
            [sys.executable, "-u", "shop.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert shop.stdout is not None
        address = shop.stdout.readline().removeprefix("Pay to ").strip()
        run(tmp_path, "cryptoassets", "simnet", "pay", "--chain", "shop.simnet", address, "0.25")
        run(tmp_path, "cryptoassets", "simnet", "mine", "--chain", "shop.simnet", "3")
        said, _ = shop.communicate(timeout=PATIENCE_SECONDS)
        assert shop.returncode == 0, read(tmp_path / "log")
        assert said == "customer-17 has 0.15000000 BTC left\n"
        # What the shop asked for leaves the daemon, and is the only thing that waits for a block.
        assert wait_for_broadcast(tmp_path), read(tmp_path / "log")
    finally:
        for process in (shop, daemon):
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        if shop.stdout is not None:
            shop.stdout.close()
    assert daemon.returncode == 0


def wait_for_broadcast(folder: Path) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with Simnet.open(folder / "shop.simnet") as network:
            if network.status().mempool == 1:
                return True
        time.sleep(0.1)
    return False


def run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [command(arguments[0]), *arguments[1:]], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def command(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed"
    return found


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
