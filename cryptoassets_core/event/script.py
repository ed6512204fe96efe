"""Events to a program: it is started once for each."""

from __future__ import annotations

import logging
import os
import selectors
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from cryptoassets_core.errors import EventDeliveryError
from cryptoassets_core.event.base import Event, EventSink, EventSinkOptions

logger = logging.getLogger(__name__)

#: What is kept of each stream of a program; the rest is read and forgotten.
MAX_OUTPUT_BYTES: Final = 16 * 1024
#: Lines and characters of it that are logged, and characters that are repeated in an error.
_LOGGED_LINES, _LOGGED_CHARACTERS, _TOLD_CHARACTERS = 50, 500, 200
#: How often to see whether the program has ended while something that it started keeps its streams open.
_LOOK_SECONDS: Final = 0.1


def _split(script: Any) -> Any:
    """Take a text apart as a shell would, without one."""
    return shlex.split(script) if isinstance(script, str) else script


class ScriptNotificationFailed(EventDeliveryError):
    """The program ended with a status other than 0, did not end in time, or could not be started."""


class ScriptEventOptions(EventSinkOptions):
    """Which program is started."""

    #: The program and its arguments; a text is split at its spaces, and no shell sees it.
    script: Annotated[list[str], BeforeValidator(_split, json_schema_input_type=str | list[str]), Field(min_length=1)]
    #: Log what it writes to its streams, at INFO.
    log_output: bool = False
    #: It is killed after so long, with all that it started.
    timeout_seconds: float = Field(default=30, gt=0, le=3600)


class ScriptEventHandler(EventSink):
    """Starts a program for each event and waits for its end, in the thread of this sink; status 0 takes the event.

    The event is in the environment: ``CRYPTOASSETS_EVENT_NAME``, ``CRYPTOASSETS_EVENT_DATA``, a JSON object, and
    ``CRYPTOASSETS_EVENT_ID``.
    """

    def __init__(self, name: str, options: ScriptEventOptions) -> None:
        super().__init__(name, options)
        self._command = options.script
        self._log_output = options.log_output
        self._timeout_seconds = options.timeout_seconds

    def deliver(self, event: Event) -> None:
        environment = {
            **os.environ,
            "CRYPTOASSETS_EVENT_NAME": event.name,
            "CRYPTOASSETS_EVENT_ID": event.id,
            "CRYPTOASSETS_EVENT_DATA": event.data_as_json(),
        }
        try:
            process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A process group of its own, to be killed as a whole, and out of reach of a Ctrl-C for the daemon.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ScriptNotificationFailed(f"{self._who} cannot be started: {_words(error)}") from None
        with process:
            output, in_time = self._watch(process)
        if self._log_output:
            self._log(output)
        if not in_time:
            raise ScriptNotificationFailed(
                f"{self._who} took longer than {self._timeout_seconds:g} seconds for event {event.id} and was killed"
            )
        if process.returncode != 0:
            raise ScriptNotificationFailed(
                f"{self._who} answered event {event.id} with exit status {process.returncode}{_last_words(output)}"
            )

    @property
    def _who(self) -> str:
        return f"event sink {self.name}: {self._command[0]}"

    def _watch(self, process: subprocess.Popen[bytes]) -> tuple[dict[str, bytearray], bool]:
        """Read the program's streams until it has ended; returns what it said, and whether it ended in time."""
        output = {"stdout": bytearray(), "stderr": bytearray()}
        deadline = time.monotonic() + self._timeout_seconds
        with selectors.DefaultSelector() as selector:
            for name, kept in output.items():
                stream = getattr(process, name)
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map() and time.monotonic() < deadline:
                ready = selector.select(_LOOK_SECONDS)
                for key, _ in ready:
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    key.data.extend(chunk[: MAX_OUTPUT_BYTES - len(key.data)])
                if not ready and process.poll() is not None:
                    break
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return output, False
        return output, True

    def _log(self, output: dict[str, bytearray]) -> None:
        for name, said in output.items():
            for line in said.decode(errors="replace").splitlines()[:_LOGGED_LINES]:
                logger.info("%s wrote to %s: %s", self._who, name, _one_line(line, _LOGGED_CHARACTERS))


def _words(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _last_words(output: dict[str, bytearray]) -> str:
    lines = output["stderr"].decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {_one_line(last, _TOLD_CHARACTERS)}" if last else ""


def _one_line(text: str, limit: int) -> str:
    """Write what a program said without what could break a line or steer a terminal."""
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text[:limit])
    return shown if len(text) <= limit else f"{shown}…"
