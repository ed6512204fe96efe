"""What the kernel costs before it does anything: time to import it, and memory and CPU of an idle daemon."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from support.processes import cpu_seconds, memory_mib
from support.report import Goal, Measure, Section, Spread, add_options, show

#: What an application imports to begin with.
KERNEL = "cryptoassets_core.configure"

#: Finds and loads the plugins, after the kernel is imported; prints how many, and the CPU seconds of it.
_TIMED_DISCOVERY = (
    f"import time, {KERNEL}; from cryptoassets_core.plugins import Plugins; began = time.process_time(); "
    "found = Plugins().found; print(sum(one.state == 'active' for one in found), time.process_time() - began)"
)

_TIMED_IMPORT = f"import time; began = time.perf_counter(); import {KERNEL}; print(time.perf_counter() - began)"

#: One coin, everything that a daemon has for it, nothing that needs a server.
_CONFIG = """
database:
  url: sqlite:///{directory}/books.sqlite
coins:
  btc:
    network: regtest
    backend:
      name: simnet
      path: {directory}/chain.sqlite
      walletnotify:
        name: http
        port: 0
events:
  application:
    name: http
    url: http://127.0.0.1:9/
status_server:
  port: 0
"""

_READY = "the daemon is ready"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    imports: int
    #: Before the daemon is looked at: its first looks at chain and queue are over then.
    settle_seconds: float
    idle_seconds: float


FULL = Scale(imports=9, settle_seconds=10, idle_seconds=20)
QUICK = Scale(imports=2, settle_seconds=0.5, idle_seconds=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as directory:
        environment = with_bytecode(Path(directory) / "bytecode")
        sections = [imports(environment, scale), idle_daemon(environment, Path(directory), scale)]
    show(sections, as_json=options.json)


def with_bytecode(cache: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, into a directory of ours."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)
    _python(["-c", f"import {KERNEL}"], environment)
    return environment


# --- Importing ----------------------------------------------------------------------------------------------


def imports(environment: dict[str, str], scale: Scale) -> Section:
    """Import in fresh interpreters."""
    seconds, starts = [], []
    for _ in range(scale.imports):
        began = time.perf_counter()
        _python(["-c", "pass"], environment)
        starts.append(time.perf_counter() - began)
        seconds.append(float(_python(["-c", _TIMED_IMPORT], environment).stdout))
    ratios = (one / start for one, start in zip(seconds, starts, strict=True))
    shares = import_shares(environment)
    total = sum(shares.values())
    measures = [
        Measure(
            KERNEL,
            {"seconds": Spread.of(seconds), "x interpreter start": Spread.of(ratios), "share": "100 %"},
            Goal(most=0.5),
        )
    ]
    measures += discovery(environment, scale)
    for name, share in sorted(shares.items(), key=lambda item: -item[1])[:8]:
        measures.append(Measure(f"  of that {name}", {"share": f"{share / total:.0%}"}))
    return Section(f"Import of {KERNEL} with compiled bytecode", measures)


def discovery(environment: dict[str, str], scale: Scale) -> list[Measure]:
    """Find and load the plugins, all of them and none but the kernel's own, in CPU seconds."""
    names = [entry.name for entry in entry_points(group="cryptoassets")]
    without = environment | {"CRYPTOASSETS_PLUGINS_DISABLED": ",".join(names)}
    measures = []
    for variables in (environment, without):
        runs = [_python(["-c", _TIMED_DISCOVERY], variables).stdout.split() for _ in range(scale.imports)]
        name = f"discovery, {runs[0][0]} plugins used"
        measures.append(Measure(name, {"seconds": Spread.of(float(seconds) for _, seconds in runs)}, Goal(most=0.1)))
    return measures


def import_shares(environment: dict[str, str]) -> dict[str, float]:
    """Return the microseconds that the modules of each distribution took themselves, as the interpreter counts."""
    listed = _python(["-X", "importtime", "-c", f"import {KERNEL}"], environment).stderr
    shares: dict[str, float] = {}
    for own, module in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", listed, re.MULTILINE):
        top = module.partition(".")[0]
        name = "the standard library" if top in sys.stdlib_module_names else top
        shares[name] = shares.get(name, 0) + int(own)
    return shares


def _python(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True)


# --- The daemon ---------------------------------------------------------------------------------------------


def idle_daemon(environment: dict[str, str], directory: Path, scale: Scale) -> Section:
    """Run the daemon and leave it alone."""
    config = directory / "config.yaml"
    config.write_text(_CONFIG.format(directory=directory))
    with running_daemon(config, environment) as pid:
        time.sleep(scale.settle_seconds)
        before = cpu_seconds(pid)
        time.sleep(scale.idle_seconds)
        cpu = (cpu_seconds(pid) - before) / scale.idle_seconds
        memory = Measure("resident memory", {"figure": memory_mib(pid), "unit": "MiB"}, Goal(most=150))
        threads = len(os.listdir(f"/proc/{pid}/task"))
    return Section(
        "An idle daemon: SQLite, one coin on simnet, walletnotify over HTTP, one event sink, status server",
        [
            memory,
            Measure(
                "CPU",
                {"figure": cpu * 100, "unit": f"% of one core, over {scale.idle_seconds:g} s"},
                Goal(most=1),
            ),
            Measure("threads", {"figure": threads, "unit": ""}),
        ],
    )


@contextmanager
def running_daemon(config: Path, environment: dict[str, str]) -> Iterator[int]:
    """Lend the process id of a daemon that is ready."""
    commands = Path(sys.executable).parent
    log = config.with_name("daemon.log")
    initialize = [str(commands / "cryptoassets-initialize-database"), str(config)]
    subprocess.run(initialize, env=environment, stdout=subprocess.DEVNULL, check=True)
    with log.open("wb") as stderr:
        daemon = subprocess.Popen(
            [str(commands / "cryptoassets-helper-service"), str(config)], env=environment, stderr=stderr
        )
    try:
        while _READY not in log.read_text():
            if daemon.poll() is not None:
                raise SystemExit(f"the daemon did not start: {log.read_text()}")
            time.sleep(0.1)
        yield daemon.pid
    finally:
        daemon.send_signal(signal.SIGTERM)
        code = daemon.wait()
    if code != 0:
        raise SystemExit(f"the daemon ended with exit code {code}: {log.read_text()}")


if __name__ == "__main__":
    main()
