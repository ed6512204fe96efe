"""Where a story is played: a directory with the configuration, the daemon, the application, and the network."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from application import Application, Update
from network import Network
from ports import Ports
from processes import Daemon, StoryError, run_command

#: How long anything may take: far more than it does, for machines that are busy.
PATIENCE_SECONDS: Final = 60.0

_LOOK_SECONDS: Final = 0.05
#: What of the daemon's log helps to understand a failure.
_LOG_LINES: Final = 40


class Stage:
    """Sets everything up, and takes everything down at the end of a ``with`` block.

    :ivar daemon: the helper daemon, not started yet.
    :ivar application: the application, listening for events.
    """

    def __init__(self, network: Network, directory: Path, ports: Ports, *, broadcast_period: float = 0.5) -> None:
        """Write the configuration file, make the tables by the command, and start the application.

        :param directory: for the configuration, the log and what else there is.
        :param broadcast_period: seconds between two looks of the daemon for withdrawals.
        """
        self.network = network
        status_port = ports.lend()
        self.config_file = directory / "config.yaml"
        settings = {
            "directory": directory,
            "events_port": ports.lend(),
            "status_port": status_port,
            "broadcast_period": broadcast_period,
            **network.settings,
        }
        template = string.Template(network.template.read_text(encoding="utf-8"))
        # JSON's way to write a string between quotes is one of YAML's.
        filled = template.substitute({name: json.dumps(str(value))[1:-1] for name, value in settings.items()})
        self.config_file.write_text(filled, encoding="utf-8")
        self.tables = self.make_tables()
        self.daemon = Daemon(self.config_file, log_file=directory / "daemon.log", status_port=status_port)
        self.application = Application(self.config_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.daemon.close()
        finally:
            self.application.close()

    def make_tables(self) -> str:
        """Make the tables by the command, and return what it says."""
        return run_command("cryptoassets-initialize-database", str(self.config_file))

    def start_daemon(self) -> None:
        """Start the daemon and return when it is ready."""
        self.daemon.start()
        self.wait_until(self.daemon.is_ready, "the daemon gets ready")

    def wait_until(self, fact: Callable[[], bool], what: str) -> None:
        """Return as soon as something is a fact.

        :param what: the fact in words.
        :raises StoryError: it does not become one, or the daemon died meanwhile.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not fact():
            self._look_after_daemon(what, deadline)
            time.sleep(_LOOK_SECONDS)

    def wait_for_update(self, txid: str, *, confirmations: int, transaction_type: str = "deposit") -> Update:
        """Return the event that tells that a network transaction has so many confirmations.

        :raises StoryError: it does not come, or the daemon died meanwhile.
        """

        def wanted(update: Update) -> bool:
            return (update.txid, update.transaction_type, update.confirmations) == (
                txid,
                transaction_type,
                confirmations,
            )

        return self.wait_for(wanted, f"txupdate of {transaction_type} {txid} at {confirmations} confirmations")

    def wait_for(self, wanted: Callable[[Update], bool], what: str) -> Update:
        """Return the first event that is wanted.

        :raises StoryError: it does not come, or the daemon died meanwhile.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            # In short turns, to notice a daemon that died.
            update = self.application.updates.wait(wanted, seconds=1)
            if update is not None:
                return update
            self._look_after_daemon(what, deadline)

    def _look_after_daemon(self, what: str, deadline: float) -> None:
        try:
            self.daemon.check_alive()
        except StoryError as error:
            raise StoryError(self._explained(f"while waiting for this: {what}: {error}")) from None
        if time.monotonic() > deadline:
            raise StoryError(self._explained(f"this did not happen within {PATIENCE_SECONDS:g} seconds: {what}"))

    def _explained(self, sentence: str) -> str:
        updates = [f"  {update}" for update in self.application.updates.all()] or ["  none"]
        log = [f"  {line}" for line in self.daemon.log().splitlines()[-_LOG_LINES:]] or ["  nothing"]
        return "\n".join([sentence, "The events so far:", *updates, "The end of the daemon's log:", *log])
