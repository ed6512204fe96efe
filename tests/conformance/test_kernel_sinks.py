"""The event sinks that the kernel brings keep the contract of sinks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Response, request

from cryptoassets_core.event.http import HTTPEventHandler, HTTPEventOptions
from cryptoassets_core.event.python import InProcessEventHandler, InProcessEventOptions
from cryptoassets_core.event.script import ScriptEventHandler, ScriptEventOptions
from cryptoassets_core.testing import EventSinkSuite, Received, Receiver
from cryptoassets_core.utils.httpserver import BackgroundHTTPServer, plain_app, sentence


class Application(Receiver):
    """A web server of an application, which asks for a password."""

    secret = "sw0rdfish"

    def __init__(self) -> None:
        self._received: list[Received] = []
        self._refuses = False
        app = plain_app()
        app.add_url_rule("/events", view_func=self._take, methods=["POST"])
        self._server = BackgroundHTTPServer(app, "127.0.0.1", 0, "application of the test")
        self._server.start()

    def open(self) -> HTTPEventHandler:
        url = f"http://shop:{self.secret}@127.0.0.1:{self._server.port}/events?token={self.secret}"
        return HTTPEventHandler("shop", HTTPEventOptions(url=url))

    def received(self) -> list[Received]:
        return list(self._received)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self._refuses = True
        yield
        self._refuses = False

    @contextmanager
    def down(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.start()

    def close(self) -> None:
        self._server.stop()

    def _take(self) -> Response:
        if request.authorization is None or request.authorization.password != self.secret or self._refuses:
            return sentence(f"Not now, {self.secret}.", 503)
        form = request.form
        self._received.append(Received(form["event_id"], form["event_name"], json.loads(form["data"])))
        return sentence("OK")


class TestHTTPEventSink(EventSinkSuite):
    can_be_refused = can_go_down = True

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with closing(Application()) as application:
            yield application


class Function(Receiver):
    """A function of a module of the application."""

    def __init__(self, module: ModuleType) -> None:
        self._received: list[Received] = []
        self._refuses = False
        module.handle = self._handle  # type: ignore[attr-defined]  # what a module has is up to it
        self._name = f"{module.__name__}.handle"

    def open(self) -> InProcessEventHandler:
        return InProcessEventHandler("shop", InProcessEventOptions(callback=self._name))

    def received(self) -> list[Received]:
        return list(self._received)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self._refuses = True
        yield
        self._refuses = False

    def _handle(self, event_name: str, data: dict[str, Any], event_id: str) -> None:
        if self._refuses:
            raise RuntimeError("planted")
        self._received.append(Received(event_id, event_name, data))


class TestPythonEventSink(EventSinkSuite):
    can_be_refused = True

    @pytest.fixture
    def receiver(self, monkeypatch: pytest.MonkeyPatch) -> Receiver:
        module = ModuleType("shop_of_the_test")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return Function(module)


PROGRAM = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
if [ -e refusing ]; then printf '\\033[31mnot now\\n' >&2; exit 3; fi
printf '%s\\n' "$CRYPTOASSETS_EVENT_ID" "$CRYPTOASSETS_EVENT_NAME" "$CRYPTOASSETS_EVENT_DATA" >> events
"""


class Program(Receiver):
    """A program of the shell that writes what it finds into a file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "handle"
        self._path.write_text(PROGRAM)
        self._path.chmod(0o755)

    def open(self) -> ScriptEventHandler:
        return ScriptEventHandler("shop", ScriptEventOptions(script=[str(self._path)]))

    def received(self) -> list[Received]:
        written = self._directory / "events"
        lines = written.read_text().splitlines() if written.exists() else []
        return [
            Received(event_id, name, json.loads(data)) for event_id, name, data in zip(*[iter(lines)] * 3, strict=True)
        ]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        (self._directory / "refusing").touch()
        yield
        (self._directory / "refusing").unlink()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Take the program away, as an update of the application may do for a moment."""
        away = self._path.rename(self._directory / "away")
        yield
        away.rename(self._path)


class TestScriptEventSink(EventSinkSuite):
    can_be_refused = can_go_down = True

    @pytest.fixture
    def receiver(self, tmp_path: Path) -> Receiver:
        return Program(tmp_path)
