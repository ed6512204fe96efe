"""The command ``scan`` as it is, only in small parts with a pause behind each: ``slow_scan.py CONFIG [--json]``."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any, Final

from cryptoassets_core.backend import transactionupdater
from cryptoassets_core.backend.transactionupdater import TransactionUpdater
from cryptoassets_core.cli.main import cryptoassets

#: Network transactions of a part.
PART: Final = 4

PAUSE_SECONDS: Final = 0.1


def be_slow() -> None:
    """Do in many steps what is one for so few transactions."""
    if not hasattr(transactionupdater, "CHUNK"):
        raise AttributeError("the size of a part has another name now")
    setattr(transactionupdater, "CHUNK", PART)  # noqa: B010 - it is a constant for everybody else
    write_chunk = TransactionUpdater._write_chunk

    def slowly(self: TransactionUpdater, *arguments: Any, **options: Any) -> int:
        events = write_chunk(self, *arguments, **options)
        time.sleep(PAUSE_SECONDS)
        return events

    setattr(TransactionUpdater, "_write_chunk", slowly)  # noqa: B010


if __name__ == "__main__":
    # As in a terminal; what runs in the background of a shell ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    be_slow()
    cryptoassets(["scan", *sys.argv[1:]])
