"""The helper daemon as it is, only less patient: ``impatient_daemon.py CONFIG``.

Calls that hang are given up after seconds and not after a minute, and what failed is tried again at once. With
``DIE_AT=N`` in the environment it is killed at the Nth moment of its first broadcast: moments are before and after each
database transaction, and before each commit. With ``EVERYBODY_LEADS`` it works without asking whether it leads.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy.orm import Session

from cryptoassets_bitcoind import rpc
from cryptoassets_core import tools
from cryptoassets_core.cli.classic import helper_service
from cryptoassets_core.service.main import Service
from cryptoassets_core.tools.broadcast import Broadcaster
from cryptoassets_core.utils.conflictresolver import ConflictResolver

R = TypeVar("R")

FIRST_RETRY_SECONDS: Final = 0.3
LONGEST_RETRY_SECONDS: Final = 2.0
SLOW_SECONDS: Final = 4.0


def be_impatient() -> None:
    """Shorten what is long for people."""
    parts = [info.name for info in pkgutil.iter_modules(tools.__path__) if info.name.startswith("broadcast")]
    modules = [importlib.import_module(f"{tools.__name__}.{part}") for part in parts]
    waiting = [module for module in modules if hasattr(module, "FIRST_RETRY_SECONDS")]
    pausing = [module for module in modules if hasattr(module, "PAUSE")]
    if not (waiting and hasattr(rpc, "SLOW_SECONDS") and pausing):
        raise AttributeError("the names of the waiting times have changed; see what makes the daemon wait now")
    for module in pausing:
        setattr(module, "PAUSE", timedelta(seconds=LONGEST_RETRY_SECONDS))  # noqa: B010
    setattr(rpc, "SLOW_SECONDS", SLOW_SECONDS)  # noqa: B010 - it is a constant for everybody else
    for module in waiting:
        setattr(module, "FIRST_RETRY_SECONDS", FIRST_RETRY_SECONDS)  # noqa: B010
        setattr(module, "LONGEST_RETRY_SECONDS", LONGEST_RETRY_SECONDS)  # noqa: B010


def die_at(moment: int) -> None:
    """See that the process is killed at a moment of the first broadcast."""
    passed = 0
    # Other threads use the database too; only what the broadcast does is counted, so that a number means a step.
    thread = threading.local()
    run, do_broadcasts = ConflictResolver.run, Broadcaster.do_broadcasts

    def step() -> None:
        nonlocal passed
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def counted_broadcasts(self: Broadcaster) -> Any:
        thread.broadcasting = True
        try:
            return do_broadcasts(self)
        finally:
            thread.broadcasting = False

    def counted_run(self: ConflictResolver, work: Callable[[Session], R], **options: Any) -> R:
        if not getattr(thread, "broadcasting", False):
            return run(self, work, **options)

        def counted_work(session: Session) -> R:
            result = work(session)
            session.flush()
            step()
            return result

        step()
        result = run(self, counted_work, **options)
        step()
        return result

    setattr(Broadcaster, "do_broadcasts", counted_broadcasts)  # noqa: B010 - mypy allows no other way
    setattr(ConflictResolver, "run", counted_run)  # noqa: B010


def lead_always() -> None:
    """Work without asking who leads: what several daemons do at once must be safe by itself."""
    if not hasattr(Service, "_leads"):
        raise AttributeError("the service asks otherwise now whether it leads")
    setattr(Service, "_leads", lambda _self, _name: True)  # noqa: B010


if __name__ == "__main__":
    be_impatient()
    if "EVERYBODY_LEADS" in os.environ:
        lead_always()
    if "DIE_AT" in os.environ:
        die_at(int(os.environ["DIE_AT"]))
    helper_service()
