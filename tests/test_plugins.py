"""Plugins are found, and what is wrong with one is told by name and breaks only what uses it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from planted import plant

from cryptoassets_core.app import CryptoAssetsApp
from cryptoassets_core.errors import PluginError, WithdrawalRefused
from cryptoassets_core.hookspecs import hookimpl
from cryptoassets_core.plugins import Plugins

SINK = """
    from cryptoassets_core.event.base import EventSinkType
    from cryptoassets_core.hookspecs import hookimpl

    @hookimpl
    def cryptoassets_event_sinks():
        return [EventSinkType(name="smoke", factory="x.Smoke", options="x.Options")]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path; what is planted in it is forgotten afterwards."""
    directory = tmp_path / "installed"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    yield directory
    for name in [name for name in sys.modules if name.startswith("planted_")]:
        del sys.modules[name]


def test_installed_plugin_is_found(installed: Path) -> None:
    plant(installed, "smoke", SINK)
    plugins = Plugins()
    assert plugins.event_sink("smoke", where="events.shop").name == "smoke"
    assert plugins.broken == []


def test_plugin_of_the_application_is_used_beside_the_installed_ones() -> None:
    class Mine:
        calls: list[object] = []  # noqa: RUF012 - one test, one class

        @hookimpl
        def cryptoassets_configure(self, config: dict[str, object]) -> None:
            self.calls.append(config)

    plugins = CryptoAssetsApp(plugins=[Mine()]).plugins
    plugins.call("cryptoassets_configure", app=None, config={"a": 1})
    assert Mine.calls == [{"a": 1}]
    assert plugins.event_sink("http", where="").name == "http"


def test_name_of_an_old_configuration_is_understood() -> None:
    found = Plugins().backend("cryptoassets.core.backend.bitcoind.Bitcoind", where="coins.btc.backend")
    assert found.name == "bitcoind"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def def", "SyntaxError"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        (SINK + "\n    1 / 0", "ZeroDivisionError"),
        (SINK.replace("return [", "return 1 / 0, ["), "ZeroDivisionError"),
        (SINK.replace("EventSinkType(name", "dict(name"), "which is no EventSinkType"),
        (SINK.replace("cryptoassets_event_sinks()", "cryptoassets_event_sinks(speed)"), "speed"),
        (SINK + "\n    @hookimpl\n    def cryptoassets_fly(): pass", "there is no hook cryptoassets_fly"),
        (SINK.replace("event_sinks()", "event_sink()"), "did it mean cryptoassets_event_sinks?"),
        (SINK.replace("return [", "return 7 or ["), "TypeError: 'int' object is not iterable"),
        (
            SINK + "\n    cryptoassets_api = 2",
            "made for version 2 of the plugin interface, and this",
        ),
        (SINK + "\n    cryptoassets_api = '1'", "made for version '1' of the plugin interface"),
    ],
    ids=[
        "import",
        "syntax",
        "exit",
        "late",
        "hook fails",
        "nonsense",
        "unknown argument",
        "unknown hook",
        "misspelt hook",
        "no list",
        "next version",
        "odd version",
    ],
)
def test_broken_plugin_is_reported_and_breaks_only_what_uses_it(
    code: str, cause: str, installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant(installed, "smoke", code)
    plugins = CryptoAssetsApp().plugins
    (broken,) = plugins.broken
    for told in (str(broken), caplog.text):
        assert "'smoke' of shop-smoke 1.2.3" in told
        assert cause in told
    assert len(str(broken).splitlines()) == 1
    # Everything else works,
    assert plugins.event_sink("http", where="").name == "http"
    assert plugins.backend("bitcoind", where="").name == "bitcoind"
    plugins.call("cryptoassets_configure", app=None, config={})
    # and what needs it is told the cause.
    with pytest.raises(PluginError, match=r"events\.shop: the plugin 'smoke' of shop-smoke 1\.2\.3 cannot be used"):
        plugins.event_sink("smoke", where="events.shop")


def test_broken_plugin_of_another_name_is_suspected(installed: Path) -> None:
    plant(installed, "fireworks", "import no_such_library")
    with pytest.raises(PluginError, match=r"'smoke'.*perhaps.*'fireworks' of shop-fireworks 1\.2\.3"):
        Plugins().event_sink("smoke", where="events.shop")


def test_two_plugins_that_bring_one_name_are_refused_naming_both(installed: Path) -> None:
    plant(installed, "smoke", SINK)
    plant(installed, "mirrors", SINK, version="4.5")
    with pytest.raises(PluginError) as refused:
        Plugins()
    for words in ("'smoke' of shop-smoke 1.2.3", "'mirrors' of shop-mirrors 4.5", "event sink 'smoke'", "uninstall"):
        assert words in str(refused.value)


def test_two_plugins_of_one_name_are_refused_naming_both(installed: Path) -> None:
    plant(installed, "smoke", SINK)
    plant(installed, "smoke", "", distribution="other-smoke", version="4.5")
    with pytest.raises(PluginError) as refused:
        Plugins()
    for words in ("shop-smoke 1.2.3", "other-smoke 4.5", "'smoke'", "uninstall"):
        assert words in str(refused.value)


def test_plugin_of_the_application_with_an_unknown_hook_is_refused() -> None:
    class Mine:
        @hookimpl
        def cryptoassets_fly(self) -> None: ...

    with pytest.raises(PluginError, match=r"plugin of the application.*there is no hook cryptoassets_fly"):
        Plugins([Mine()])


def test_hook_for_a_newer_kernel_may_be_marked_as_optional() -> None:
    class Mine:
        @hookimpl(optionalhook=True)
        def cryptoassets_fly(self) -> None: ...

    assert Plugins([Mine()]).broken == []


def test_plugin_says_which_version_it_is_made_for(installed: Path) -> None:
    plant(installed, "smoke", SINK + "\n    cryptoassets_api = 1")
    assert Plugins().broken == []


def test_plugin_that_is_registered_twice_is_named(installed: Path) -> None:
    plant(installed, "smoke", SINK)
    info = installed / "shop_smoke-1.2.3.dist-info"
    (info / "entry_points.txt").write_text(
        "[cryptoassets]\nsmoke = planted_shop_smoke\nsmoke_again = planted_shop_smoke\n"
    )
    plugins = Plugins()
    (broken,) = plugins.broken
    assert broken.name == "smoke_again"
    assert "already registered" in str(broken)
    assert plugins.event_sink("smoke", where="").name == "smoke"


@pytest.mark.parametrize("how", ["configuration", "environment"])
def test_disabled_plugin_is_not_even_imported(how: str, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(installed, "smoke", "raise SystemExit('imported')")
    if how == "environment":
        monkeypatch.setenv("CRYPTOASSETS_PLUGINS_DISABLED", "other, smoke\tmore")
    plugins = Plugins(disabled=["smoke"] if how == "configuration" else [])
    assert "planted_shop_smoke" not in sys.modules
    assert plugins.broken == []
    by = "plugins.disabled" if how == "configuration" else "CRYPTOASSETS_PLUGINS_DISABLED"
    with pytest.raises(PluginError, match=rf"'smoke' of shop-smoke 1\.2\.3 is disabled by {by}"):
        plugins.event_sink("smoke", where="events.shop")


def test_name_that_disables_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Plugins(disabled=["smok"])
    assert "plugins.disabled names 'smok', and no such plugin is installed" in caplog.text


def test_disabling_one_of_two_that_bring_a_name_lets_the_other_work(installed: Path) -> None:
    plant(installed, "smoke", SINK)
    plant(installed, "mirrors", SINK)
    assert Plugins(disabled=["mirrors"]).event_sink("smoke", where="").name == "smoke"


def test_required_plugin_that_does_not_work_stops_the_start(installed: Path) -> None:
    plant(installed, "limits", "import no_such_library")
    assert [plugin.name for plugin in Plugins().broken] == ["limits"]
    with pytest.raises(PluginError, match=r"required: the plugin 'limits' of shop-limits 1\.2\.3 cannot be used"):
        Plugins(required=["limits"])
    with pytest.raises(PluginError, match=r"required: the plugin 'limits' .* is disabled by plugins\.disabled"):
        Plugins(required=["limits"], disabled=["limits"])
    with pytest.raises(PluginError, match=r"plugins\.required names 'limit', and no such plugin is installed"):
        Plugins(required=["limit"])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("raise ZeroDivisionError", "a rule failed to decide (ZeroDivisionError)"),
        ("return False", "did not decide clearly"),
        ("return True", "did not decide clearly"),
        ("return (lambda: None)", "did not decide clearly"),
    ],
)
def test_rule_that_does_not_clearly_say_yes_refuses(
    rule: str, words: str, installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = f"""
        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl
        def cryptoassets_approve_withdrawal():
            {rule}
    """
    plant(installed, "limits", rules)
    # A wrapper could swallow what others raise; it gets hold of its own plugin's answers only.
    plant(
        installed,
        "greedy",
        """
        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl(wrapper=True)
        def cryptoassets_approve_withdrawal():
            try:
                yield
            except Exception:
                pass
            return None
        """,
    )
    facts = dict.fromkeys(["session", "wallet", "account", "address", "amount"])
    with pytest.raises(WithdrawalRefused) as refused:
        Plugins().approve_withdrawal(**facts)
    assert words in str(refused.value)
    assert "the plugin 'limits' of shop-limits 1.2.3" in caplog.text


def test_observer_that_fails_is_logged_and_the_others_run(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[object] = []

    class Mine:
        @hookimpl
        def cryptoassets_service_shutdown(self, service: object) -> None:
            stopped.append(service)

    code = """
        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl
        def cryptoassets_service_shutdown(service):
            raise ValueError("wrong moon")
    """
    plant(installed, "smoke", code)
    Plugins([Mine()]).observe("cryptoassets_service_shutdown", service="it")
    assert stopped == ["it"]
    assert "the plugin 'smoke' of shop-smoke 1.2.3 failed in cryptoassets_service_shutdown" in caplog.text


def test_plugin_that_fails_when_called_is_named(installed: Path) -> None:
    code = """
        from cryptoassets_core.hookspecs import hookimpl

        @hookimpl
        def cryptoassets_configure(app, config):
            raise ValueError("wrong\\nmoon")
    """
    plant(installed, "smoke", code)
    plugins = Plugins()
    with pytest.raises(PluginError) as refused:
        plugins.call("cryptoassets_configure", app=None, config={})
    assert str(refused.value) == (
        "the plugin 'smoke' of shop-smoke 1.2.3 failed in cryptoassets_configure: ValueError: wrong moon"
    )
