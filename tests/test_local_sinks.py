"""Events to a program, to a function and to plugins, in the daemon itself."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import eventually
from delivery_stage import Hands, Shop, in_state, make, write
from kit import Till, sqlite_file
from pydantic import ValidationError

from cryptoassets_core.app import CryptoAssetsApp, Subsystem
from cryptoassets_core.configure import Configurator
from cryptoassets_core.errors import ConfigurationError, EventDeliveryError
from cryptoassets_core.event import script
from cryptoassets_core.event.base import Event
from cryptoassets_core.event.hook import HookEventSink
from cryptoassets_core.event.outbox import DeliveryState
from cryptoassets_core.event.python import InProcessEventHandler, InProcessEventOptions
from cryptoassets_core.event.script import ScriptEventHandler, ScriptEventOptions, ScriptNotificationFailed
from cryptoassets_core.hookspecs import hookimpl

EVENT = Event("evt_1", "txupdate", {"amount": "0.10000000", "note": "$(touch owned) `id` é\x00"})


# --- A program --------------------------------------------------------------------------------------------------


def program(code: str, **options: Any) -> ScriptEventHandler:
    return ScriptEventHandler("shop", ScriptEventOptions(script=[sys.executable, "-c", code], **options))


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_program_finds_the_event_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETING", "hello")
    told = tmp_path / "told"
    code = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
    ScriptEventHandler("shop", ScriptEventOptions(script=[sys.executable, "-c", code, str(told)])).deliver(EVENT)
    environment = json.loads(told.read_text())
    assert environment["CRYPTOASSETS_EVENT_NAME"] == "txupdate"
    assert environment["CRYPTOASSETS_EVENT_ID"] == "evt_1"
    assert json.loads(environment["CRYPTOASSETS_EVENT_DATA"]) == EVENT.data
    assert environment["GREETING"] == "hello"


def test_text_is_split_at_its_spaces_and_no_shell_sees_it(tmp_path: Path) -> None:
    options = ScriptEventOptions.model_validate({"script": f"touch '{tmp_path}/a b' '{tmp_path}/$(id);x'"})
    ScriptEventHandler("shop", options).deliver(EVENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["$(id);x", "a b"]
    for nothing in ("", [], "'"):
        with pytest.raises(ValidationError):
            ScriptEventOptions.model_validate({"script": nothing})


def test_failing_program_is_told_with_its_last_words() -> None:
    code = "import sys; print('\\033[31mall is lost\\r', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ScriptNotificationFailed) as caught:
        program(code).deliver(EVENT)
    assert str(caught.value) == (
        f"event sink shop: {sys.executable} answered event evt_1 with exit status 3: \\x1b[31mall is lost"
    )


def test_program_that_is_not_there_is_told() -> None:
    sink = ScriptEventHandler("shop", ScriptEventOptions(script=["/nowhere/notify"]))
    with pytest.raises(ScriptNotificationFailed, match="cannot be started: No such file or directory"):
        sink.deliver(EVENT)


def test_event_too_large_for_an_environment_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ScriptNotificationFailed, match="cannot be started: Argument list too long"):
        program("").deliver(Event("evt_1", "txupdate", {"note": "x" * 2**20}))


def test_both_streams_are_logged_each_line_on_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = "import sys; print('one\\x1b[31m\\ntwo'); print('three', file=sys.stderr)"
    program(code, log_output=True).deliver(EVENT)
    said = [record.getMessage().partition("wrote to ")[2] for record in caplog.records]
    assert said == ["stdout: one\\x1b[31m", "stdout: two", "stderr: three"]
    caplog.clear()
    program(code).deliver(EVENT)
    assert caplog.records == []


def test_endless_output_costs_bounded_memory_and_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = "import sys; [print('x' * 1000) for _ in range(20_000)]"
    sink = program(code, log_output=True)
    sink.deliver(EVENT)
    assert 0 < len(caplog.records) <= script._LOGGED_LINES
    assert all(len(record.getMessage()) < script._LOGGED_CHARACTERS + 300 for record in caplog.records)


def test_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, subprocess, time
child = subprocess.Popen(["sleep", "3600"])
open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(3600)
"""
    began = time.monotonic()
    with pytest.raises(ScriptNotificationFailed, match="took longer than 2 seconds for event evt_1 and was killed"):
        program(code, timeout_seconds=2).deliver(EVENT)
    assert time.monotonic() - began < 30
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not is_there(pid))


def test_program_that_leaves_something_running_takes_the_event(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"""
import subprocess
child = subprocess.Popen(["sleep", "3600"])
open({str(pid)!r}, "w").write(str(child.pid))
"""
    began = time.monotonic()
    program(code, timeout_seconds=60).deliver(EVENT)
    assert time.monotonic() - began < 30
    os.kill(int(pid.read_text()), signal.SIGKILL)


# --- A function -------------------------------------------------------------------------------------------------

heard: list[tuple[str, dict[str, Any]]] = []


def remember(event_name: str, data: dict[str, Any]) -> None:
    heard.append((event_name, data))


def leave(event_name: str, data: dict[str, Any]) -> None:
    sys.exit(1)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """The dotted name under which this module can be imported."""
    monkeypatch.setitem(sys.modules, "shop_events", sys.modules[__name__])
    heard.clear()
    return "shop_events"


def function(dotted_name: str) -> InProcessEventHandler:
    return InProcessEventHandler("shop", InProcessEventOptions(callback=dotted_name))


def test_function_is_called_with_name_and_data_of_its_own(here: str) -> None:
    data = {"amount": "1.00000000", "more": {"a": 1}}
    function(f"{here}.remember").deliver(Event("evt_1", "txupdate", data))
    assert heard == [("txupdate", data)]
    heard[0][1]["more"]["a"] = 2
    assert data["more"] == {"a": 1}


def test_function_that_fails_or_leaves_refuses_the_event(here: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EventDeliveryError, match=r"shop_events\.leave failed to handle event evt_1 with SystemExit"):
        function(f"{here}.leave").deliver(EVENT)
    assert "Traceback" in caplog.text


def test_function_whose_parameters_nobody_knows_gets_name_and_data() -> None:
    with pytest.raises(EventDeliveryError, match=r"builtins\.max failed to handle event evt_1 with TypeError"):
        function("builtins.max").deliver(EVENT)


@pytest.mark.parametrize("name", ["shop_events.nothing", "no_such_module.f", "remember", "shop_events.EVENT"])
def test_function_that_is_not_there_is_told_at_the_start(name: str, here: str) -> None:
    with pytest.raises(ConfigurationError):
        function(name)


# --- Plugins, and all together ----------------------------------------------------------------------------------


class Watching:
    """A plugin that hears of events, and fails as often as it is told to."""

    __name__ = "watching"

    def __init__(self, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.failures = failures

    @hookimpl
    def cryptoassets_event(self, event: Event) -> None:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError
        self.events.append(event)


def configured(tmp_path: Path, events: dict[str, Any], *plugins: object, delivers: bool = True) -> CryptoAssetsApp:
    app = CryptoAssetsApp(tuple(Subsystem) if delivers else [Subsystem.database], plugins=plugins)
    Configurator(app).load_from_dict({"database": {"url": sqlite_file(tmp_path / "books")}, "events": events})
    return app


def test_all_sinks_of_the_manual_are_configured_by_either_name(tmp_path: Path, here: str) -> None:
    app = configured(
        tmp_path,
        {
            "a": {"name": "python", "callback": f"{here}.remember"},
            "b": {"class": "cryptoassets.core.event.python.InProcessEventHandler", "callback": f"{here}.remember"},
            "c": {"class": "cryptoassets.core.event.python.InProcessNotifier", "callback": f"{here}.remember"},
            "d": {"name": "script", "script": "true"},
            "e": {"class": "cryptoassets.core.event.script.ScriptEventHandler", "script": "true", "log_output": True},
        },
        Watching(),
    )
    assert app.event_handler_registry.names() == ["a", "b", "c", "d", "e", "plugin:watching"]
    kinds = [type(sink) for sink in app.event_handler_registry.get_all()]
    assert kinds == [*[InProcessEventHandler] * 3, *[ScriptEventHandler] * 2, HookEventSink]
    app.event_handler_registry.trigger("hello", {"n": 1})
    assert heard == [("hello", {"n": 1})] * 3
    app.close()


def test_process_that_delivers_nothing_knows_their_names_and_imports_nothing(tmp_path: Path) -> None:
    app = configured(tmp_path, {"a": {"name": "python", "callback": "no_such_module.f"}}, Watching(), delivers=False)
    assert app.event_handler_registry.names() == ["a", "plugin:watching"]
    assert app.event_handler_registry.get_all() == []
    app.close()


def test_trigger_without_a_sink_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = configured(tmp_path, {})
    app.event_handler_registry.trigger("hello", {})
    assert "no event sinks are configured: nobody hears of hello" in caplog.text
    app.close()


def test_trigger_goes_on_after_a_sink_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watching = Watching()
    app = configured(tmp_path, {"a": {"name": "script", "script": "false"}}, watching)
    app.event_handler_registry.trigger("hello", {"n": 1})
    assert [event.name for event in watching.events] == ["hello"]
    assert "event sink a did not take the event hello" in caplog.text
    app.close()


def test_plugin_that_fails_gets_the_event_again_and_delays_nobody(till: Till, tmp_path: Path) -> None:
    failing, well = Watching(failures=1), Watching()
    app = configured(tmp_path, {}, failing)
    (sink,) = app.event_handler_registry.get_all()
    other, clock = HookEventSink("plugin:well", well.cryptoassets_event), Hands()
    dispatcher = make(till, sink, other, clock=clock)
    write(till, "a0")
    dispatcher.deliver_due(sink)
    dispatcher.deliver_due(other)
    assert (failing.events, len(well.events)) == ([], 1)
    clock.forward(seconds=5)
    dispatcher.deliver_due(sink)
    assert failing.events == well.events
    app.close()


def test_sys_exit_in_somebodys_code_only_refuses(till: Till) -> None:
    shop = Shop(then=lambda _: sys.exit(1))
    write(till, "a0")
    make(till, shop).deliver_due(shop)
    assert len(shop.given) == 1
    assert in_state(till, DeliveryState.PENDING) == 1
